// Package frame turns Kafka records into video frames. It knows the wire
// formats, and checks every byte in Go, so that nothing malformed reaches
// OpenCV.
package frame

// The formats of Frame.Data.
const (
	JPEG = "jpeg" // a whole JPEG file
	BGR  = "bgr"  // Width*Height*3 bytes: rows top down, pixels blue, green, red
)

// UnknownCamera stands for a camera that the record does not name.
const UnknownCamera = "unknown"

// Frame is one decoded record. (Topic, Partition, Offset) is its identity.
type Frame struct {
	Topic           string
	Partition       int32
	Offset          int64
	TimestampMillis int64  // the record's timestamp, UTC, since 1970
	Camera          string // as the record names it: not safe as a file name
	Format          string // JPEG or BGR
	Width, Height   int32  // pixels
	Data            []byte // the record's value, unchanged
}

// Reject is a record that gives no frame, and why. A skipped record is a
// Reject too: its reason is one of the Skip reasons.
type Reject struct {
	Topic           string
	Partition       int32
	Offset          int64
	TimestampMillis int64
	Camera          string
	Reason          string // a constant of this package, used as a counter's name
	Detail          string // one sentence for a person
	Size            int64  // bytes of the value
}
