// Package kafka reads video records from Kafka: inside the pipeline through
// Beam's cross-language KafkaIO, and beside it, in the driver, the offsets that
// say where a window starts and how many records it may hold.
package kafka

import (
	"slices"
	"unicode/utf8"

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
