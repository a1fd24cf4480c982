package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/paths"
	"facestream/internal/record"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/kafka"
)

func init() {
	beam.RegisterType(reflect.TypeFor[dumpFn]())
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
	return os.WriteFile(filepath.Join(fn.Dir, fmt.Sprintf("%s+%d+%d", r.Topic, r.Partition, r.Offset)), data, 0o644)
}

// readWith runs one window on a runner and returns its records by
// topic+partition+offset.
func readWith(t *testing.T, runner string, w kafka.Window) map[string]kafka.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run, err := paths.NewRun(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := runners.Open(ctx, runners.Config{Name: runner, Dir: run})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	p, s := beam.NewPipelineWithRoot()
	var records beam.PCollection
	if runner == runners.Direct {
		records = kafka.ReadNative(s, w)
	} else {
		expansion := runners.NewExpansion(run)
		defer expansion.Close()
		addr, err := expansion.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if records, err = kafka.Read(s, w, addr); err != nil {
			t.Fatal(err)
		}
	}
	beam.ParDo0(s, &dumpFn{Dir: dir}, records)
	if err := r.Run(ctx, "read", p); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]kafka.Record{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var one kafka.Record
		if err := json.Unmarshal(data, &one); err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = one
	}
	return out
}

// client connects to the test broker and creates a topic.
func client(t *testing.T, broker, topic string, partitions int32) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	created, err := kadm.NewClient(c).CreateTopic(t.Context(), partitions, 1, nil, topic)
	if err == nil {
		err = created.Err
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func produce(t *testing.T, c *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := c.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// commit commits what is done, of which nothing may have been passed over.
func commit(t *testing.T, offsets *kafka.Offsets, done ...record.Offsets) {
	t.Helper()
	review, err := offsets.Review(t.Context(), done)
	if err == nil {
		err = offsets.Commit(t.Context(), review)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func bytes(s string) *[]byte {
	b := []byte(s)
	return &b
}

// Both ways to read give every field of a record as it was sent, nulls and all.
func TestReadGivesRecordsAsSent(t *testing.T) {
	broker := realBroker(t)
	const millis = 1_700_000_000_123
	at := time.UnixMilli(millis)
	topic := testservices.Name("as-sent")
	c := client(t, broker, topic, 2)
	produce(t, c,
		&kgo.Record{Topic: topic, Partition: 0, Timestamp: at, Key: []byte("door"), Value: []byte("no headers")},
		&kgo.Record{Topic: topic, Partition: 0, Timestamp: at, Key: nil, Value: []byte("null key")},
		&kgo.Record{Topic: topic, Partition: 0, Timestamp: at, Key: []byte("door"), Value: nil},
		&kgo.Record{Topic: topic, Partition: 1, Timestamp: at, Value: []byte("one header"),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("image/jpeg")}}},
		&kgo.Record{Topic: topic, Partition: 1, Timestamp: at, Value: []byte("two headers, one null"),
			Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "b", Value: []byte{0, 255}}}},
		&kgo.Record{Topic: topic, Partition: 1, Timestamp: at, Key: []byte{}, Value: []byte{}},
	)
	sent := func(partition int32, offset int64, key, value *[]byte, headers ...kafka.Header) kafka.Record {
		if headers == nil {
			headers = []kafka.Header{}
		}
		return kafka.Record{Topic: topic, Partition: partition, Offset: offset, Timestamp: millis, Key: key, Value: value,
			Headers: &headers, TimestampTypeId: 0, TimestampTypeName: "CreateTime"}
	}
	want := map[string]kafka.Record{
		topic + "+0+0": sent(0, 0, bytes("door"), bytes("no headers")),
		topic + "+0+1": sent(0, 1, nil, bytes("null key")),
		topic + "+0+2": sent(0, 2, bytes("door"), nil),
		topic + "+1+0": sent(1, 0, nil, bytes("one header"), kafka.Header{Key: "content-type", Value: bytes("image/jpeg")}),
		topic + "+1+1": sent(1, 1, nil, bytes("two headers, one null"), kafka.Header{Key: "a"}, kafka.Header{Key: "b", Value: bytes("\x00\xff")}),
		topic + "+1+2": sent(1, 2, bytes(""), bytes("")),
	}
	for _, runner := range []string{runners.Prism, runners.Direct} {
		t.Run(runner, func(t *testing.T) {
			got := readWith(t, runner, kafka.Window{
				Brokers: broker, Topics: []string{topic}, Group: topic + "-" + runner, MaxRecords: 6, MaxSeconds: 30,
			})
			for name, w := range want {
				if g, ok := got[name]; !ok || !reflect.DeepEqual(g, w) {
					t.Errorf("%s: got %s, want %s", name, text(g), text(w))
				}
			}
			if len(got) != len(want) {
				t.Errorf("got %d records, want %d", len(got), len(want))
			}
		})
	}
}

// Case 3: a window with fewer records than its limit, and an idle partition,
// ends by its seconds with everything that is there.
func TestReadEndsByItsSeconds(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("few")
	c := client(t, broker, topic, 4)
	for p := range int32(3) {
		produce(t, c, &kgo.Record{Topic: topic, Partition: p, Value: []byte("x")})
	}
	got := readWith(t, runners.Prism, kafka.Window{
		Brokers: broker, Topics: []string{topic}, Group: topic, MaxRecords: 100, MaxSeconds: 3,
	})
	for _, name := range []string{topic + "+0+0", topic + "+1+0", topic + "+2+0"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != 3 {
		t.Errorf("got %d records, want 3", len(got))
	}
}

// A group's next window starts where the last was committed; the lag says what
// is left.
func TestOffsets(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("offsets")
	c := client(t, broker, topic, 2)
	for range 5 {
		produce(t, c, &kgo.Record{Topic: topic, Partition: 0, Value: make([]byte, 1000)}, &kgo.Record{Topic: topic, Partition: 1, Value: make([]byte, 1000)})
	}
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	plan := func(maxBytes int64, want kafka.Plan) {
		t.Helper()
		got, err := offsets.Plan(t.Context(), maxBytes)
		if err != nil || got != want {
			t.Errorf("plan for %d bytes: %+v (%v), want %+v", maxBytes, got, err, want)
		}
	}
	plan(1<<20, kafka.Plan{Records: 10, Lag: 10})
	plan(3000, kafka.Plan{Records: 2, Lag: 10}) // a record counts for its bytes and 256 more
	commit(t, offsets, record.Offsets{TopicPartition: record.In(topic, 0), Ranges: upTo(3)})
	plan(1<<20, kafka.Plan{Records: 6, Lag: 6})
	for _, runner := range []string{runners.Prism, runners.Direct} {
		got := readWith(t, runner, kafka.Window{Brokers: broker, Topics: []string{topic}, Group: topic, MaxRecords: 6, MaxSeconds: 30})
		want := []string{"offsets+0+4", "offsets+1+0", "offsets+1+1", "offsets+1+2", "offsets+1+3", "offsets+1+4"}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("%s read %v, want %v", runner, names, want)
		}
	}
	commit(t, offsets, record.Offsets{TopicPartition: record.In(topic, 0), Ranges: upTo(4)}, record.Offsets{TopicPartition: record.In(topic, 1), Ranges: upTo(4)})
	plan(1<<20, kafka.Plan{})
	if lag, err := offsets.Lag(t.Context()); err != nil || lag != 0 {
		t.Errorf("lag %d (%v), want 0", lag, err)
	}
}

// A record that was passed over is named, and nothing is committed; an offset
// that holds no record is none.
func TestReviewFindsGaps(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("gaps")
	c := client(t, broker, topic, 2)
	for range 6 {
		produce(t, c, &kgo.Record{Topic: topic, Partition: 1, Value: []byte("x")})
	}
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	for _, tc := range []struct {
		offsets []record.Range
		want    int64
	}{
		{testkit.Ranges(2, 5), 0},
		{testkit.Ranges(0, 1, 3, 3, 5, 5), 2},
		{testkit.Ranges(0, 3, 5, 5), 4},
	} {
		_, err := offsets.Review(t.Context(), []record.Offsets{{TopicPartition: record.In(topic, 1), Ranges: tc.offsets}})
		var gap *kafka.GapError
		if !errors.As(err, &gap) || gap.ID != record.In(topic, 1).At(tc.want) {
			t.Errorf("%v: error %v, want a gap at %d", tc.offsets, err, tc.want)
		}
		if lag, err := offsets.Lag(t.Context()); err != nil || lag != 6 {
			t.Errorf("%v: lag %d (%v), want that nothing is committed", tc.offsets, lag, err)
		}
	}
}

// A transaction's end takes an offset, and is no gap.
func TestReviewPassesOverControlRecords(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("transactions")
	client(t, broker, topic, 1)
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // offsets 0 and 2; 1 and 3 are the ends
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, c, &kgo.Record{Topic: topic, Value: []byte("x")})
		if err := c.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	commit(t, offsets, record.Offsets{TopicPartition: record.In(topic, 0), Ranges: testkit.Ranges(0, 0, 2, 2)})
}

// What Kafka removed before the group read it is lost, not a gap: the group goes
// on with what is there, in KafkaIO as in the Go client, and the review says
// what was lost, also of a partition with nothing left.
func TestReviewFindsWhatIsLost(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("retention")
	c := client(t, broker, topic, 3)
	for range 9 {
		for p := range int32(3) {
			produce(t, c, &kgo.Record{Topic: topic, Partition: p, Value: []byte("x")})
		}
	}
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	commit(t, offsets, record.Offsets{TopicPartition: record.In(topic, 0), Ranges: upTo(1)}, record.Offsets{TopicPartition: record.In(topic, 1), Ranges: upTo(1)})
	before := kadm.Offsets{}
	before.AddOffset(topic, 0, 5, -1)
	before.AddOffset(topic, 1, 9, -1)
	before.AddOffset(topic, 2, 4, -1) // which the group has never read
	if _, err := kadm.NewClient(c).DeleteRecords(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	want := []string{"retention+0+5", "retention+0+6", "retention+0+7", "retention+0+8",
		"retention+2+4", "retention+2+5", "retention+2+6", "retention+2+7", "retention+2+8"}
	plan, err := offsets.Plan(t.Context(), 1<<20)
	if err != nil || plan.Records != int64(len(want)) {
		t.Errorf("plan %+v (%v), want %d records", plan, err, len(want))
	}
	for _, runner := range []string{runners.Prism, runners.Direct} {
		got := readWith(t, runner, kafka.Window{Brokers: broker, Topics: []string{topic}, Group: topic, MaxRecords: plan.Records, MaxSeconds: 30})
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("%s read %v, want %v", runner, names, want)
		}
	}
	done := []record.Offsets{
		{TopicPartition: record.In(topic, 0), Ranges: testkit.Ranges(5, 8)},
		{TopicPartition: record.In(topic, 2), Ranges: testkit.Ranges(4, 8)},
	}
	review, err := offsets.Review(t.Context(), done)
	lost := []record.Offsets{
		{TopicPartition: record.In(topic, 0), Ranges: testkit.Ranges(2, 4)},
		{TopicPartition: record.In(topic, 1), Ranges: testkit.Ranges(2, 8)},
	}
	if err != nil || !reflect.DeepEqual(review.Lost, lost) {
		t.Errorf("lost %+v (%v), want %+v", review.Lost, err, lost)
	}
	// Partition 0 loses more, with offset 6 not read yet.
	before = kadm.Offsets{}
	before.AddOffset(topic, 0, 8, -1)
	if _, err := kadm.NewClient(c).DeleteRecords(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	done[0].Ranges = testkit.Ranges(5, 5, 7, 8)
	lost[0].Ranges = testkit.Ranges(2, 4, 6, 6)
	if review, err = offsets.Review(t.Context(), done); err != nil || !reflect.DeepEqual(review.Lost, lost) {
		t.Errorf("in mid window: lost %+v (%v), want %+v", review.Lost, err, lost)
	}
	if err := offsets.Commit(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	if review, err = offsets.Review(t.Context(), nil); err != nil || len(review.Lost) > 0 {
		t.Errorf("after the commit: lost %+v (%v), want nothing", review.Lost, err)
	}
	if lag, err := offsets.Lag(t.Context()); err != nil || lag != 0 {
		t.Errorf("lag %d (%v), want 0", lag, err)
	}
}

func upTo(last int64) []record.Range { return testkit.Ranges(0, last) }

// An offset beyond the end, of a topic that was made anew, is an error that
// names what stands where: KafkaIO would wait there in silence.
func TestOffsetBeyondTheEnd(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("anew")
	c := client(t, broker, topic, 1)
	produce(t, c, &kgo.Record{Topic: topic, Value: []byte("x")})
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	commit(t, offsets, record.Offsets{TopicPartition: record.In(topic, 0), Ranges: upTo(99)})
	_, err = offsets.Plan(t.Context(), 1<<20)
	if err == nil || !strings.Contains(err.Error(), "group anew stands at offset 100 of partition 0 of topic anew, which ends at 1") {
		t.Errorf("error %v, want one that says where the group stands", err)
	}
}

// A transaction ends with a control record, which is no frame.
func TestPlanPassesOverControlRecords(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("transaction")
	client(t, broker, topic, 1)
	c, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, &kgo.Record{Topic: topic, Value: make([]byte, 1000)})
	if err := c.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	offsets, err := kafka.Open(t.Context(), broker, topic, []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	// The broker writes the control record some time after the commit.
	want := kafka.Plan{Records: 1, Lag: 2}
	var got kafka.Plan
	for deadline := time.Now().Add(time.Minute); got != want && time.Now().Before(deadline); {
		if got, err = offsets.Plan(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("plan %+v, want %+v", got, want)
	}
}

func TestOpenNamesTheMissingTopic(t *testing.T) {
	broker := realBroker(t)
	_, err := kafka.Open(t.Context(), broker, "g", []string{"nowhere"})
	if !errors.Is(err, kafka.ErrUnknownTopic) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v, want one that names the topic", err)
	}
}

func text(r kafka.Record) string {
	data, _ := json.Marshal(r)
	return string(data)
}
