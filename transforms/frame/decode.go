// Package frame turns Kafka records into video frames. It knows the wire
// formats, and checks in Go what they say of their size before C++ gets them.
package frame

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/record"
	"facestream/transforms/kafka"
	"facestream/transforms/opaque"
)

func init() {
	opaque.Register[Frame]()
	beam.RegisterType(reflect.TypeFor[decodeFn]())
}

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

// The counters of Decode and of face.Detect, which the engines' own pages show: CountRead =
// CountDecoded + the counters of Reasons.
const (
	CounterNamespace = "frame"
	CountRead        = "read"
	CountDecoded     = "decoded"
)

// Config says how records are read that do not say it themselves.
type Config struct {
	Width, Height int // Required. Pixels of a raw frame without a content-type header.
	KeepBytes     int // Optional. How much of a rejected record's value is kept, from 0 to MaxKeepBytes.
}

// MaxKeepBytes is the most that Config.KeepBytes may be: more than a raw frame
// of the lab, and less than a data message of Beam's should hold.
const MaxKeepBytes = 1 << 20

// Validate returns an error that says what is wrong with the configuration, if anything.
func (c Config) Validate() error {
	if err := CheckSize(c.Width, c.Height); err != nil {
		return fmt.Errorf("frame size: %w", err)
	}
	if c.KeepBytes < 0 || c.KeepBytes > MaxKeepBytes {
		return fmt.Errorf("keeping %d bytes of a rejected record: it must be from 0 to %d", c.KeepBytes, MaxKeepBytes)
	}
	if size := c.Width * c.Height * colourBytes; size < MinBytes {
		return fmt.Errorf("frame size %dx%d: a raw frame has %d bytes, and values under %d bytes are skipped", c.Width, c.Height, size, MinBytes)
	}
	return nil
}

// Decode turns a PCollection<kafka.Record> into a PCollection<Frame> and a
// PCollection<Reject>. Every record becomes exactly one element of one of them;
// no record is an error. A JPEG frame has a header within the limits, a PNG frame has
// been read to its end, and a raw frame has exactly the bytes of its pixels. A record
// that sampling skips is a Reject of the reason Sampled.
func Decode(s beam.Scope, cfg Config, sampling Sampling, records beam.PCollection) (frames, rejects beam.PCollection) {
	s = s.Scope("frame.Decode")
	first := candidateFn{Config: cfg, Sampling: sampling}
	if sampling.MaxFPS <= 0 || sampling.InOrder {
		return beam.ParDo2(s, &decodeFn{First: first}, records)
	}
	candidates, early := beam.ParDo2(s, &first, records)
	frames, late := beam.ParDo2(s, keepFirst, beam.GroupByKey(s, candidates))
	return frames, beam.Flatten(s, early, late)
}

// decodeFn keeps each candidate: without sampling all are, and in order the first of a group
// that gives a frame is the only one.
type decodeFn struct {
	First candidateFn
}

func (fn *decodeFn) StartBundle(ctx context.Context, _ func(Frame), _ func(Reject)) {
	fn.First.StartBundle(ctx, nil, nil)
}

func (fn *decodeFn) ProcessElement(ctx context.Context, r kafka.Record, frames func(Frame), rejects func(Reject)) {
	fn.First.ProcessElement(ctx, r, func(_ string, c candidate) { c.keep(ctx, frames, rejects) }, rejects)
}

// Count adds one to a counter.
func Count(ctx context.Context, name string) {
	beam.NewCounter(CounterNamespace, name).Inc(ctx, 1)
}

// Parse returns the frame that the record holds, or what is known of it and the reason why
// it holds none. The frame shares the record's bytes.
func Parse(cfg Config, r *kafka.Record) (Frame, *Reject) {
	var value []byte
	if r.Value != nil {
		value = *r.Value
	}
	var p picture
	var no *refusal
	switch {
	case r.Value == nil:
		no = refuse(SkipNull, "the value is null")
	case len(value) == 0:
		no = refuse(SkipEmpty, "the value is empty")
	case len(value) < MinBytes:
		no = refuse(SkipSmall, "the value has %d bytes, less than %d", len(value), MinBytes)
	default:
		p, no = identify(cfg, kafka.HeaderOf(r, ContentType), value)
	}
	f := Frame{
		ID: kafka.ID(r), TimestampMillis: r.Timestamp,
		Camera: CameraOf(r), Format: p.format, Width: int32(p.width), Height: int32(p.height),
		Size: int64(len(value)), Data: value,
	}
	if no != nil || f.Format == JPEG {
		f.Headers = headersOf(r)
	}
	if no != nil {
		return f, f.Reject(cfg, no.reason, no.detail)
	}
	return f, nil
}

// Reject returns the Reject that the frame's record is for a reason that was found
// later.
func (f Frame) Reject(cfg Config, reason, detail string) *Reject {
	reject := &Reject{
		ID: f.ID, TimestampMillis: f.TimestampMillis,
		Camera: f.Camera, Reason: reason, Detail: detail, Size: f.Size, Slot: f.Slot,
	}
	if reject.Skipped() {
		return reject
	}
	sum := sha256.Sum256(f.Data)
	reject.SHA256 = hex.EncodeToString(sum[:])
	reject.Head = f.Data[:min(len(f.Data), HeadBytes)]
	if cfg.KeepBytes > 0 {
		reject.Kept = f.Data[:min(len(f.Data), cfg.KeepBytes)]
	}
	reject.Headers = f.Headers
	return reject
}

// headersOf returns what is kept of a record's headers.
func headersOf(r *kafka.Record) (headers []Header) {
	if r.Headers == nil {
		return nil
	}
	for _, h := range *r.Headers {
		header := Header{Key: strings.ToValidUTF8(h.Key, "\uFFFD"), Size: -1}
		if h.Value != nil {
			header.Size = int64(len(*h.Value))
			header.Value = (*h.Value)[:min(len(*h.Value), HeaderBytes)]
		}
		headers = append(headers, header)
	}
	return headers
}

// CameraOf returns the name of a record's camera.
func CameraOf(r *kafka.Record) string { return cmp.Or(kafka.CameraOf(r), UnknownCamera) }
