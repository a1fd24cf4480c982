package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

// event is a line about a record.
func event(topic string, partition int32, offset int64, face int) string {
	return fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d,"face":%d}`, topic, partition, offset, face)
}

// A window's events are one file, in order, whatever order they come in, and
// count once they are kept.
func TestWriteEvents(t *testing.T) {
	const window, file = "20260102T030405.000Z-5f3a9c01", "_events/2026-01-02/20260102T030405.000Z-5f3a9c01.jsonl"
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		p, s := beam.NewPipelineWithRoot()
		WriteEvents(s, cfg, window, beam.Create(s,
			Written{Tally: Tally{ID: record.In("b", 0).At(3), Events: []string{"5"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(2), Events: []string{"2", "3"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(1)}},
			Written{Tally: Tally{ID: record.In("a", 0).At(9), Events: []string{"1"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(10), Events: []string{"4"}}},
		))
		for range 2 { // a window that is done again replaces its events
			ptest.RunAndValidate(t, p)
			testkit.Must(t, KeepEvents(t.Context(), cfg, window))
			testkit.Must(t, End(t.Context(), cfg))
			mustHold(t, root, map[string]string{file: "1\n2\n3\n4\n5\n"})
		}
		if lines, err := ReadEvents(t.Context(), cfg, window); err != nil || !slices.Equal(lines, []string{"1", "2", "3", "4", "5"}) {
			t.Errorf("read %q, %v", lines, err)
		}
		if lines, err := ReadEvents(t.Context(), cfg, "20260102T999999"); err != nil || len(lines) > 0 {
			t.Errorf("of a window without events: %q, %v", lines, err)
		}
		if err := KeepEvents(t.Context(), cfg, "20260103T"); err == nil && !strings.HasPrefix(root, "memfs") { // which renames nothing
			t.Error("events that nobody wrote are kept")
		}
	})
}

// keptWindow stores a window with a ledger and events as a run leaves it.
func keptWindow(t *testing.T, cfg Config, window, group string, written ...Written) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	all := beam.CreateList(s, written)
	WriteEvents(s, cfg, window, all)
	WriteLedger(s, cfg, window, all, beam.CreateList(s, []Rejected{}))
	ptest.RunAndValidate(t, p)
	l, err := ReadWritten(t.Context(), cfg, window)
	testkit.Must(t, err)
	l.Run.Group = group
	testkit.Must(t, KeepLedger(t.Context(), cfg, window, l))
	testkit.Must(t, KeepEvents(t.Context(), cfg, window))
}

// A ledger has the bytes of the lines that were written, also if these are of another
// attempt than those that were counted.
func TestSetEventBytes(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		one, two := event("a", 0, 1, 1), event("a", 1, 7, 1)
		p, s := beam.NewPipelineWithRoot()
		WriteEvents(s, cfg, "w", beam.Create(s,
			Written{Tally: Tally{ID: record.In("a", 0).At(1), Events: []string{one, one}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(7), Events: []string{two}}},
		))
		ptest.RunAndValidate(t, p)
		l := Ledger{Partitions: []Partition{
			{TopicPartition: record.In("a", 0), EventBytes: 5},
			{TopicPartition: record.In("a", 1), EventBytes: 6},
			{TopicPartition: record.In("b", 0), EventBytes: 7},
		}}
		testkit.Must(t, SetEventBytes(t.Context(), cfg, "w", &l))
		got := []int64{l.Partitions[0].EventBytes, l.Partitions[1].EventBytes, l.Partitions[2].EventBytes}
		if want := []int64{int64(2 * (len(one) + 1)), int64(len(two) + 1), 0}; !slices.Equal(got, want) {
			t.Errorf("%v bytes, want %v", got, want)
		}
	})
}

// Events of records that will be read again are taken back, and no others.
func TestRetract(t *testing.T) {
	written := func(topic string, partition int32, offset int64) Written {
		return Written{Tally: Tally{ID: record.In(topic, partition).At(offset), Events: []string{event(topic, partition, offset, 1), event(topic, partition, offset, 2)}}}
	}
	for name, test := range map[string]struct {
		positions []record.ID
		topics    []string
		want      map[string][]int64 // offsets by window
	}{
		"all is committed":             {[]record.ID{record.In("a", 0).At(5), record.In("a", 1).At(3)}, []string{"a"}, map[string][]int64{"w1": {0, 1}, "w2": {2, 1}, "w3": {3, 4, 2}, "w4": {0}, "w5": {0}}},
		"the last window is not":       {[]record.ID{record.In("a", 0).At(3), record.In("a", 1).At(2)}, []string{"a"}, map[string][]int64{"w1": {0, 1}, "w2": {2, 1}, "w4": {0}, "w5": {0}}},
		"in a part of its partitions":  {[]record.ID{record.In("a", 0).At(5), record.In("a", 1).At(2)}, []string{"a"}, map[string][]int64{"w1": {0, 1}, "w2": {2, 1}, "w3": {3, 4}, "w4": {0}, "w5": {0}}},
		"nothing is committed":         {nil, []string{"a"}, map[string][]int64{"w4": {0}, "w5": {0}}},
		"the group was set back":       {[]record.ID{record.In("a", 0).At(1), record.In("a", 1).At(3)}, []string{"a"}, map[string][]int64{"w1": {0}, "w2": {1}, "w3": {2}, "w4": {0}, "w5": {0}}},
		"another topic is read":        {[]record.ID{record.In("b", 0).At(0)}, []string{"b"}, map[string][]int64{"w1": {0, 1}, "w2": {2, 1}, "w3": {3, 4, 2}, "w4": {0}}},
		"it stands behind the windows": {[]record.ID{record.In("a", 0).At(9), record.In("a", 1).At(9)}, []string{"a"}, map[string][]int64{"w1": {0, 1}, "w2": {2, 1}, "w3": {3, 4, 2}, "w4": {0}, "w5": {0}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			keptWindow(t, cfg, "w1", "g", written("a", 0, 0), written("a", 0, 1))
			keptWindow(t, cfg, "w2", "g", written("a", 0, 2), written("a", 1, 1))
			keptWindow(t, cfg, "w3", "g", written("a", 0, 3), written("a", 0, 4), written("a", 1, 2))
			keptWindow(t, cfg, "w4", "another", written("a", 0, 0))
			keptWindow(t, cfg, "w5", "g", written("b", 0, 0))
			testkit.Must(t, Retract(t.Context(), cfg, "g", test.topics, test.positions))
			got := map[string][]int64{}
			for _, window := range []string{"w1", "w2", "w3", "w4", "w5"} {
				lines, err := ReadEvents(t.Context(), cfg, window)
				testkit.Must(t, err)
				if len(lines)%2 != 0 {
					t.Errorf("%s: %q", window, lines)
				}
				for i := 0; i < len(lines); i += 2 {
					var topic string
					var partition, face int
					var offset int64
					if _, err := fmt.Sscanf(lines[i], `{"topic":%q,"partition":%d,"offset":%d,"face":%d}`, &topic, &partition, &offset, &face); err != nil || face != 1 {
						t.Fatalf("%s: line %q (%v)", window, lines[i], err)
					}
					got[window] = append(got[window], offset)
				}
			}
			if !maps.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("left are %v, want %v", got, test.want)
			}
		})
	}
}

// face.jpg is a copy, replaced in one step, that never goes back in time, whichever run
// keeps it.
func TestKeepLatest(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		pictures := []string{"cam/first", "cam/second", "cam/third"}
		for _, picture := range pictures {
			store(t, root, picture, picture)
		}
		for i, at := range []int64{testMillis, testMillis + 1000, testMillis + 500} {
			testkit.Must(t, KeepLatest(t.Context(), cfg, Latest{at, pictures[i]}))
		}
		// A run that was killed between the two files does the window again.
		store(t, root, "face.jpg", "an older one")
		testkit.Must(t, KeepLatest(t.Context(), cfg, Latest{testMillis + 1000, "cam/second"}))
		if err := KeepLatest(t.Context(), cfg, Latest{testMillis + 2000, "cam/fourth"}); err == nil {
			t.Error("a picture that is not there was kept")
		}
		mustHold(t, root, map[string]string{"cam/first": "cam/first", "cam/second": "cam/second", "cam/third": "cam/third", "face.jpg": "cam/second",
			"_latest.json": `{"timestamp_ms":1767323046000,"picture":"cam/second"}` + "\n"})
	})
}

func TestLatestBefore(t *testing.T) {
	for _, test := range []struct {
		a, b Latest
		want bool
	}{
		{Latest{}, Latest{}, false},
		{Latest{}, Latest{-1, "a"}, true},
		{Latest{-1, "a"}, Latest{}, false},
		{Latest{1, "b"}, Latest{2, "a"}, true},
		{Latest{2, "a"}, Latest{1, "b"}, false},
		{Latest{1, "a"}, Latest{1, "b"}, true},
		{Latest{1, "a"}, Latest{1, "a"}, false},
	} {
		if got := test.a.Before(test.b); got != test.want {
			t.Errorf("%+v before %+v: %v", test.a, test.b, got)
		}
	}
}
