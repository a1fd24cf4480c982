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

	"facestream/transforms/kafka"
	"facestream/transforms/opaque"
)

func init() {
	opaque.Register[Frame]()
	beam.RegisterType(reflect.TypeFor[decodeFn]())
}

// The counters of Decode and of face.Detect: CountRead = CountDecoded + the counters
// of Reasons.
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
		Camera: cameraOf(r), Format: p.format, Width: int32(p.width), Height: int32(p.height),
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

// cameraOf returns the camera's name.
func cameraOf(r *kafka.Record) string { return cmp.Or(kafka.CameraOf(r), UnknownCamera) }
