//go:build !race

package kafka_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/paths"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/kafka"
)

func init() {
	beam.RegisterType(reflect.TypeFor[dumpFn]())
}

// expansion serves all tests that read with KafkaIO.
var expansion *runners.Expansion

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(testservices.Main(func() int {
		dir, err := os.MkdirTemp("", "expansion-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		expansion = runners.NewExpansion(dir)
		defer expansion.Close()
		return m.Run()
	}))
}

// dumpFn writes each record to a file of its own: a pipeline's elements, seen
// from outside.
type dumpFn struct {
	Dir string
}

func (fn *dumpFn) ProcessElement(r kafka.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(fn.Dir, fmt.Sprintf("%d+%d", r.Partition, r.Offset)), data, 0o644)
}

// dump returns a pipeline that reads a window in the way that is a runner's here, and the
// folder that it fills.
func dump(t *testing.T, runner string, w kafka.Window, o *kafka.Offsets, expansion *runners.Expansion) (p *beam.Pipeline, dir string) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	var elements beam.PCollection
	if runner == runners.Direct {
		var err error
		w.Shards, _, err = o.Share(t.Context(), 3, 1<<20, false, false)
		testkit.Must(t, err)
		elements = kafka.ReadNative(s, w)
	} else {
		elements = testkit.Value(kafka.Read(s, w, testkit.Value(expansion.Next(t.Context()))(t)))(t)
	}
	dir = t.TempDir()
	beam.ParDo0(s, &dumpFn{Dir: dir}, elements)
	return p, dir
}

// read reads at most so many records in one window on a runner, by partition+offset.
func (to *topic) read(t *testing.T, runner, group string, records, seconds int64, consumer map[string]string) map[string]kafka.Record {
	t.Helper()
	ctx := t.Context()
	run := testkit.Value(paths.NewRun(t.TempDir()))(t)
	r := testkit.Value(runners.Open(ctx, runners.Config{Name: runner, Dir: run}))(t)
	defer r.Close()
	w := kafka.Window{Brokers: to.broker, Topics: []string{to.name}, Group: group, MaxRecords: records, MaxSeconds: seconds, Consumer: consumer}
	o := testkit.Value(kafka.Open(ctx, to.broker, group, w.Topics))(t)
	defer o.Close()
	o.Uncommitted = kafka.ReadsUncommitted(consumer)
	p, dir := dump(t, runner, w, o, expansion)
	testkit.Must(t, r.Run(ctx, "read", p))
	files := testkit.Value(os.ReadDir(dir))(t)
	out := map[string]kafka.Record{}
	for _, f := range files {
		var one kafka.Record
		testkit.Must(t, json.Unmarshal(testkit.ReadFile(t, filepath.Join(dir, f.Name())), &one))
		out[f.Name()] = one
	}
	return out
}

// mustRead checks which records both ways to read give to the group.
func (to *topic) mustRead(t *testing.T, records int64, consumer map[string]string, want ...string) {
	t.Helper()
	for _, runner := range []string{runners.Prism, runners.Direct} {
		testkit.Equal(t, runner, slices.Sorted(maps.Keys(to.read(t, runner, to.name, records, 30, consumer))), want)
	}
}

func bytes(s string) *[]byte {
	b := []byte(s)
	return &b
}

// Both ways to read give every field of a record as it was sent, nulls and all.
func TestReadGivesRecordsAsSent(t *testing.T) {
	const millis = 1_700_000_000_123
	at := time.UnixMilli(millis)
	to := newTopic(t, "as-sent", 2, nil)
	to.send(t,
		&kgo.Record{Partition: 0, Timestamp: at, Key: []byte("door"), Value: []byte("no headers")},
		&kgo.Record{Partition: 0, Timestamp: at, Key: nil, Value: []byte("null key")},
		&kgo.Record{Partition: 0, Timestamp: at, Key: []byte("door"), Value: nil},
		&kgo.Record{Partition: 1, Timestamp: at, Value: []byte("one header"),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("image/jpeg")}}},
		&kgo.Record{Partition: 1, Timestamp: at, Value: []byte("two headers, one null"),
			Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "b", Value: []byte{0, 255}}}},
		&kgo.Record{Partition: 1, Timestamp: at, Key: []byte{}, Value: []byte{}},
	)
	sent := func(partition int32, offset int64, key, value *[]byte, headers ...kafka.Header) kafka.Record {
		if headers == nil {
			headers = []kafka.Header{}
		}
		return kafka.Record{Topic: to.name, Partition: partition, Offset: offset, Timestamp: millis, Key: key, Value: value,
			Headers: &headers, TimestampTypeId: 0, TimestampTypeName: "CreateTime"}
	}
	want := map[string]kafka.Record{
		"0+0": sent(0, 0, bytes("door"), bytes("no headers")),
		"0+1": sent(0, 1, nil, bytes("null key")),
		"0+2": sent(0, 2, bytes("door"), nil),
		"1+0": sent(1, 0, nil, bytes("one header"), kafka.Header{Key: "content-type", Value: bytes("image/jpeg")}),
		"1+1": sent(1, 1, nil, bytes("two headers, one null"), kafka.Header{Key: "a"}, kafka.Header{Key: "b", Value: bytes("\x00\xff")}),
		"1+2": sent(1, 2, bytes(""), bytes("")),
	}
	for _, runner := range []string{runners.Prism, runners.Direct} {
		t.Run(runner, func(t *testing.T) {
			got := to.read(t, runner, to.name+"-"+runner, 6, 30, nil)
			for name, w := range want {
				testkit.Equal(t, name, text(got[name]), text(w))
			}
			testkit.Equal(t, "the records", len(got), len(want))
		})
	}
}

// Case 3: a window with fewer records than its limit, and an idle partition,
// ends by its seconds with everything that is there.
func TestReadEndsByItsSeconds(t *testing.T) {
	to := newTopic(t, "few", 4, nil)
	to.send(t, value(0, "x"), value(1, "x"), value(2, "x"))
	got := slices.Sorted(maps.Keys(to.read(t, runners.Prism, to.name, 100, 3, nil)))
	testkit.Equal(t, "what is read", got, []string{"0+0", "1+0", "2+0"})
}

func text(r kafka.Record) string {
	data, _ := json.Marshal(r)
	return string(data)
}
