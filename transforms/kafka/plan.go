package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"facestream/internal/record"

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
// most maxBytes, whichever partitions the reader takes them from. It reads
// waiting records, because nothing else tells their sizes: up to the budget of
// each partition, and four budgets in all. Each record that it has not read counts
// as the largest one that it has. One record is always allowed. It remembers sizes
// for the next windows.
func (o *Offsets) Plan(ctx context.Context, maxBytes int64) (Plan, error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	for _, p := range positions {
		plan.Lag += p.end - p.start
	}
	o.ahead.move(positions)
	err = o.scan(ctx, o.ahead.wanted(maxBytes), func(r *kgo.Record) bool {
		o.ahead.see(r)
		return o.ahead.bytes < scanBudgets*maxBytes && o.ahead.anyWanted(maxBytes)
	})
	if err != nil {
		return Plan{}, fmt.Errorf("looking ahead in %v: %w", o.topics, err)
	}
	plan.Records = fit(slices.Collect(maps.Values(o.ahead.partitions)), maxBytes)
	return plan, nil
}

// lookahead is what was seen of the records that are waiting.
type lookahead struct {
	partitions map[record.TopicPartition]*sizes
	bytes      int64 // sum of the partitions'
}

// sizes are the sizes of one partition's waiting records, in order.
type sizes struct {
	each       []int64
	offsets    []int64 // of each
	bytes      int64   // sum of each
	start, end int64   // the offsets that wait: [start, end)
	next       int64   // sizes are known of [start, next)
}

// unseen is how many records may wait behind those whose sizes are known.
func (s *sizes) unseen() int64 { return s.end - s.next }

// wanted reports whether a window of maxBytes needs the sizes of more records.
func (s *sizes) wanted(maxBytes int64) bool {
	return s.unseen() > 0 && s.bytes < maxBytes && len(s.each) < maxWindowRecords
}

// move forgets records that no longer wait.
func (l *lookahead) move(positions map[record.TopicPartition]position) {
	l.bytes = 0
	moved := make(map[record.TopicPartition]*sizes, len(positions))
	for p, at := range positions {
		s := l.partitions[p]
		if s == nil || at.start < s.start || at.start > s.next || at.end < s.next {
			s = &sizes{next: at.start}
		}
		s.start, s.end = at.start, at.end
		gone, _ := slices.BinarySearch(s.offsets, at.start)
		for _, n := range s.each[:gone] {
			s.bytes -= n
		}
		s.each, s.offsets = slices.Delete(s.each, 0, gone), slices.Delete(s.offsets, 0, gone)
		moved[p] = s
		l.bytes += s.bytes
	}
	l.partitions = moved
}

// wanted returns the records whose sizes a window of maxBytes needs.
func (l *lookahead) wanted(maxBytes int64) map[record.TopicPartition]position {
	out := map[record.TopicPartition]position{}
	for p, s := range l.partitions {
		if l.bytes < scanBudgets*maxBytes && s.wanted(maxBytes) {
			out[p] = position{start: s.next, end: s.end}
		}
	}
	return out
}

func (l *lookahead) anyWanted(maxBytes int64) bool {
	for _, s := range l.partitions {
		if s.wanted(maxBytes) {
			return true
		}
	}
	return false
}

// see notes the size of the next record of a partition.
func (l *lookahead) see(r *kgo.Record) {
	s := l.partitions[record.In(r.Topic, r.Partition)]
	s.next = r.Offset + 1
	if r.Attrs.IsControl() {
		return
	}
	n := recordBytes(r)
	s.each, s.offsets = append(s.each, n), append(s.offsets, r.Offset)
	s.bytes += n
	l.bytes += n
}

// fit returns the largest number of records n, at least 1 if there are any,
// such that no n records a reader could take, each partition from its front,
// are larger than maxBytes together.
func fit(partitions []*sizes, maxBytes int64) int64 {
	var total, largest int64
	for _, s := range partitions {
		total += int64(len(s.each)) + s.unseen()
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
			unseen += min(n-k, s.unseen())
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
