package audit

import (
	"math/rand/v2"

	"facestream/internal/record"
)

// Sample chooses n records at random, of those that ledgers have and that Kafka
// still holds; all if there are no more.
func (r Report) Sample(n int) []record.Offsets {
	var from []record.Offsets
	var total int64
	for _, p := range r.Partitions {
		o := record.Offsets{TopicPartition: p.TopicPartition, Ranges: record.Between(p.Covered, p.LogStart, p.LogEnd)}
		from = append(from, o)
		total += record.Count(o.Ranges)
	}
	if total <= int64(n) {
		return from
	}
	chosen := map[int64]bool{}
	for len(chosen) < n {
		chosen[rand.Int64N(total)] = true
	}
	var first int64 // index of the partition's first record
	for i, o := range from {
		var ranges []record.Range
		for index := range chosen {
			if offset, ok := nth(o.Ranges, index-first); ok {
				ranges = append(ranges, o.At(offset).Range())
			}
		}
		from[i].Ranges = record.Union(ranges)
		first += record.Count(o.Ranges)
	}
	return from
}

// nth returns the n-th offset of ranges, from 0, if there is one.
func nth(ranges []record.Range, n int64) (offset int64, ok bool) {
	for _, r := range ranges {
		if size := r.Last - r.First + 1; n >= size {
			n -= size
			continue
		}
		return r.First + n, n >= 0
	}
	return 0, false
}
