package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// maxWindowRecords keeps KafkaIO at one reader: it splits a bounded read at
	// every 10,000 records.
	maxWindowRecords = 9_999
	// recordOverhead is counted for each record beside its bytes: metadata in
	// the row, and what a runner keeps for an element.
	recordOverhead = 256
	// scanBudgets bounds the look ahead, in multiples of the window's bytes.
	scanBudgets = 4
)

// Plan is what is known of a window before it is read.
type Plan struct {
	Records int64 // how many records to read; 0 if none is waiting
	Lag     int64 // how many records are waiting, by offsets
}

// Plan chooses how many records the next window may read so that they take at
// most maxBytes, whichever partitions the reader takes them from. It looks at
// the waiting records themselves, because nothing else tells their sizes: a
// partition at a time up to the budget, four budgets in all; what it has not
// seen counts as the largest it has. One record is always allowed.
func (o *Offsets) Plan(ctx context.Context, maxBytes int64) (Plan, error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	for _, p := range positions {
		plan.Lag += p.end - p.start
	}
	if plan.Lag == 0 {
		return plan, nil
	}
	seen := map[partition]*sizes{}
	for p, at := range positions {
		seen[p] = &sizes{unseen: at.end - at.start}
	}
	var total int64
	err = o.scan(ctx, positions, func(r *kgo.Record) bool {
		p := partition{r.Topic, r.Partition}
		s := seen[p]
		s.unseen = positions[p].end - r.Offset - 1
		if !r.Attrs.IsControl() {
			s.add(recordBytes(r))
			total += recordBytes(r)
		}
		return total < scanBudgets*maxBytes && anyOf(seen, func(s *sizes) bool {
			return s.unseen > 0 && s.bytes < maxBytes && len(s.each) < maxWindowRecords
		})
	})
	if err != nil {
		return Plan{}, fmt.Errorf("looking ahead in %v: %w", o.topics, err)
	}
	plan.Records = fit(slices.Collect(maps.Values(seen)), maxBytes)
	return plan, nil
}

// sizes are the sizes of one partition's waiting records, in order.
type sizes struct {
	each   []int64
	bytes  int64 // sum of each
	unseen int64 // records behind them
}

func (s *sizes) add(n int64) {
	s.each = append(s.each, n)
	s.bytes += n
}

// fit returns the largest number of records n, at least 1 if there are any,
// such that no n records a reader could take, each partition from its front,
// are larger than maxBytes together.
func fit(partitions []*sizes, maxBytes int64) int64 {
	var total, largest int64
	for _, s := range partitions {
		total += int64(len(s.each)) + s.unseen
		for _, n := range s.each {
			largest = max(largest, n)
		}
	}
	// worst is the sum of the n largest among the first n of each partition.
	worst := func(n int64) int64 {
		var sum, unseen int64
		var all []int64
		for _, s := range partitions {
			k := min(n, int64(len(s.each)))
			all = append(all, s.each[:k]...)
			unseen += min(n-k, s.unseen)
		}
		unseen = min(unseen, n)
		sum = unseen * largest
		slices.Sort(all)
		for i := len(all) - 1; i >= 0 && unseen < n; i, unseen = i-1, unseen+1 {
			sum += all[i]
		}
		return sum
	}
	most := min(total, maxWindowRecords)
	n := int64(sort.Search(int(most), func(i int) bool { return worst(int64(i)+1) > maxBytes }))
	return max(n, min(1, total))
}

func recordBytes(r *kgo.Record) int64 {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}

func anyOf(m map[partition]*sizes, is func(*sizes) bool) bool {
	for _, s := range m {
		if is(s) {
			return true
		}
	}
	return false
}
