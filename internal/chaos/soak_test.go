package chaos

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/audit"
	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/runners"
)

var defaults = options{
	duration: 20 * time.Minute, seed: 1764000000, runners: []string{runners.Prism, runners.Flink},
}

func TestOptions(t *testing.T) {
	for on, want := range map[string][]string{
		"prism,flink":  defaults.runners,
		"prism, prism": {runners.Prism},
	} {
		got, expected := defaults, defaults
		got.runners, got.seed, expected.runners = nil, 0, want
		if err := got.check(on, time.Unix(1764000000, 0)); err != nil || !reflect.DeepEqual(got, expected) {
			t.Errorf("--runners=%s: %+v, want %+v (%v)", on, got, expected, err)
		}
	}
	drawn := map[string]bool{}
	for seed := range int64(20) {
		got := defaults
		got.runners, got.seed = nil, 0
		testkit.Must(t, got.check("", time.Unix(seed+1, 0)))
		drawn[strings.Join(got.runners, ",")] = true
	}
	if len(drawn) != 2 || !drawn["prism,flink"] || !drawn["prism,spark"] {
		t.Errorf("drawn are %v", drawn)
	}
	for arg, want := range map[string]string{
		"--duration=0s": "--duration", "--runners=direct": "--runners", "20m": "20m",
	} {
		var stderr bytes.Buffer
		if status := Command().Main(t.Context(), []string{arg}, io.Discard, &stderr); status != cli.ExitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit status %d, %q; want %d and %q", arg, status, &stderr, cli.ExitUsage, want)
		}
	}
}

// draws is enough for every fault to be drawn many times.
const draws = 10_000

func draw(seed uint64) []lot {
	o := defaults
	o.seed = seed
	s := newSoak(o, io.Discard)
	lots := make([]lot, draws)
	for i := range lots {
		lots[i] = s.draw()
	}
	return lots
}

// The same seed gives the same faults, each as often as another one, and none of an engine
// that does not run.
func TestDraw(t *testing.T) {
	lots := draw(1)
	if !reflect.DeepEqual(lots, draw(1)) || reflect.DeepEqual(lots, draw(2)) {
		t.Error("one seed has given two different series, or two seeds the same")
	}
	on := faultsOn(defaults.runners)
	if slices.ContainsFunc(on, func(f fault) bool { return f.runner == runners.Spark }) || len(faultsOn(append(defaults.runners, runners.Spark))) != len(faults) {
		t.Errorf("faults on %q: %+v", defaults.runners, on)
	}
	first := make([]int, len(on))
	for _, l := range lots {
		if l.pause < minPause || l.pause > maxPause || len(l.order) != len(on) {
			t.Fatalf("%+v: want a pause from %s to %s, and all %d faults", l, minPause, maxPause, len(on))
		}
		first[l.order[0]]++
	}
	const tolerance = 0.2
	for i, n := range first {
		if even := float64(draws) / float64(len(on)); float64(n) < (1-tolerance)*even || float64(n) > (1+tolerance)*even {
			t.Errorf("%s: drawn %d times of %d", on[i].what, n, draws)
		}
	}
	s := newSoak(defaults, io.Discard)
	for i := range s.happened {
		s.happened[i] = i % 3
	}
	order := s.draw().order
	if !slices.IsSortedFunc(order, func(a, b int) int { return s.happened[a] - s.happened[b] }) {
		t.Errorf("the order is %v, and they have happened %v times: what happened least comes first", order, s.happened)
	}
}

// What Kafka forgets is one group's, and what it removes every group has read.
func TestLosses(t *testing.T) {
	client := testkit.Kafka(t, testkit.FakeKafka(t, kfake.SeedTopics(partitions, topic)).ListenAddrs()[0])
	admin := kadm.NewClient(client)
	for i := range 10 * partitions {
		testkit.Must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: []byte("x")}).FirstErr())
	}
	commit := func(group string, offsets ...int64) {
		all := kadm.Offsets{}
		for p, offset := range offsets {
			all.AddOffset(topic, int32(p), offset, -1)
		}
		testkit.Must(t, admin.CommitAllOffsets(t.Context(), group, all))
	}
	commit("a", 6, 4, 10, 2)
	commit("b", 8, 2)
	groups := []string{"a", "b"}
	testkit.Gives(removeRecords(t.Context(), admin, groups, 0.5))(t, "what was removed", "4 records")
	starts := testkit.Value(admin.ListStartOffsets(t.Context(), topic))(t)
	for p, want := range []int64{3, 1, 0, 0} {
		if got, _ := starts.Lookup(topic, int32(p)); got.Offset != want {
			t.Errorf("partition %d begins at %d, want %d", p, got.Offset, want)
		}
	}
	for share, want := range map[float64]map[string]int{0.1: {"a": 0, "b": 2}, 0.8: {"a": 4, "b": 1}} {
		commit("a", 6, 4, 10, 2)
		commit("b", 8, 2)
		what := testkit.Value(forgetOffsets(t.Context(), admin, groups, share))(t)
		for _, group := range groups {
			got, err := admin.FetchOffsets(t.Context(), group)
			if !errors.Is(err, kerr.GroupIDNotFound) {
				testkit.Must(t, err)
			}
			if n := len(got[topic]); n != want[group] {
				t.Errorf("of %s, group %s still has %d offsets, want %d", what, group, n, want[group])
			}
		}
	}
}

func TestCheckReport(t *testing.T) {
	end := int64(40)
	partitions := func(waiting int64, committed *int64) []audit.Partition {
		return []audit.Partition{
			{TopicPartition: record.In(topic, 1), LogEnd: end, Waiting: waiting, Committed: committed},
			{TopicPartition: record.In(topic, 2)},
		}
	}
	early := end - 1
	for name, c := range map[string]struct {
		report audit.Report
		want   []string
	}{
		"agrees":             {audit.Report{Partitions: partitions(0, &end)}, []string{""}},
		"waiting":            {audit.Report{Partitions: partitions(3, &end)}, []string{"prism: partition 1 of topic soak", "3 records still wait"}},
		"nothing committed":  {audit.Report{Partitions: partitions(0, nil)}, []string{"partition 1 of topic soak ends at 40"}},
		"too less committed": {audit.Report{Partitions: partitions(0, &early)}, []string{"partition 1 of topic soak ends at 40"}},
		"problems": {
			audit.Report{Problems: append([]audit.Problem{{Text: "a gap"}}, make([]audit.Problem, maxProblems+1)...)},
			[]string{"prism: a gap", "prism: and 2 more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.Says(t, name, checkReport("prism", c.report), c.want...)
		})
	}
}
