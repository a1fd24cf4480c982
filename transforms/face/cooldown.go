package face

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/opaque"
	"facestream/transforms/store"
)

func init() {
	beam.RegisterType(reflect.TypeFor[sightFn]())
	beam.RegisterType(reflect.TypeFor[coolFn]())
	beam.RegisterType(reflect.TypeFor[coolInOrderFn]())
	beam.RegisterFunction(applyCooled)
	opaque.Register[sighting]()
	opaque.Register[Detection]()
}

// Sampling says which frames and pictures are left out. Both are decided by slots of
// the records' timestamps, which begin in 1970.
type Sampling struct {
	Frames frame.Sampling
	// CooldownMillis is the length of the slots in which a camera's faces are
	// stored once. Default 0: every frame with a face is stored.
	CooldownMillis int64
	// Stored are the pictures that were stored in slots of this length before.
	// Each counts for records of higher offsets.
	Stored store.Carry `json:"-"` // for Cooldown only
}

// LeavesOut reports whether anything is left out.
func (l Sampling) LeavesOut() bool { return l.Frames.MaxFPS > 0 || l.CooldownMillis > 0 }

// togetherMillis is how long the records of a camera stay together that share a partition,
// where nothing else says so.
const togetherMillis = 10_000

// TogetherMillis is a length of slots such that what is left out of a slot follows from a
// camera's records in it, and in none of the others; math.MaxInt64 is all of time.
func (l Sampling) TogetherMillis() int64 {
	fps, millis := l.Frames.MaxFPS, cmp.Or(l.CooldownMillis, togetherMillis)
	switch {
	case !l.LeavesOut():
		return 0
	case fps != math.Trunc(fps) || millis*int64(fps)%1000 != 0: // slots of one kind go over the borders of the other
		return math.MaxInt64
	}
	return millis
}

// The range of Sampling.CooldownMillis, but for 0.
const (
	MinCooldown = time.Second
	MaxCooldown = 24 * time.Hour
)

// minOverlap is the part that two boxes have in common, of what they cover
// together, from which on they are the same face.
const minOverlap = 0.5

// slot returns the number of a frame's slot of CooldownMillis.
func (l Sampling) slot(f frame.Frame) (number int64, ok bool) {
	if l.CooldownMillis <= 0 || !record.Dated(f.TimestampMillis) {
		return 0, false
	}
	return f.TimestampMillis / l.CooldownMillis, true
}

// slots returns the slots in which the frame is one that was kept.
func (l Sampling) slots(d Detection) (slots []store.Slot) {
	f := d.Frame
	if number, ok := l.Frames.Slot(f.TimestampMillis); ok {
		slots = append(slots, store.Slot{Camera: f.Camera, Kind: store.SlotSampled, Number: number, Kept: []store.Kept{{Offset: f.Offset}}})
	}
	if number, ok := l.slot(f); ok && len(d.Faces) > 0 && !d.Cooled {
		slots = append([]store.Slot{{Camera: f.Camera, Kind: store.SlotCooldown, Number: number, Kept: []store.Kept{{Offset: f.Offset, Boxes: boxesOf(d)}}}}, slots...)
	}
	return slots // in order of kind
}

// Cooldown marks in a PCollection<Detection> those that are not stored: of the same
// partition, camera and slot, pictures of lower offsets are, and each face overlaps
// one of theirs. They lose the frame's data. Without CooldownMillis all is as it
// was; an undated frame (see record.Dated) is always stored.
//
// With Frames.InOrder, for which detections must come in order, too, each is decided when
// it comes. Else only boxes are brought together: the frames, which may be large, wait for
// what comes of it.
func Cooldown(s beam.Scope, l Sampling, detections beam.PCollection) beam.PCollection {
	if l.CooldownMillis == 0 {
		return detections
	}
	s = s.Scope("face.Cooldown")
	known := l.Stored.Of(store.SlotCooldown)
	if l.Frames.InOrder {
		return beam.ParDo(s, &coolInOrderFn{CooldownMillis: l.CooldownMillis, Known: known}, detections)
	}
	others, sightings, byRecord := beam.ParDo3(s, &sightFn{CooldownMillis: l.CooldownMillis}, detections)
	cooled := beam.ParDo(s, &coolFn{Known: known}, beam.GroupByKey(s, sightings))
	return beam.Flatten(s, others, beam.ParDo(s, applyCooled, beam.CoGroupByKey(s, byRecord, cooled)))
}

// sighting is what a frame shows.
type sighting struct {
	Record string // the key of the frame
	Offset int64
	Boxes  []record.Box
}

type sightFn struct {
	CooldownMillis int64
}

func (fn *sightFn) ProcessElement(d Detection, others func(Detection), sightings func(string, sighting), byRecord func(string, Detection)) {
	f := d.Frame
	number, ok := Sampling{CooldownMillis: fn.CooldownMillis}.slot(f)
	if !ok || len(d.Faces) == 0 {
		others(d)
		return
	}
	key := f.Topic + "+" + strconv.Itoa(int(f.Partition)) + "+" + strconv.FormatInt(f.Offset, 10)
	sightings(frame.Group(f.TopicPartition, f.Camera, number), sighting{key, f.Offset, boxesOf(d)})
	byRecord(key, d)
}

func boxesOf(d Detection) []record.Box {
	boxes := make([]record.Box, len(d.Faces))
	for i, f := range d.Faces {
		boxes[i] = f.Box
	}
	return boxes
}

type coolFn struct {
	Known map[string][]store.Kept // of earlier windows, by group
}

func (fn *coolFn) ProcessElement(group string, sightings func(*sighting) bool, cooled func(string, bool)) {
	for _, s := range repeats(fn.Known[group], slices.Collect(opaque.Values(sightings))) {
		cooled(s.Record, true)
	}
}

// repeats returns those of a group's sightings that show nothing new, in the
// order of their offsets.
func repeats(known []store.Kept, all []sighting) (cooled []sighting) {
	known = slices.Clone(known)
	slices.SortFunc(all, func(a, b sighting) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, s := range all {
		if allKnown(known, s) {
			cooled = append(cooled, s)
		} else {
			known = append(known, store.Kept{Offset: s.Offset, Boxes: s.Boxes})
		}
	}
	return cooled
}

// allKnown reports whether each face of a sighting is in a picture of a lower offset.
func allKnown(known []store.Kept, s sighting) bool {
	for _, b := range s.Boxes {
		if !slices.ContainsFunc(known, func(k store.Kept) bool {
			return k.Offset < s.Offset && slices.ContainsFunc(k.Boxes, func(other record.Box) bool { return b.IoU(other) >= minOverlap })
		}) {
			return false
		}
	}
	return true
}

type coolInOrderFn struct {
	CooldownMillis int64
	Known          map[string][]store.Kept // of earlier windows, by group

	known map[string][]store.Kept // those and the bundle's
}

func (fn *coolInOrderFn) StartBundle(_ func(Detection)) {
	fn.known = map[string][]store.Kept{}
	maps.Copy(fn.known, fn.Known)
}

func (fn *coolInOrderFn) ProcessElement(d Detection, emit func(Detection)) {
	if number, ok := (Sampling{CooldownMillis: fn.CooldownMillis}).slot(d.Frame); ok && len(d.Faces) > 0 {
		group := frame.Group(d.Frame.TopicPartition, d.Frame.Camera, number)
		s := sighting{Offset: d.Frame.Offset, Boxes: boxesOf(d)}
		if known := fn.known[group]; allKnown(known, s) {
			d.Cooled, d.Frame.Data = true, nil
		} else {
			fn.known[group] = append(slices.Clip(known), store.Kept{Offset: s.Offset, Boxes: s.Boxes})
		}
	}
	emit(d)
}

// applyCooled marks the detection of a record that has come to be cooled.
func applyCooled(_ string, detections func(*Detection) bool, cooled func(*bool) bool, emit func(Detection)) {
	var is bool
	cooled(&is)
	for d := range opaque.Values(detections) {
		if is {
			d.Cooled, d.Frame.Data = true, nil
		}
		emit(d)
	}
}
