package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
)

func TestLogsAndCommitted(t *testing.T) {
	to := fill(t, "logs")
	testkit.Gives(to.offsets.Logs(t.Context()))(t, "the logs", []kafka.Log{{TopicPartition: record.In(to.name, 0), Start: 2, End: 9}, {TopicPartition: record.In(to.name, 1), End: 2}})
	testkit.Gives(to.offsets.Committed(t.Context()))(t, "what a new group has committed", nil)
	to.stand(t, to.name, 1, 5) // beyond the end, which is for others to judge
	to.stand(t, newTopic(t, "logs-of-another", 1, nil).name, 0, 1)
	testkit.Gives(to.offsets.Committed(t.Context()))(t, "committed", []record.ID{record.In(to.name, 1).At(5)})
}

func TestVisit(t *testing.T) {
	to := fill(t, "visit")
	visit := func(visit func(kafka.Record) (bool, error), ranges ...int64) error {
		return to.offsets.Visit(t.Context(), []record.Offsets{to.of(0, ranges...), to.of(1, 0, 0)}, visit)
	}
	for name, test := range map[string]struct {
		ranges []int64
		more   bool // records of a range than its first
		want   []string
	}{
		"none":               {nil, true, []string{"1+0"}},
		"one":                {[]int64{3, 3}, true, []string{"0+3", "1+0"}},
		"several":            {[]int64{3, 4, 7, 7}, true, []string{"0+3", "0+4", "0+7", "1+0"}},
		"removed, then some": {[]int64{0, 1, 1, 2}, true, []string{"0+2", "1+0"}},
		"control":            {[]int64{6, 6, 8, 8}, true, []string{"1+0"}},
		"across control":     {[]int64{5, 7}, true, []string{"0+5", "0+7", "1+0"}},
		"the first of each":  {[]int64{2, 5, 6, 8}, false, []string{"0+2", "0+7", "1+0"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := visit(func(r kafka.Record) (bool, error) {
				if want := fmt.Sprint(r.Offset); r.Value == nil || string(*r.Value) != want {
					t.Errorf("offset %s has another value", want)
				}
				got = append(got, fmt.Sprintf("%d+%d", r.Partition, r.Offset))
				return test.more, nil
			}, test.ranges...)
			testkit.Must(t, err)
			slices.Sort(got)
			testkit.Equal(t, "what is visited", got, test.want)
		})
	}
	failed := errors.New("enough")
	calls := 0
	if err := visit(func(kafka.Record) (bool, error) { calls++; return true, failed }, 2, 5); err != failed || calls != 1 {
		t.Errorf("an error of visit: %v after %d calls", err, calls)
	}
}

// Records of aborted transactions and control records are no frames, no gaps and no lag,
// and those of open transactions do not wait yet. Whoever asks for read_uncommitted gets
// them.
func TestTransactions(t *testing.T) {
	to := fill(t, "transactions")
	to.mustPlan(t, 1<<20, 6)
	to.begin(t, to.client, value(0, "aborted"), value(0, "aborted"), value(1, "aborted"))
	to.end(t, to.client, kgo.TryAbort, 12, 4)
	to.mustPlan(t, 1<<20, 6)
	to.mustLag(t, 6)
	to.mustRead(t, 6, nil, "0+2", "0+3", "0+4", "0+5", "0+7", "1+0")
	to.commit(t, to.of(0, 2, 5, 7, 7), to.of(1, 0, 0))
	to.mustLag(t, 0)
	committed := testkit.Value(to.offsets.Committed(t.Context()))(t)
	slices.SortFunc(committed, record.ID.Compare)
	testkit.Equal(t, "what is committed, the ends", committed, []record.ID{record.In(to.name, 0).At(12), record.In(to.name, 1).At(4)})
	to.stand(t, to.name, 0, 8)
	to.stand(t, to.name, 1, 1)
	to.mustLag(t, 0)

	// What is aborted ends before the transaction does: nothing is behind it to see that by.
	other := to.connect(t, kgo.TransactionalID(to.name+"-other"))
	to.begin(t, to.client, value(0, "aborted"))
	to.begin(t, other, value(0, "open"))
	to.end(t, to.client, kgo.TryAbort, 15)
	to.mustPlan(t, 1<<20, 0)
	all := testkit.Value(kafka.Open(t.Context(), to.broker, to.name, []string{to.name}))(t)
	defer all.Close()
	all.Uncommitted = true
	testkit.Gives(all.Plan(t.Context(), 1<<20))(t, "aborted records and open ones, uncommitted", 5)
	testkit.Gives(all.Lag(t.Context()))(t, "the lag of these", 5)
	to.mustRead(t, 5, map[string]string{"isolation.level": "read_uncommitted"}, "0+10", "0+12", "0+13", "0+9", "1+2")
	// A group that has read these stands behind what is stable.
	to.stand(t, to.name, 0, 15)
	to.mustLag(t, 0)

	// They are no gap, and nothing to visit.
	to.stand(t, to.name, 0, 8)
	to.end(t, other, kgo.TryCommit, 16)
	to.commit(t, to.of(0, 13, 13))
	to.mustLag(t, 0)
	testkit.Must(t, to.offsets.Visit(t.Context(), []record.Offsets{to.of(0, 8, 12), to.of(1, 1, 3)}, func(r kafka.Record) (bool, error) {
		t.Errorf("visited offset %d", r.Offset)
		return true, nil
	}))
}

// A record that was passed over is named, and nothing is committed; an offset
// that holds no record is none.
func TestReviewFindsGaps(t *testing.T) {
	to := newTopic(t, "gaps", 2, nil)
	for range 6 {
		to.send(t, value(1, "x"))
	}
	for _, test := range []struct {
		done []int64
		want int64
	}{
		{[]int64{2, 5}, 0},
		{[]int64{0, 1, 3, 3, 5, 5}, 2},
		{[]int64{0, 3, 5, 5}, 4},
	} {
		_, err := to.offsets.Review(t.Context(), []record.Offsets{to.of(1, test.done...)})
		gap, ok := errors.AsType[*kafka.GapError](err)
		if !ok || gap.ID != record.In(to.name, 1).At(test.want) {
			t.Errorf("%v: error %v, want a gap at %d", test.done, err, test.want)
		}
		to.mustLag(t, 6)
	}
}

// What Kafka removed before the group read it is lost, not a gap: the group goes
// on with what is there, in KafkaIO as in the Go client, and the review says
// what was lost, also of a partition with nothing left.
func TestReviewFindsWhatIsLost(t *testing.T) {
	to := newTopic(t, "lost", 3, nil)
	for range 9 {
		to.send(t, value(0, "x"), value(1, "x"), value(2, "x"))
	}
	to.commit(t, to.of(0, 0, 1), to.of(1, 0, 1))
	to.remove(t, 0, 5)
	to.remove(t, 1, 9)
	to.remove(t, 2, 4) // of which the group has read nothing yet; but it stood there
	to.mustPlan(t, 1<<20, 9)
	to.mustLag(t, 9)
	to.mustPlan(t, 600, 2) // a record counts for its bytes and 256 more
	to.mustRead(t, 9, nil, "0+5", "0+6", "0+7", "0+8", "2+4", "2+5", "2+6", "2+7", "2+8")
	done := []record.Offsets{to.of(0, 5, 8), to.of(2, 4, 8)}
	lost := []record.Offsets{to.of(0, 2, 4), to.of(1, 2, 8), to.of(2, 0, 3)}
	review := testkit.Value(to.offsets.Review(t.Context(), done))(t)
	testkit.Equal(t, "what is lost", review.Lost, lost)
	// Partition 0 loses more, with offset 6 not read yet.
	to.remove(t, 0, 8)
	done[0].Ranges = testkit.Ranges(5, 5, 7, 8)
	lost[0].Ranges = testkit.Ranges(2, 4, 6, 6)
	review = testkit.Value(to.offsets.Review(t.Context(), done))(t)
	testkit.Equal(t, "what is lost in mid window", review.Lost, lost)
	testkit.Must(t, to.offsets.Commit(t.Context(), review))
	testkit.Equal(t, "what is lost after the commit", testkit.Value(to.offsets.Review(t.Context(), nil))(t).Lost, nil)
	to.mustLag(t, 0)
}

// The window of the native reader ends where the driver says, behind what is no record,
// and not before a record that was not read.
func TestReviewOfWholeWindow(t *testing.T) {
	to := fill(t, "whole")
	for _, test := range []struct {
		done []int64
		gap  bool
	}{{[]int64{2, 5}, true}, {[]int64{2, 5, 7, 7}, false}} {
		_, _, err := to.offsets.Share(t.Context(), 1, 1<<20, false, false)
		testkit.Must(t, err)
		review, err := to.offsets.Review(t.Context(), []record.Offsets{to.of(0, test.done...), to.of(1, 0, 0)})
		if gap := errors.As(err, new(*kafka.GapError)); gap != test.gap || err != nil && !gap {
			t.Fatalf("%v: error %v, want a gap: %t", test.done, err, test.gap)
		}
		if err == nil {
			testkit.Must(t, to.offsets.Commit(t.Context(), review))
		}
	}
	testkit.Gives(to.offsets.Waiting(t.Context()))(t, "the offsets that wait", 0)
}
