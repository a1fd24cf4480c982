package kafka

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestFit(t *testing.T) {
	repeat := func(n int, size int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = size
		}
		return out
	}
	for name, tc := range map[string]struct {
		partitions []*sizes
		max, want  int64
	}{
		"nothing waiting":                     {nil, 100, 0},
		"all fit":                             {[]*sizes{{each: repeat(5, 10)}}, 100, 5},
		"exactly full":                        {[]*sizes{{each: repeat(20, 10)}}, 100, 10},
		"one too large is read alone":         {[]*sizes{{each: repeat(3, 1000)}}, 100, 1},
		"any partition may fill the window":   {[]*sizes{{each: repeat(50, 1)}, {each: repeat(50, 10)}}, 100, 10},
		"small ones first, then large ones":   {[]*sizes{{each: append(repeat(50, 1), repeat(50, 25)...)}}, 100, 52},
		"large ones behind the reach":         {[]*sizes{{each: repeat(200, 1)}, {each: append(repeat(60, 1), 1000)}}, 100, 60},
		"unseen count as the largest seen":    {[]*sizes{{each: repeat(2, 10), end: 1000}}, 100, 10},
		"unseen ones beside small ones":       {[]*sizes{{each: []int64{50, 1, 1}, end: 5}}, 101, 3},
		"never more than one reader may read": {[]*sizes{{each: repeat(20_000, 1)}}, 1 << 40, 9_999},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.Equal(t, "the records that fit", fit(tc.partitions, tc.max), tc.want)
		})
	}
}

// Each record is looked at once, also if many windows pass before it is read.
func TestLookaheadRemembers(t *testing.T) {
	const size = recordOverhead + 744
	p, q := record.In("t", 0), record.In("t", 1)
	ahead := lookahead{}
	look := func(what string, positions map[record.TopicPartition]position, maxBytes int64, want map[record.TopicPartition]position) {
		t.Helper()
		ahead.move(positions)
		got := ahead.wanted(maxBytes)
		testkit.Equal(t, what+": what it wants to look at", got, want)
	}
	see := func(p record.TopicPartition, offsets ...int64) {
		for _, o := range offsets {
			ahead.see(chunk{TopicPartition: p, records: []*kgo.Record{{Offset: o, Value: make([]byte, size-recordOverhead)}}, next: o + 1})
		}
	}
	records := func(want int64, maxBytes int64) {
		t.Helper()
		testkit.Equal(t, fmt.Sprintf("the records that fit into %d bytes", maxBytes), fit(slices.Collect(maps.Values(ahead.partitions)), maxBytes), want)
	}
	look("nothing seen", map[record.TopicPartition]position{p: {start: 10, end: 100}, q: {start: 0, end: 2}}, 3*size,
		map[record.TopicPartition]position{p: {start: 10, end: 100}, q: {start: 0, end: 2}})
	see(p, 10, 11, 13) // 12 is no record
	see(q, 0, 1)
	look("enough seen", map[record.TopicPartition]position{p: {start: 10, end: 100}, q: {start: 0, end: 2}}, 3*size, nil)
	records(3, 3*size)
	look("two done, and new ones", map[record.TopicPartition]position{p: {start: 12, end: 100}, q: {start: 0, end: 5}}, 3*size,
		map[record.TopicPartition]position{p: {start: 14, end: 100}, q: {start: 2, end: 5}})
	look("a smaller window", map[record.TopicPartition]position{p: {start: 12, end: 100}, q: {start: 0, end: 5}}, size, nil)
	look("moved beyond what was seen", map[record.TopicPartition]position{p: {start: 50, end: 100}, q: {start: 2, end: 2}}, 3*size,
		map[record.TopicPartition]position{p: {start: 50, end: 100}})
	see(p, 50, 51)
	look("moved back", map[record.TopicPartition]position{p: {start: 20, end: 100}, q: {start: 2, end: 2}}, 3*size,
		map[record.TopicPartition]position{p: {start: 20, end: 100}})
	see(p, 20)
	look("cut off at its end", map[record.TopicPartition]position{p: {start: 19, end: 20}}, 3*size,
		map[record.TopicPartition]position{p: {start: 19, end: 20}})
	testkit.Equal(t, "a partition that is gone", ahead.partitions[q], nil)
	records(1, 3*size)
}
