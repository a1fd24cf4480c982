// Package record has what every part of facestream says about records of Kafka and
// about faces in pictures: identities, ranges of offsets, and boxes.
package record

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// TopicPartition is one partition of one topic.
type TopicPartition struct {
	Topic     string `json:"topic" parquet:"topic,dict"`
	Partition int32  `json:"partition" parquet:"partition"`
}

// In returns the partition of a topic.
func In(topic string, partition int32) TopicPartition { return TopicPartition{topic, partition} }

// At returns the identity of the partition's record of an offset.
func (p TopicPartition) At(offset int64) ID { return ID{p, offset} }

func (p TopicPartition) String() string {
	return fmt.Sprintf("partition %d of topic %s", p.Partition, p.Topic)
}

// Compare orders by topic, then by partition.
func (p TopicPartition) Compare(q TopicPartition) int {
	return cmp.Or(strings.Compare(p.Topic, q.Topic), cmp.Compare(p.Partition, q.Partition))
}

// ID is the identity of a record. As a position, it is where a consumer group reads
// next.
type ID struct {
	TopicPartition
	Offset int64 `json:"offset" parquet:"offset"`
}

func (id ID) String() string { return fmt.Sprintf("offset %d of %s", id.Offset, id.TopicPartition) }

// Compare orders by topic, partition and offset.
func (id ID) Compare(other ID) int {
	return cmp.Or(id.TopicPartition.Compare(other.TopicPartition), cmp.Compare(id.Offset, other.Offset))
}

// ErrTopicAnew says of a topic that it is another one than before, of the same name: IDs in it
// are those of other records.
var ErrTopicAnew = errors.New("was made anew")

// Range is the record as the only one of its offsets.
func (id ID) Range() Range { return Range{id.Offset, id.Offset} }

// Dated reports whether a record's timestamp, in milliseconds since 1970, is a time: one
// from 2000 to 2100. Others are counts of another unit, or Kafka's "no timestamp", -1.
func Dated(millis int64) bool { return firstMillis <= millis && millis < endMillis }

const (
	firstMillis = 946_684_800_000   // 2000-01-01 UTC
	endMillis   = 4_133_980_800_000 // 2101-01-01 UTC
)
