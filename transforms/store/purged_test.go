package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

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
	got, err := ParseMarks(list)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if !got.Has(record.In(long, 1).At(8)) || got.Has(record.In(long, 1).At(9)) {
		t.Errorf("%v", got)
	}
	var back Marks
	testkit.Must(t, json.Unmarshal(testkit.Value(json.Marshal(got))(t), &back))
	if !reflect.DeepEqual(back, want) {
		t.Errorf("%v comes back as %v", want, back)
	}
	for _, wrong := range []string{"", "\n", "a+0", "a+0+1+2", "a+-1+2", "a+1+-2", "a+1+x", "+1+2", "a+1+2 3", "a+1+9223372036854775807"} {
		if got, err := ParseMarks(wrong); err == nil {
			t.Errorf("%q is %v", wrong, got)
		}
	}
}
