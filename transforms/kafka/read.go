// Package kafka reads video records from Kafka: inside the pipeline through
// Beam's cross-language KafkaIO, and beside it, in the driver, the offsets that
// say where a window starts and how many records it may hold.
package kafka

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/kafkaconf"
	"facestream/internal/record"
)

// Record is one Kafka record with its metadata, as the cross-language transform
// gives it. Beam makes the Go type of a row from its schema, as an unnamed
// struct with these very fields and tags, so this is an alias of that type. The
// schema is that of Java's ByteArrayKafkaRecord. A pointer is a field that may
// be null.
type Record = struct {
	Topic             string    `beam:"topic"`
	Partition         int32     `beam:"partition"`
	Offset            int64     `beam:"offset"`
	Timestamp         int64     `beam:"timestamp"` // milliseconds since 1970, UTC
	Key               *[]byte   `beam:"key"`
	Value             *[]byte   `beam:"value"`
	Headers           *[]Header `beam:"headers"`
	TimestampTypeId   int32     `beam:"timestampTypeId"`
	TimestampTypeName string    `beam:"timestampTypeName"`
}

// Header is one header of a record. A key may stand several times.
type Header = struct {
	Key   string  `beam:"key"`
	Value *[]byte `beam:"value"`
}

// ID returns the identity of a record.
func ID(r *Record) record.ID { return record.In(r.Topic, r.Partition).At(r.Offset) }

// CameraHeader names the header that says which camera took the picture.
const CameraHeader = "camera"

// CameraOf returns the camera's name: of the header, else of the key, else "". A name that
// is not UTF-8 would not come through every runner unchanged, so it is none.
func CameraOf(r *Record) string {
	if name := HeaderOf(r, CameraHeader); name != "" && utf8.ValidString(name) {
		return name
	}
	if r.Key != nil && utf8.Valid(*r.Key) {
		return string(*r.Key)
	}
	return ""
}

// HeaderOf returns the last value of a header, as Kafka's own lastHeader does, and
// "" if it is missing or null.
func HeaderOf(r *Record, key string) string {
	if r.Headers == nil {
		return ""
	}
	for _, h := range slices.Backward(*r.Headers) {
		if h.Key == key {
			if h.Value == nil {
				return ""
			}
			return string(*h.Value)
		}
	}
	return ""
}

const (
	// readURN gives rows with metadata; kafkaio.Read of the Go SDK uses the
	// transform without, and a null key or value makes that one panic.
	readURN = "beam:transform:org.apache.beam:kafka_read_with_metadata:v1"

	byteArrayDeserializer = "org.apache.kafka.common.serialization.ByteArrayDeserializer"

	// partitionFetchBytes is what one fetch may bring of one partition. Kafka's
	// default of 1 MiB is about one raw frame, a round trip for each.
	partitionFetchBytes = 2 << 20
	// fetchBytes is what one fetch may bring of all partitions. The consumer drops
	// what it has fetched beyond the window. Kafka's default of 50 MiB is larger than
	// many windows.
	fetchBytes = 8 << 20
	// fetchWaitMillis is how long the broker holds a fetch that finds nothing. At the
	// end of each window the consumer waits for the answer to its last fetch before it
	// closes: by default half a second.
	fetchWaitMillis = 50
)

// Window says which records one bounded read takes.
type Window struct {
	Brokers  string // Required. host:port, comma-separated.
	Topics   []string
	Group    string            // Required. The consumer group whose offsets mark the start.
	Consumer map[string]string // Optional. More consumer settings; see CheckConsumerSettings.
	Security string            // Optional. A file with security settings, on every node; see kafkaconf.
	// MaxRecords is the most that Read reads from the offsets that the group has committed,
	// or the first record of a partition without one, and MaxSeconds after how long it ends.
	// Required for Read.
	MaxRecords, MaxSeconds int64
	// Name and Shards are what ReadNative reads. Required for it; see Offsets.Share.
	Name   string
	Shards [][]Piece
	// TogetherMillis has shards that share a partition take turns by camera and time, so
	// that one of them has all of a camera's records in a slot of this length, counted
	// from 1970. Default 0: they take turns by offset, and what waits is not shared.
	TogetherMillis int64
}

// readPayload is the configuration row of Java's
// KafkaIO.Read.External.Configuration.
type readPayload struct {
	ConsumerConfig         map[string]string
	Topics                 []string
	KeyDeserializer        string
	ValueDeserializer      string
	StartReadTime          *int64
	MaxNumRecords          *int64
	MaxReadTime            *int64
	CommitOffsetInFinalize bool
	TimestampPolicy        string
}

// Read gives the window's records as a PCollection<Record>. It is a bounded
// read by KafkaIO, expanded by the expansion service at expansionAddr
// (host:port); an error means that the service did not expand it. It commits no
// offsets.
func Read(s beam.Scope, w Window, expansionAddr string) (beam.PCollection, error) {
	s = s.Scope("kafka.Read")
	consumer := map[string]string{
		"bootstrap.servers":         w.Brokers,
		"group.id":                  w.Group,
		"fetch.max.bytes":           fmt.Sprint(fetchBytes),
		"max.partition.fetch.bytes": fmt.Sprint(partitionFetchBytes),
		"fetch.max.wait.ms":         fmt.Sprint(fetchWaitMillis),
		isolationLevel:              "read_committed",
	}
	maps.Copy(consumer, w.Consumer)
	security, err := kafkaconf.Read(w.Security)
	if err != nil {
		return beam.PCollection{}, err
	}
	maps.Copy(consumer, security.References())
	for key, fixed := range fixedSettings {
		consumer[key] = fixed.value
	}
	payload := beam.CrossLanguagePayload(readPayload{
		ConsumerConfig:    consumer,
		Topics:            w.Topics,
		KeyDeserializer:   byteArrayDeserializer,
		ValueDeserializer: byteArrayDeserializer,
		MaxNumRecords:     &w.MaxRecords,
		MaxReadTime:       &w.MaxSeconds,
		TimestampPolicy:   "ProcessingTime",
	})
	out := beam.UnnamedOutput(typex.New(reflect.TypeFor[Record]()))
	outputs, err := beam.TryCrossLanguage(s, readURN, payload, expansionAddr, nil, out)
	if err != nil {
		return beam.PCollection{}, fmt.Errorf("asking the expansion service at %s for KafkaIO: %w", expansionAddr, err)
	}
	return outputs[beam.UnnamedOutputTag()], nil
}

func recordOf(r *kgo.Record) Record {
	headers := make([]Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = Header{Key: h.Key, Value: nullable(h.Value)}
	}
	kind := r.Attrs.TimestampType()
	name := map[int8]string{0: "CreateTime", 1: "LogAppendTime"}[kind]
	if name == "" {
		name = "NoTimestampType"
	}
	return Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
		Key: nullable(r.Key), Value: nullable(r.Value), Headers: &headers,
		TimestampTypeId: int32(kind), TimestampTypeName: name,
	}
}

func nullable(b []byte) *[]byte {
	if b == nil {
		return nil
	}
	return &b
}
