package store

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
)

func TestWriteLedger(t *testing.T) {
	for _, runner := range []string{"prism", "direct"} {
		cfg := testConfig(t.TempDir())
		p, s := beam.NewPipelineWithRoot()
		written := beam.Create(s,
			Written{Tally: Tally{ID: record.In("b", 0).At(7), TimestampMillis: testMillis, Size: 1000, Camera: "a/b", DetectMillis: 8, Faces: 2, Events: []string{"1", "22"}}, Files: 1, Bytes: 100, FirstMillis: testMillis + 900, Picture: "seven"},
			Written{Tally: Tally{ID: record.In("a", 1).At(3), Size: 1}},
			Written{Tally: Tally{ID: record.In("b", 0).At(5), TimestampMillis: testMillis + 1, Size: 200, Faces: 1, Events: []string{"333"}}, Files: 1, Bytes: 11, FirstMillis: testMillis + 801, Picture: "five"},
			Written{Tally: Tally{ID: record.In("c", 0).At(1), Size: 10, Faces: 2, Slots: []Slot{
				{"door", SlotCooldown, 4, []Kept{{1, boxes(1, 2, 3, 4, 5, 6, 7, 8)}}}, {"door", SlotSampled, 8, []Kept{{Offset: 1}}}}}, Files: 1, Bytes: 10, FirstMillis: testMillis + 900},
			Written{Tally: Tally{ID: record.In("c", 0).At(2), Size: 10, Faces: 3, Cooled: true, Slots: []Slot{{"door", SlotSampled, 9, []Kept{{Offset: 2}}}}}},
			Written{Tally: Tally{ID: record.In("c", 0).At(4), Size: 10, Faces: 1, Slots: []Slot{
				{"door", SlotCooldown, 4, []Kept{{4, boxes(9, 9, 9, 9)}}}, {"door", SlotSampled, 10, []Kept{{Offset: 4}}}}}, Files: 1, Bytes: 10, FirstMillis: testMillis + 900},
		)
		rejected := beam.Create(s,
			Written{Tally: Tally{ID: record.In("b", 0).At(6), TimestampMillis: testMillis + 2, Size: 30, Rejected: frame.WrongSize}, Files: 1, Bytes: 400, FirstMillis: testMillis, Picture: "six.json"},
			Written{Tally: Tally{ID: record.In("b", 0).At(8), Size: 4, Rejected: frame.SkipNull}},
			Written{Tally: Tally{ID: record.In("c", 0).At(3), Size: 70, Rejected: frame.Sampled}},
			Written{Tally: Tally{ID: record.In("a", 0).At(0), Rejected: frame.SkipSmall}},
		)
		WriteLedger(s, cfg, "w1", written, rejected)
		testkit.Value(beam.Run(t.Context(), runner, p))(t)
		got := testkit.Value(ReadWritten(t.Context(), cfg, "w1"))(t)
		if got := got.Sum(); got.Read != 10 || got.ReadBytes != 1335 || got.Decoded != 6 || got.Skipped != 2 ||
			got.Sampled != 1 || got.Cooled != 1 || got.Files != 4 || got.Slots != nil {
			t.Errorf("%s: the sum is %+v", runner, got)
		}
		want := Ledger{FirstMillis: testMillis + 801, Latency: Latency{map[int]int64{78: 1, 79: 1}, 900}, Latest: Latest{testMillis + 1, "five"},
			Detect: Latency{map[int]int64{0: 5, 24: 1}, 8}, Cameras: map[string]int64{"a%2Fb": 2, "unknown": 7}, Partitions: []Partition{
				{TopicPartition: record.In("a", 0), FirstOffset: 0, LastOffset: 0, Offsets: testkit.Ranges(0, 0), Read: 1, Skipped: 1},
				{TopicPartition: record.In("a", 1), FirstOffset: 3, LastOffset: 3, Offsets: testkit.Ranges(3, 3), Read: 1, ReadBytes: 1, Decoded: 1},
				{TopicPartition: record.In("b", 0), FirstOffset: 5, LastOffset: 8, Offsets: testkit.Ranges(5, 8), Pictures: testkit.Ranges(5, 5, 7, 7), Rejects: testkit.Ranges(6, 6), Lost: testkit.Ranges(), Read: 4, ReadBytes: 1234, Decoded: 2, Skipped: 1, Rejected: map[string]int64{frame.WrongSize: 1}, FramesWithFaces: 2, Faces: 3, Files: 2, Bytes: 111, Events: 3, EventBytes: 9},
				{TopicPartition: record.In("c", 0), FirstOffset: 1, LastOffset: 4, Offsets: testkit.Ranges(1, 4), Pictures: testkit.Ranges(1, 1, 4, 4), Rejects: testkit.Ranges(), Lost: testkit.Ranges(), Read: 4, ReadBytes: 100, Decoded: 3, Sampled: 1, Rejected: map[string]int64{}, FramesWithFaces: 3, Cooled: 1, Faces: 6, Files: 2, Bytes: 20, Slots: []Slot{
					{"door", SlotCooldown, 4, []Kept{{1, boxes(1, 2, 3, 4, 5, 6, 7, 8)}, {4, boxes(9, 9, 9, 9)}}},
					{"door", SlotSampled, 8, []Kept{{Offset: 1}}},
					{"door", SlotSampled, 9, []Kept{{Offset: 2}}},
					{"door", SlotSampled, 10, []Kept{{Offset: 4}}},
				}},
			}}
		testkit.Equal(t, runner, got, want)
	}
}

// Of a long window of a shard that takes each second offset, no record is lost or counted
// twice, wherever sums begin and end. A window without records has a ledger too.
func TestWriteLedgerOfMany(t *testing.T) {
	for _, records := range []int{0, 2*sumOf + 7} {
		written := []Written{}
		for i := range records {
			written = append(written, Written{Tally: Tally{ID: record.In("t", 0).At(int64(2 * i)), Size: 1}})
		}
		cfg := testConfig(t.TempDir())
		p, s := beam.NewPipelineWithRoot()
		WriteLedger(s, cfg, "w1", beam.CreateList(s, written), beam.CreateList(s, []Written{}))
		ptest.RunAndValidate(t, p)
		got := testkit.Value(ReadWritten(t.Context(), cfg, "w1"))(t)
		ranges := 0
		for _, p := range got.Partitions {
			ranges += len(p.Offsets)
		}
		if sum := got.Sum(); sum.Read != int64(records) || sum.ReadBytes != int64(records) || ranges != records {
			t.Errorf("%d records of %d bytes in %d ranges, want %d of each", sum.Read, sum.ReadBytes, ranges, records)
		}
	}
}

// However many cameras there are, and in whichever order they come, a ledger has the first
// of their names with all of their faces, and the others' faces together.
func TestLedgerOfManyCameras(t *testing.T) {
	var sums [3]Ledger
	for i := range 3 * MostCameras {
		camera := fmt.Sprintf("%03d", i*7%(2*MostCameras)) // the first half of them twice
		sums[i%3] = Merge(sums[i%3], Ledger{Cameras: map[string]int64{camera: 2}})
	}
	got := Merge(sums[2], Merge(sums[0], sums[1])).Cameras
	want := map[string]int64{}
	for i := range 3 * MostCameras {
		camera := fmt.Sprintf("%03d", i*7%(2*MostCameras))
		if camera >= fmt.Sprintf("%03d", MostCameras) {
			camera = OtherCameras
		}
		want[camera] += 2
	}
	testkit.Equal(t, "the faces by camera", got, want)
}

// The percentiles of counts that were added up in any way are at most 10 % above those of
// the times themselves, and never above the longest.
func TestLatency(t *testing.T) {
	var windows [3]Latency
	for i := range int64(1000) { // 1, 2, ... 1,000 s
		windows[i%3] = windows[i%3].Plus(latencyOf(float64((i + 1) * 1000)))
	}
	windows[1] = windows[1].Plus(latencyOf(-5)) // the camera's clock is ahead
	before := windows[1].Plus(Latency{})
	sum := windows[0].Plus(windows[1]).Plus(windows[2])
	if !reflect.DeepEqual(sum, windows[2].Plus(windows[1]).Plus(windows[0])) || !reflect.DeepEqual(windows[1], before) {
		t.Errorf("the sum %v depends on the order, or has changed what it adds", sum)
	}
	var read Latency
	testkit.Must(t, json.Unmarshal(testkit.Value(json.Marshal(sum))(t), &read))
	got := *read.Percentiles()
	for _, p := range []struct{ got, want int64 }{{got.P50, 500_000}, {got.P95, 950_000}, {got.P99, 990_000}} {
		if p.got < p.want || p.got > p.want*11/10 {
			t.Errorf("%+v, want %d or a tenth more", got, p.want)
		}
	}
	if got.Max != 1_000_000 || got.P99 > got.Max {
		t.Errorf("%+v, want 1000000 at most", got)
	}
	testkit.Equal(t, "one time", latencyOf(420).Percentiles().String(), "latency 0.42 s (p95 0.42, p99 0.42, at most 0.42)")
	testkit.Equal(t, "nothing", Latency{}.Percentiles(), nil)
}

// kept gives a slot in which some offsets were kept.
func kept(camera string, number int64, offsets ...int64) Slot {
	s := Slot{Camera: camera, Kind: SlotSampled, Number: number}
	for _, offset := range offsets {
		s.Kept = append(s.Kept, Kept{Offset: offset})
	}
	return s
}

func ledgerOf(partition int32, slots ...Slot) Ledger {
	return Ledger{Partitions: []Partition{{TopicPartition: record.In("t", partition), Slots: slots}}}
}

// The latest slots of each camera and kind are left, whatever is merged first.
func TestMergedSlots(t *testing.T) {
	var parts []Ledger
	var want []Slot
	for n := range int64(40) {
		for _, camera := range []string{"a", "b"} {
			// Two bundles keep something in each.
			parts = append(parts, ledgerOf(0, kept(camera, n, 3*n)), ledgerOf(0, kept(camera, n, 3*n+1)))
			if n >= 40-16 {
				want = append(want, kept(camera, n, 3*n, 3*n+1))
			}
		}
	}
	cool := Slot{"a", SlotCooldown, 2, []Kept{{5, boxes(1, 2, 3, 4)}}}
	parts = append(parts, ledgerOf(0, cool))
	want = append(want, cool)
	slices.SortFunc(want, compareSlots)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		before := fmt.Sprint(parts)
		// As runners do: accumulators of any size are merged with each other.
		all := slices.Clone(parts)
		for len(all) > 1 {
			i := random.IntN(len(all) - 1)
			all[i] = Merge(all[i], all[i+1])
			all = slices.Delete(all, i+1, i+2)
		}
		testkit.Equal(t, "the slots", all[0].Partitions[0].Slots, want)
		testkit.Equal(t, "what Merge was given", fmt.Sprint(parts), before)
	}
}

func TestCarry(t *testing.T) {
	far := int64(1 << 40) // of a wrong clock
	first := Carry(nil).After(Merge(ledgerOf(0, kept("a", 5, 50), kept("a", far, 51)), ledgerOf(1, kept("a", 7, 3))))
	before := fmt.Sprint(first)
	second := first.After(ledgerOf(0, kept("a", 5, 60), kept("b", 6, 61)))
	want := Carry{
		record.In("t", 0): {kept("a", 5, 50, 60), kept("a", far, 51), kept("b", 6, 61)},
		record.In("t", 1): {kept("a", 7, 3)}, // of which the window had no record
	}
	testkit.Equal(t, "the second", second, want)
	testkit.Equal(t, "the first", fmt.Sprint(first), before)
	// The wrong one goes as others do.
	for n := range int64(17) {
		second = second.After(ledgerOf(0, kept("a", 10+n, 100+n)))
	}
	if got := second[record.In("t", 0)]; len(got) != 17 || got[0].Number != 11 || got[15].Number != 26 || got[16].Camera != "b" {
		t.Errorf("got %+v, want slots 11 to 26 of a, and that of b", got)
	}
}

func TestCarryOfManyCameras(t *testing.T) {
	var c Carry
	for n := range int64(3) {
		var slots []Slot
		for i := range int64(2000) {
			slots = append(slots, kept(fmt.Sprintf("%d-%d", n, i), n, n*2000+i))
		}
		c = c.After(ledgerOf(0, slots...))
	}
	if got := c[record.In("t", 0)]; len(got) != 4096 || slices.ContainsFunc(got, func(s Slot) bool { return s.last() < 6000-4096 }) {
		t.Errorf("%d slots, want those of the last 4096 cameras", len(got))
	}
}
