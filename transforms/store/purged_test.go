package store

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
)

// A list of records has topics as Kafka or as names of files have them.
func TestParseMarks(t *testing.T) {
	long := strings.Repeat("x", 200)
	_, inName := KindOf(nameOf("door", 0, long, 1, 7).Path())
	list := strings.Join([]string{"a+0+1", " a+0+2", "", "_b+1+00000000000000000041", RecordName(record.In("_b", 1).At(42)), long + "+1+7", RecordName(record.In(long, 1).At(8))}, "\r\n")
	want := Marks{
		record.In("a", 0):          testkit.Ranges(1, 2),
		record.In("_b", 1):         testkit.Ranges(41, 42),
		record.In(inName.Topic, 1): testkit.Ranges(7, 8),
	}
	got := testkit.Value(ParseMarks(list))(t)
	testkit.Equal(t, "the list", got, want)
	if !got.Has(record.In(long, 1).At(8)) || got.Has(record.In(long, 1).At(9)) {
		t.Errorf("%v", got)
	}
	var back Marks
	testkit.Must(t, json.Unmarshal(testkit.Value(json.Marshal(got))(t), &back))
	testkit.Equal(t, "JSON and back", back, want)
	for _, wrong := range []string{"", "\n", "a+0", "a+0+1+2", "a+-1+2", "a+1+-2", "a+1+x", "+1+2", "a+1+2 3", "a+1+9223372036854775807"} {
		_, err := ParseMarks(wrong)
		testkit.Says(t, wrong, err, "TOPIC+PARTITION+OFFSET")
	}
}

// A run that purges leaves what is there of records that it reads next: as it stores that again,
// it must not be known as removed.
func TestPurgeOfWhatIsReadNext(t *testing.T) {
	cfg := testConfig(t.TempDir())
	b := openBook(t, cfg.Root, bookRun)
	keep(t, b, cfg.Root, "20260102T030000.000Z-5f3a9c01", 0, 7)
	next := nameOf("door", testMillis, "a", 0, 7)
	for _, of := range []struct {
		run  *Book
		left map[string]string
	}{{b, map[string]string{next.Path(): "picture"}}, {nil, map[string]string{}}} {
		store(t, cfg.Root, next.Path(), "picture")
		store(t, cfg.Root, nameOf("door", testMillis, "a", 0, 6).Path(), "picture")
		testkit.Value(Purge(t.Context(), cfg, Selection{To: time.Now(), Aged: true}, of.run, false, func(Freed) {}))(t)
		left := files(t, cfg.Root)
		maps.DeleteFunc(left, func(name, _ string) bool { return !strings.HasPrefix(name, "door/") })
		if known := testkit.Value(ReadPurged(t.Context(), cfg))(t).Files.Has(next.ID); !maps.Equal(left, of.left) || known == (len(left) > 0) {
			t.Errorf("left are %q, want %q; known as removed: %v", left, of.left, known)
		}
	}
}
