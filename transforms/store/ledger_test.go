package store

import (
	"reflect"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/transforms/frame"
)

func TestWriteLedger(t *testing.T) {
	for _, runner := range []string{"prism", "direct"} {
		cfg := testConfig(t.TempDir())
		p, s := beam.NewPipelineWithRoot()
		written := beam.Create(s,
			Written{Topic: "b", Partition: 0, Offset: 7, Size: 1000, Faces: 2, Files: 1, Bytes: 100, FirstMillis: 5000, TimestampMillis: 11, Picture: "seven", Events: []string{"1", "22"}},
			Written{Topic: "a", Partition: 1, Offset: 3, Size: 1},
			Written{Topic: "b", Partition: 0, Offset: 5, Size: 200, Faces: 1, Files: 1, Bytes: 11, FirstMillis: 4000, TimestampMillis: 12, Picture: "five", Events: []string{"333"}},
			Written{Topic: "c", Offset: 1, Size: 10, Faces: 2, Files: 1, Bytes: 10, FirstMillis: 6000, Slots: []Slot{
				{"door", SlotCooldown, 4, []Kept{{1, []Box{{1, 2, 3, 4}, {5, 6, 7, 8}}}}}, {"door", SlotSampled, 8, []Kept{{Offset: 1}}}}},
			Written{Topic: "c", Offset: 2, Size: 10, Faces: 3, Cooled: true, Slots: []Slot{{"door", SlotSampled, 9, []Kept{{Offset: 2}}}}},
			Written{Topic: "c", Offset: 4, Size: 10, Faces: 1, Files: 1, Bytes: 10, FirstMillis: 6000, Slots: []Slot{
				{"door", SlotCooldown, 4, []Kept{{4, []Box{{9, 9, 9, 9}}}}}, {"door", SlotSampled, 10, []Kept{{Offset: 4}}}}},
		)
		rejected := beam.Create(s,
			Rejected{Topic: "b", Partition: 0, Offset: 6, Size: 30, Reason: frame.WrongSize},
			Rejected{Topic: "b", Partition: 0, Offset: 8, Size: 4, Reason: frame.SkipNull, Skipped: true},
			Rejected{Topic: "c", Offset: 3, Size: 70, Reason: frame.Sampled},
			Rejected{Topic: "a", Partition: 0, Offset: 0, Reason: frame.SkipSmall, Skipped: true},
		)
		WriteLedger(s, cfg, "w1", written, rejected)
		if _, err := beam.Run(t.Context(), runner, p); err != nil {
			t.Fatal(err)
		}
		got, err := ReadWritten(t.Context(), cfg, "w1")
		if err != nil {
			t.Fatal(err)
		}
		if got := got.Sum(); got.Read != 10 || got.ReadBytes != 1335 || got.Decoded != 6 || got.Skipped != 2 ||
			got.Sampled != 1 || got.Cooled != 1 || got.Files != 4 || got.Slots != nil {
			t.Errorf("%s: the sum is %+v", runner, got)
		}
		want := Ledger{FirstMillis: 4000, Latest: Latest{12, "five"}, Partitions: []Partition{
			{Topic: "a", Partition: 0, FirstOffset: 0, LastOffset: 0, Offsets: []Range{{0, 0}}, Read: 1, Skipped: 1},
			{Topic: "a", Partition: 1, FirstOffset: 3, LastOffset: 3, Offsets: []Range{{3, 3}}, Read: 1, ReadBytes: 1, Decoded: 1},
			{Topic: "b", Partition: 0, FirstOffset: 5, LastOffset: 8, Offsets: []Range{{5, 8}},
				Pictures: []Range{{5, 5}, {7, 7}}, Rejects: []Range{{6, 6}}, Lost: []Range{},
				Read: 4, ReadBytes: 1234, Decoded: 2, Skipped: 1,
				Rejected: map[string]int64{frame.WrongSize: 1}, FramesWithFaces: 2, Faces: 3, Files: 2, Bytes: 111, Events: 3, EventBytes: 9},
			{Topic: "c", FirstOffset: 1, LastOffset: 4, Offsets: []Range{{1, 4}}, Pictures: []Range{{1, 1}, {4, 4}}, Rejects: []Range{}, Lost: []Range{},
				Read: 4, ReadBytes: 100, Decoded: 3, Sampled: 1, Rejected: map[string]int64{}, FramesWithFaces: 3, Cooled: 1, Faces: 6, Files: 2, Bytes: 20,
				Slots: []Slot{
					{"door", SlotCooldown, 4, []Kept{{1, []Box{{1, 2, 3, 4}, {5, 6, 7, 8}}}, {4, []Box{{9, 9, 9, 9}}}}},
					{"door", SlotSampled, 8, []Kept{{Offset: 1}}},
					{"door", SlotSampled, 9, []Kept{{Offset: 2}}},
					{"door", SlotSampled, 10, []Kept{{Offset: 4}}},
				}},
		}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", runner, got, want)
		}
	}
}

// A ledger that nobody keeps is none. A kept one says whose it is and what was
// lost.
func TestKeepLedger(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		p, s := beam.NewPipelineWithRoot()
		WriteLedger(s, cfg, "w1", beam.CreateList(s, []Written{{Topic: "a", Offset: 3}}), beam.CreateList(s, []Rejected{}))
		ptest.RunAndValidate(t, p)
		if l, err := ReadLedger(t.Context(), cfg, "w1"); err == nil {
			t.Errorf("before it is kept there is a ledger: %+v", l)
		}
		l, err := ReadWritten(t.Context(), cfg, "w1")
		if err != nil {
			t.Fatal(err)
		}
		l.Run = Run{ID: cfg.Run, Group: "g", Runner: "prism", Settings: []byte("{}"), SettingsSHA256: "s"}
		l.AddLost("a", 0, []Range{{1, 2}})
		l.AddLost("b", 1, []Range{{5, 5}, {7, 8}})
		for _, window := range []string{"w2", "w1"} {
			if err := KeepLedger(t.Context(), cfg, window, l); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadLedger(t.Context(), cfg, "w1")
		if err != nil || !reflect.DeepEqual(got.Run, l.Run) || got.Sum().Read != 1 || got.Lost() != 5 ||
			!reflect.DeepEqual(got.Partitions[1].Lost, []Range{{5, 5}, {7, 8}}) {
			t.Errorf("read %+v (%v)", got, err)
		}
		if windows, err := Windows(t.Context(), cfg); err != nil || !slices.Equal(windows, []string{"w1", "w2"}) {
			t.Errorf("the windows are %v (%v)", windows, err)
		}
		if err := End(t.Context(), cfg); err != nil {
			t.Error(err)
		}
		for name := range files(t, root) {
			if name != ledgerFolder+"/w1.json" && name != ledgerFolder+"/w2.json" {
				t.Errorf("%s is left", name)
			}
		}
	})
}

// A window without records has a ledger too: that it is there says the window
// is done.
func TestWriteLedgerOfNothing(t *testing.T) {
	cfg := testConfig(t.TempDir())
	p, s := beam.NewPipelineWithRoot()
	WriteLedger(s, cfg, "w1", beam.CreateList(s, []Written{}), beam.CreateList(s, []Rejected{}))
	ptest.RunAndValidate(t, p)
	got, err := ReadWritten(t.Context(), cfg, "w1")
	if err != nil || len(got.Partitions) != 0 || got.FirstMillis != 0 {
		t.Errorf("got %+v (%v), want an empty ledger", got, err)
	}
}

func TestMergeRanges(t *testing.T) {
	for _, tc := range []struct{ a, b, want []Range }{
		{nil, nil, []Range{}},
		{[]Range{{1, 2}}, nil, []Range{{1, 2}}},
		{[]Range{{1, 2}}, []Range{{3, 3}}, []Range{{1, 3}}},
		{[]Range{{3, 3}}, []Range{{1, 2}, {5, 9}}, []Range{{1, 3}, {5, 9}}},
		{[]Range{{1, 1}, {7, 7}}, []Range{{3, 3}, {5, 5}}, []Range{{1, 1}, {3, 3}, {5, 5}, {7, 7}}},
		{[]Range{{1, 9}}, []Range{{2, 3}, {9, 12}}, []Range{{1, 12}}},
	} {
		if got := MergeRanges(tc.a, tc.b); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v and %v: got %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
