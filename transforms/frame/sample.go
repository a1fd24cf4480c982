package frame

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/record"
	"facestream/transforms/kafka"
	"facestream/transforms/opaque"
)

func init() {
	opaque.Register[candidate]()
	opaque.Register[Reject]()
	beam.RegisterType(reflect.TypeFor[candidateFn]())
	beam.RegisterFunction(keepFirst)
}

// Sampling says how many frames of a camera are kept.
type Sampling struct {
	// MaxFPS is how many slots a second has, by the records' timestamps. In each,
	// the first frame of a camera in a partition is kept. From above 0 to
	// MaxMaxFPS. Default 0: every frame is kept.
	MaxFPS float64
	// Taken is the first offset of which a frame was kept before, by Group. It counts for
	// records of higher offsets, so that a record read again is decided as it was.
	Taken map[string]int64
	// InOrder says that the records of a partition and camera come in order of offset,
	// and those of a slot in one bundle. Each is then decided when it comes.
	InOrder bool
}

// MaxMaxFPS is the most that Sampling.MaxFPS may be: timestamps are in
// milliseconds.
const MaxMaxFPS = 1000

// Slot returns the number of the slot that a timestamp is in, counted from 1970.
// There is none without sampling, and for an undated record (see record.Dated), which is
// always kept.
func (s Sampling) Slot(millis int64) (number int64, ok bool) {
	if s.MaxFPS <= 0 || !record.Dated(millis) {
		return 0, false
	}
	return int64(math.Floor(float64(millis) * s.MaxFPS / 1000)), true
}

// candidate is a record that may be the first of its group that gives a frame.
type candidate struct {
	Frame  Frame   // without Data if it is a Reject
	Reject *Reject // that the record gives instead, or nil
}

// candidateFn gives what a group is decided from. A record is decided by those of lower
// offsets in its group, which are of the same partition, camera and slot: it is passed over
// if one of them gives a frame. So it makes no difference in which order they come
// and how they are spread over bundles and windows. A JPEG whose header is right gives
// one: that it is damaged is found when it is decoded, which is for what is kept only.
// Its slot then has no picture.
//
// It looks at no value of which it knows already that it is passed over. Hardly more than
// what is kept is parsed and then grouped.
type candidateFn struct {
	Config   Config
	Sampling Sampling

	// first has the lowest offset that is known to give a frame, by group.
	first map[string]int64
}

func (fn *candidateFn) StartBundle(_ context.Context, _ func(string, candidate), _ func(Reject)) {
	fn.first = map[string]int64{}
	maps.Copy(fn.first, fn.Sampling.Taken)
}

func (fn *candidateFn) ProcessElement(ctx context.Context, r kafka.Record, candidates func(string, candidate), rejects func(Reject)) {
	Count(ctx, CountRead)
	var size int64
	if r.Value != nil {
		size = int64(len(*r.Value))
	}
	camera := CameraOf(&r)
	slot, dated := fn.Sampling.Slot(r.Timestamp)
	group := Group(record.In(r.Topic, r.Partition), camera, slot)
	if !dated { // a group of its own
		group = fmt.Sprintf("%s+%d+offset+%d", r.Topic, r.Partition, r.Offset)
	}
	if first, ok := fn.first[group]; ok && r.Offset > first && size >= MinBytes {
		Count(ctx, Sampled)
		rejects(sampled(Frame{ID: kafka.ID(&r), TimestampMillis: r.Timestamp, Camera: camera, Size: size}))
		return
	}
	f, reject := Parse(fn.Config, &r)
	switch {
	case reject == nil && dated:
		f.Slot = &slot
		fn.first[group] = r.Offset
	case reject != nil && reject.Skipped():
		Count(ctx, reject.Reason)
		rejects(*reject)
		return
	case reject != nil:
		f.Data, f.Headers = nil, nil
	}
	candidates(group, candidate{f, reject})
}

// Group is the key of the records of a partition, a camera and a slot. A topic has
// no plus sign, and a camera, which may have any, is last.
func Group(p record.TopicPartition, camera string, slot int64) string {
	return p.Topic + "+" + strconv.Itoa(int(p.Partition)) + "+" + strconv.FormatInt(slot, 10) + "+" + camera
}

// keepFirst decides a group.
func keepFirst(ctx context.Context, _ string, candidates func(*candidate) bool, frames func(Frame), rejects func(Reject)) {
	all := slices.SortedFunc(opaque.Values(candidates), func(a, b candidate) int { return cmp.Compare(a.Frame.Offset, b.Frame.Offset) })
	first := int64(math.MaxInt64)
	for _, c := range all {
		if c.Frame.Offset > first {
			Count(ctx, Sampled)
			rejects(sampled(c.Frame))
		} else if c.keep(ctx, frames, rejects); c.Reject == nil {
			first = c.Frame.Offset
		}
	}
}

// keep emits what a candidate gives.
func (c candidate) keep(ctx context.Context, frames func(Frame), rejects func(Reject)) {
	if c.Reject != nil {
		Count(ctx, c.Reject.Reason)
		rejects(*c.Reject)
		return
	}
	frames(c.Frame)
}

func sampled(f Frame) Reject {
	return Reject{
		ID: f.ID, TimestampMillis: f.TimestampMillis, Camera: f.Camera, Size: f.Size,
		Reason: Sampled, Detail: "the camera has a frame of the same slot already",
	}
}
