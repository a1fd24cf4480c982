package store

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

// event is a line about a record.
func event(topic string, partition int32, offset int64, face int) string {
	return fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d,"face":%d}`, topic, partition, offset, face)
}

// A window's events are one file, in order, whatever order they come in.
func TestWriteEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		p, s := beam.NewPipelineWithRoot()
		WriteEvents(s, testConfig(root), "w", beam.Create(s,
			Written{Tally: Tally{ID: record.In("b", 0).At(3), Events: []string{"5"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(2), Events: []string{"2", "3"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(1)}},
			Written{Tally: Tally{ID: record.In("a", 0).At(9), Events: []string{"1"}}},
			Written{Tally: Tally{ID: record.In("a", 1).At(10), Events: []string{"4"}}},
		))
		for range 2 { // a window that is done again replaces its events
			ptest.RunAndValidate(t, p)
			mustHold(t, root, map[string]string{"_tmp/this-run/w.jsonl": "1\n2\n3\n4\n5\n"})
		}
	})
}

// However many records a window has, few elements and bytes pass the runner, which holds
// these several times over. The events are still in order.
func TestLittlePassesTheRunner(t *testing.T) {
	const records = 4*sumOf + 7
	var written []Written
	var lines strings.Builder
	for i := range int64(records) {
		line := event("t", 0, i, 1)
		written = append(written, Written{Tally: Tally{ID: record.In("t", 0).At(i), Events: []string{line}}})
		lines.WriteString(line + "\n")
	}
	slices.Reverse(written)
	root := t.TempDir()
	p, s := beam.NewPipelineWithRoot()
	all := beam.CreateList(s, written)
	WriteEvents(s, testConfig(root), "w", all)
	WriteLedger(s, testConfig(root), "w", all, beam.CreateList(s, []Written{}))
	result := ptest.RunAndValidate(t, p)
	testkit.Equal(t, "the events", files(t, root)["_tmp/this-run/w.jsonl"], lines.String())
	long, size := 0, int64(0)
	for _, c := range result.Metrics().Query(func(metrics.SingleResult) bool { return true }).PCols() {
		if c.Result().ElementCount >= records {
			long++
		} else {
			size += c.Result().SampledByteSize.Sum
		}
	}
	testkit.Equal(t, "the collections with an element for each record", long, 1) // which are the records
	if size == 0 || size >= int64(lines.Len()) {
		t.Errorf("%d bytes of a window with %d bytes of events pass the runner", size, lines.Len())
	}
}

// face.jpg is a copy, replaced in one step.
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
		testkit.Equal(t, "the latest", files(t, root)["face.jpg"], "cam/second")
		// A run that was killed between the two files does the window again.
		store(t, root, "face.jpg", "an older one")
		testkit.Must(t, KeepLatest(t.Context(), cfg, Latest{testMillis + 1000, "cam/second"}))
		testkit.Is(t, "a picture that is not there", KeepLatest(t.Context(), cfg, Latest{testMillis + 2000, "cam/fourth"}), fs.ErrNotExist)
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
		testkit.Equal(t, fmt.Sprintf("%+v before %+v", test.a, test.b), test.a.Before(test.b), test.want)
	}
}
