package kafka

import (
	"context"
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

// Plan chooses how many records the next window may read so that they take at
// most maxBytes, whichever partitions the reader takes them from; 0 if none is waiting. It reads
// waiting records, because nothing else tells their sizes: up to the budget of
// each partition, and four budgets in all. Each record that it has not read counts
// as the largest one that it has. One record is always allowed. It remembers sizes
// for the next windows.
func (o *Offsets) Plan(ctx context.Context, maxBytes int64) (records int64, err error) {
	_, err = o.look(ctx, maxBytes)
	return fit(slices.Collect(maps.Values(o.ahead.partitions)), maxBytes), err
}

// Lag returns how many records the group has still to read. Of a partition that Plan has
// not looked at to its end, each offset counts; but at least one is a record if the lag
// is not 0.
func (o *Offsets) Lag(ctx context.Context) (int64, error) { return o.look(ctx, 1) }

// look looks ahead as far as a window of maxBytes needs it, and returns the lag.
func (o *Offsets) look(ctx context.Context, maxBytes int64) (lag int64, err error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return 0, err
	}
	o.ahead.move(positions)
	err = o.scan(ctx, o.ahead.wanted(maxBytes), func(c chunk) (bool, error) {
		o.ahead.see(c)
		return o.ahead.bytes < scanBudgets*maxBytes && o.ahead.partitions[c.TopicPartition].wanted(maxBytes), nil
	})
	for _, s := range o.ahead.partitions {
		lag += int64(len(s.each)) + s.unseen()
	}
	return lag, err
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

// see notes the sizes of the next records of a partition.
func (l *lookahead) see(c chunk) {
	s := l.partitions[c.TopicPartition]
	for _, r := range c.records {
		n := recordBytes(r)
		s.each, s.offsets = append(s.each, n), append(s.offsets, r.Offset)
		s.bytes += n
		l.bytes += n
	}
	s.next = c.next
}

// skip returns the first offset from next on that may hold a record, by what was seen.
func (l *lookahead) skip(p record.TopicPartition, next int64) int64 {
	s := l.partitions[p]
	if s == nil || next < s.start || next > s.next {
		return next
	}
	if i, _ := slices.BinarySearch(s.offsets, next); i < len(s.offsets) {
		return s.offsets[i]
	}
	return s.next
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
