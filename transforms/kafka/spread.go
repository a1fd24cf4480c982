package kafka

import (
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func init() {
	beam.RegisterFunction(keyed)
	beam.RegisterFunction(unkeyed)
}

// Spread gives the records to whichever worker has room, so that all of a
// cluster's slots work on a window that one reader has read. Beam's Reshuffle
// is for that, but on Flink it leaves every record where it is: there, only
// grouping moves records.
func Spread(s beam.Scope, records beam.PCollection) beam.PCollection {
	s = s.Scope("kafka.Spread")
	return beam.ParDo(s, unkeyed, beam.GroupByKey(s, beam.ParDo(s, keyed, records)))
}

// keyed gives each record a key of its own.
func keyed(r Record) (string, Record) {
	return r.Topic + "+" + strconv.Itoa(int(r.Partition)) + "+" + strconv.FormatInt(r.Offset, 10), r
}

func unkeyed(_ string, records func(*Record) bool, emit func(Record)) {
	var r Record
	for records(&r) {
		emit(r)
	}
}
