package store

import (
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/transforms/frame"
)

func TestWriteLedger(t *testing.T) {
	for _, runner := range []string{"prism", "direct"} {
		cfg := Config{Root: t.TempDir()}
		p, s := beam.NewPipelineWithRoot()
		written := beam.Create(s,
			Written{Topic: "b", Partition: 0, Offset: 7, Faces: 2, Files: 1, Bytes: 100, FirstMillis: 5000},
			Written{Topic: "a", Partition: 1, Offset: 3},
			Written{Topic: "b", Partition: 0, Offset: 5, Faces: 1, Files: 1, Bytes: 11, FirstMillis: 4000},
		)
		rejects := beam.Create(s,
			frame.Reject{Topic: "b", Partition: 0, Offset: 6, Reason: frame.WrongSize},
			frame.Reject{Topic: "b", Partition: 0, Offset: 8, Reason: frame.SkipNull},
			frame.Reject{Topic: "a", Partition: 0, Offset: 0, Reason: frame.SkipSmall},
		)
		WriteLedger(s, cfg, "w1", written, rejects)
		if _, err := beam.Run(t.Context(), runner, p); err != nil {
			t.Fatal(err)
		}
		got, err := KeepLedger(t.Context(), cfg, "w1")
		if err != nil {
			t.Fatal(err)
		}
		want := Ledger{FirstMillis: 4000, Partitions: []Partition{
			{Topic: "a", Partition: 0, FirstOffset: 0, LastOffset: 0, Offsets: []Range{{0, 0}}, Read: 1, Skipped: 1},
			{Topic: "a", Partition: 1, FirstOffset: 3, LastOffset: 3, Offsets: []Range{{3, 3}}, Read: 1, Decoded: 1},
			{Topic: "b", Partition: 0, FirstOffset: 5, LastOffset: 8, Offsets: []Range{{5, 8}}, Read: 4, Decoded: 2, Skipped: 1,
				Rejected: map[string]int64{frame.WrongSize: 1}, FramesWithFaces: 2, Faces: 3, Files: 2, Bytes: 111},
		}}
		for i := range got.Partitions {
			if len(got.Partitions[i].Rejected) == 0 {
				got.Partitions[i].Rejected = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", runner, got, want)
		}
	}
}

// A ledger that nobody keeps is none, and one that is removed is gone.
func TestKeepLedger(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := Config{Root: root}
		p, s := beam.NewPipelineWithRoot()
		WriteLedger(s, cfg, "w1", beam.CreateList(s, []Written{{Topic: "a", Offset: 3}}), beam.CreateList(s, []frame.Reject{}))
		ptest.RunAndValidate(t, p)
		if l, err := ReadLedger(t.Context(), cfg, "w1"); err == nil {
			t.Errorf("before it is kept there is a ledger: %+v", l)
		}
		if l, err := KeepLedger(t.Context(), cfg, "w1"); err != nil || l.Sum().Read != 1 {
			t.Errorf("kept %+v (%v), want one record", l, err)
		}
		if l, err := ReadLedger(t.Context(), cfg, "w1"); err != nil || l.Sum().Read != 1 {
			t.Errorf("read %+v (%v), want one record", l, err)
		}
		if err := CleanTmp(t.Context(), root); err != nil {
			t.Error(err)
		}
		for name := range files(t, root) {
			if name != ledgerFolder+"/w1.json" {
				t.Errorf("%s is left", name)
			}
		}
		if err := RemoveLedger(t.Context(), cfg, "w1"); err != nil {
			t.Error(err)
		}
		if l, err := ReadLedger(t.Context(), cfg, "w1"); err == nil {
			t.Errorf("after its removal there is a ledger: %+v", l)
		}
	})
}

// A window without records has a ledger too: that it is there says the window
// is done.
func TestWriteLedgerOfNothing(t *testing.T) {
	cfg := Config{Root: t.TempDir()}
	p, s := beam.NewPipelineWithRoot()
	WriteLedger(s, cfg, "w1", beam.CreateList(s, []Written{}), beam.CreateList(s, []frame.Reject{}))
	ptest.RunAndValidate(t, p)
	got, err := KeepLedger(t.Context(), cfg, "w1")
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
		if got := mergeRanges(tc.a, tc.b); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v and %v: got %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
