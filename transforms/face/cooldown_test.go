package face

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testcoder"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// at returns a face of 30x30 pixels. One that is 10 further to the right overlaps it
// by half, one that is 11 further does not.
func at(x int32) record.Box { return record.Box{X: x, Y: 7, Width: 30, Height: 30} }

func TestCoolDown(t *testing.T) {
	sight := func(offset int64, xs ...int32) sighting {
		s := sighting{Offset: offset}
		for _, x := range xs {
			s.Boxes = append(s.Boxes, at(x))
		}
		return s
	}
	known := []store.Kept{{Offset: 10, Boxes: []record.Box{at(0)}}, {Offset: 20, Boxes: []record.Box{at(500)}}}
	random := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []struct {
		name  string
		known []store.Kept
		all   []sighting
		want  []int64 // offsets that are cooled
	}{
		{"the same place", nil, []sighting{sight(1, 0), sight(2, 0), sight(3, 10)}, []int64{2, 3}},
		{"another place", nil, []sighting{sight(1, 0), sight(2, 11), sight(3, 400)}, nil},
		{"a face that walks is stored again, a cooled one is no measure", nil, []sighting{sight(1, 0), sight(2, 8), sight(3, 16), sight(4, 24)}, []int64{2, 4}},
		{"a second face comes and goes", nil, []sighting{sight(1, 0), sight(2, 0, 200), sight(3, 0), sight(4, 200), sight(5, 200, 0)}, []int64{3, 4, 5}},
		{"each face in a picture of its own", nil, []sighting{sight(1, 0), sight(2, 200), sight(3, 0, 200)}, []int64{3}},
		{"earlier windows", known, []sighting{sight(21, 0), sight(22, 500), sight(23, 500, 0), sight(24, 900)}, []int64{21, 22, 23}},
		{"read again", known, []sighting{sight(10, 0), sight(11, 500), sight(12, 500), sight(20, 500)}, []int64{12, 20}},
		{"before all that is known", known, []sighting{sight(8, 0), sight(9, 500)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(tt.known)
			for range 10 {
				random.Shuffle(len(tt.all), func(i, j int) { tt.all[i], tt.all[j] = tt.all[j], tt.all[i] })
				var got []int64
				for _, s := range repeats(tt.known, tt.all) {
					got = append(got, s.Offset)
				}
				if !reflect.DeepEqual(got, tt.want) || len(tt.known) != before {
					t.Fatalf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// begin is when the records of these tests begin, and a slot of a minute.
const begin = 28_333_333 * 60_000

func TestCooldown(t *testing.T) {
	detection := func(partition int32, camera string, offset, millis int64, xs ...int32) Detection {
		d := Detection{Width: 640, Height: 480, Frame: frame.Frame{ID: record.In("t", partition).At(offset), TimestampMillis: millis, Camera: camera}}
		if millis >= 0 && millis < math.MaxInt64 {
			d.Frame.TimestampMillis += begin
		}
		for _, x := range xs {
			d.Faces = append(d.Faces, Face{Box: at(x)})
			d.Frame.Data = []byte{1, 2, 3}
		}
		return d
	}
	all := []Detection{
		detection(0, "door", 1, 60_000, 0),
		detection(0, "door", 2, 119_999, 5),  // cooled
		detection(0, "door", 3, 120_000, 5),  // the next slot
		detection(0, "door", 4, 61_000, 300), // another face
		detection(0, "gate", 5, 61_000, 5),
		detection(1, "door", 2, 61_000, 5),
		detection(0, "door", 6, 61_000),
		detection(0, "door", 7, -1, 5),
		detection(0, "door", 8, -1, 5),
		detection(0, "door", 9, 180_000, 5), // cooled by an earlier window
		detection(0, "door", 10, math.MaxInt64, 5),
	}
	less := Sampling{CooldownMillis: 60_000, Stored: store.Carry{record.In("t", 0): {
		{Camera: "door", Kind: store.SlotCooldown, Number: begin/60_000 + 3, Kept: []store.Kept{{Offset: 0, Boxes: []record.Box{at(0)}}}},
		{Camera: "door", Kind: store.SlotSampled, Number: 2, Kept: []store.Kept{{Offset: 0}}},
	}}}
	want := func(cooled ...int) (out []any) {
		for i, d := range all {
			for _, c := range cooled {
				if i == c {
					d.Cooled, d.Frame.Data = true, nil
				}
			}
			out = append(out, showDetection(d))
		}
		return out
	}
	withCooldown, without := want(1, 9), want()
	random := rand.New(rand.NewPCG(3, 4))
	for _, runner := range []string{"in order", "prism", "direct", "direct"} {
		if less.Frames.InOrder = runner == "in order"; less.Frames.InOrder {
			runner = "direct"
		} else {
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		p, s := beam.NewPipelineWithRoot()
		in := beam.CreateList(s, all)
		passert.Equals(s, beam.ParDo(s, showDetection, Cooldown(s, less, in)), withCooldown...)
		passert.Equals(s, beam.ParDo(s, showDetection, Cooldown(s, Sampling{}, in)), without...)
		testkit.Value(beam.Run(t.Context(), runner, p))(t)
	}
}

// What is left out of a slot of TogetherMillis has to do with no other slot.
func TestTogetherMillis(t *testing.T) {
	for _, tt := range []struct {
		fps      float64
		cooldown int64
		want     int64
	}{
		{0, 0, 0}, {0, 7001, 7001}, {5, 0, 10_000}, {1000, 0, 10_000}, {1, 7000, 7000}, {2, 1500, 1500},
		{2, 1250, math.MaxInt64}, {1, 1500, math.MaxInt64}, {0.2, 0, math.MaxInt64}, {29.97, 60_000, math.MaxInt64},
	} {
		l := Sampling{Frames: frame.Sampling{MaxFPS: tt.fps}, CooldownMillis: tt.cooldown}
		testkit.Equal(t, fmt.Sprintf("%v a second, cooldown %d ms", tt.fps, tt.cooldown), l.TogetherMillis(), tt.want)
		for border := int64(begin) / max(tt.want, 1) * tt.want; border > 0 && border < math.MaxInt64 && border < begin+10*tt.want; border += tt.want {
			before, _ := l.Frames.Slot(border - 1)
			after, ok := l.Frames.Slot(border)
			cooledBefore, _ := l.slot(frame.Frame{TimestampMillis: border - 1})
			cooledAfter, cools := l.slot(frame.Frame{TimestampMillis: border})
			if ok && before == after || cools && cooledBefore == cooledAfter {
				t.Errorf("%v a second, cooldown %d ms: a slot goes over %d", tt.fps, tt.cooldown, border)
			}
		}
	}
}

// An Entry says in which slots its frame was the one that was kept.
func TestRenderedSlots(t *testing.T) {
	f := frame.Frame{ID: record.In("t", 0).At(5), TimestampMillis: begin + 125_500, Camera: "door", Format: frame.JPEG, Data: []byte("jpeg")}
	without := Detection{Frame: f}
	found := Detection{Frame: f, Faces: []Face{{Box: box(1, 2, 3, 4)}, {Box: box(5, 6, 7, 8)}}}
	cooled := found
	cooled.Cooled, cooled.Frame.Data = true, nil
	undated := found
	undated.Frame.TimestampMillis = -1
	sampled := store.Slot{Camera: "door", Kind: store.SlotSampled, Number: begin/500 + 251, Kept: []store.Kept{{Offset: 5}}}
	stored := store.Slot{Camera: "door", Kind: store.SlotCooldown, Number: begin/60_000 + 2, Kept: []store.Kept{{Offset: 5, Boxes: []record.Box{{X: 1, Y: 2, Width: 3, Height: 4}, {X: 5, Y: 6, Width: 7, Height: 8}}}}}
	sampling := frame.Sampling{MaxFPS: 2}
	for _, tt := range []struct {
		name      string
		detection Detection
		less      Sampling
		files     int
		want      []store.Slot
	}{
		{"off", found, Sampling{}, 1, nil},
		{"sampling", found, Sampling{Frames: sampling}, 1, []store.Slot{sampled}},
		{"sampling, no face", without, Sampling{Frames: sampling}, 0, []store.Slot{sampled}},
		{"cooldown", found, Sampling{CooldownMillis: 60_000}, 1, []store.Slot{stored}},
		{"cooldown, no face", without, Sampling{CooldownMillis: 60_000}, 0, nil},
		{"both", found, Sampling{Frames: sampling, CooldownMillis: 60_000}, 1, []store.Slot{stored, sampled}},
		{"both, cooled", cooled, Sampling{Frames: sampling, CooldownMillis: 60_000}, 0, []store.Slot{sampled}},
		{"both, undated", undated, Sampling{Frames: sampling, CooldownMillis: 60_000}, 1, nil},
	} {
		e := testkit.Value((&renderFn{Output: onlyFrames, Sampling: tt.less}).ProcessElement(tt.detection))(t)
		if !reflect.DeepEqual(e.Slots, tt.want) || len(e.Files) != tt.files || e.Cooled != tt.detection.Cooled || int(e.Faces) != len(tt.detection.Faces) {
			t.Errorf("%s: got %+v, want %d files, slots %+v", tt.name, e, tt.files, tt.want)
		}
	}
}

func TestElementsPassTheirCoder(t *testing.T) {
	testcoder.MustPass(t,
		sighting{Record: "t+1+2", Offset: 2, Boxes: []record.Box{at(1), at(2)}},
		Detection{Frame: frame.Frame{ID: record.In("t", 0).At(0), Data: []byte{1}}, Width: 2, Height: 3, Faces: []Face{{Box: box(1, 2, 3, 4), Blur: 5}}, Millis: 6, Cooled: true})
}
