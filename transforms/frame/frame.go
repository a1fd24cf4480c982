// Package frame turns Kafka records into video frames. It knows the wire
// formats, and checks in Go what they say of their size before C++ gets them.
package frame

import "facestream/internal/record"

// The formats of Frame.Data. The raw ones have their rows top down, with nothing
// between them: Width*Height*BytesPerPixel bytes.
const (
	JPEG = "jpeg"  // a JPEG file, which may be damaged behind its header
	PNG  = "png"   // a whole PNG file
	BGR  = "bgr"   // pixels blue, green, red
	RGB  = "rgb"   // pixels red, green, blue
	Grey = "gray8" // pixels of one byte, from black to white
)

// UnknownCamera stands for a camera that the record does not name.
const UnknownCamera = "unknown"

// Frame is one decoded record.
type Frame struct {
	record.ID
	TimestampMillis int64  // the record's timestamp, UTC, since 1970
	Camera          string // as the record names it: not safe as a file name
	Format          string // a constant of this package
	Width, Height   int32  // pixels
	Size            int64  // bytes of the record's value
	Data            []byte // the record's value, unchanged

	Headers []Header // the record's, of a frame that may still be rejected: a JPEG
	Slot    *int64   // of Sampling, the one that the frame has taken
}

// Reject is a record that gives no frame, and why. A skipped record is a
// Reject too: its reason is one of the Skip reasons.
type Reject struct {
	record.ID
	TimestampMillis int64
	Camera          string
	Reason          string // a constant of this package, used as a counter's name
	Detail          string // one sentence for a person
	Size            int64  // bytes of the value

	// What the record was, for whoever looks into it. A skipped record has
	// none of it.
	SHA256  string   // of the value, in hexadecimal digits
	Head    []byte   // the value's first HeadBytes
	Headers []Header // the record's, in order
	Kept    []byte   // the value's first Config.KeepBytes

	Slot *int64 // of Sampling, the one that the record has taken as a Frame
}

// Header is one header of a rejected record.
type Header struct {
	Key   string
	Value []byte // its first HeaderBytes
	Size  int64  // bytes of the value; -1 if it is null
}

// How much of a rejected record travels on, but for Config.KeepBytes.
const (
	HeadBytes   = 64
	HeaderBytes = 1024
)

// The reasons of a Reject.
const (
	SkipNull          = "skipped_null"       // the value is null
	SkipEmpty         = "skipped_empty"      // the value has no bytes
	SkipSmall         = "skipped_small"      // the value has less than MinBytes
	BadContentType    = "bad_content_type"   // the content-type header cannot be understood
	UnsupportedFormat = "unsupported_format" // a known kind of picture that is not read here
	FormatMismatch    = "format_mismatch"    // the content-type header contradicts the bytes
	WrongSize         = "wrong_size"         // not the number of bytes that a raw frame has
	TooLarge          = "too_large"          // more pixels than the limits allow
	CorruptJPEG       = "corrupt_jpeg"       // begins as a JPEG but cannot be decoded
	CorruptPNG        = "corrupt_png"        // begins as a PNG but cannot be decoded
	Sampled           = "sampled"            // not looked at: Sampling.MaxFPS allows no more
)

// Reasons holds every reason that a Reject can have, in the order of a report.
var Reasons = []string{
	SkipNull, SkipEmpty, SkipSmall,
	BadContentType, UnsupportedFormat, FormatMismatch, WrongSize, TooLarge, CorruptJPEG, CorruptPNG,
	Sampled,
}

// Skipped reports whether the record was passed over because it holds no picture,
// as in the lab, rather than a bad one.
func (r Reject) Skipped() bool { return Skips(r.Reason) }

// Skips reports whether a reason is one of the Skip reasons.
func Skips(reason string) bool {
	return reason == SkipNull || reason == SkipEmpty || reason == SkipSmall
}
