package store

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// BucketsPerDoubling is how finely a Latency counts: a bucket ends 9 % above the one
// before.
const BucketsPerDoubling = 8

// Latency counts times, such as how long after their records' timestamps pictures had their
// names. The buckets are the same everywhere, so that the counts of windows add up. Bucket n
// ends at 2^(n/8) ms, and 0 is for what took less than 1 ms.
type Latency struct {
	Counts    map[int]int64 `json:"counts"`
	MaxMillis int64         `json:"max_ms"`
}

// latencyOf counts one time.
func latencyOf(millis float64) Latency {
	bucket := int(math.Ceil(math.Log2(max(1, millis)) * BucketsPerDoubling))
	return Latency{map[int]int64{bucket: 1}, int64(math.Ceil(max(0, millis)))}
}

// Plus adds the counts of two, and changes neither.
func (l Latency) Plus(m Latency) Latency {
	if m.Counts == nil {
		return l
	}
	counts := maps.Clone(m.Counts)
	for bucket, n := range l.Counts {
		counts[bucket] += n
	}
	return Latency{counts, max(l.MaxMillis, m.MaxMillis)}
}

// Percentiles are those of a Latency in milliseconds: up to so many took a part, half of
// them in P50.
type Percentiles struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// Percentiles returns nil if nothing was counted.
func (l Latency) Percentiles() *Percentiles {
	var all int64
	for _, n := range l.Counts {
		all += n
	}
	if all == 0 {
		return nil
	}
	at := func(part float64) int64 {
		left := int64(math.Ceil(part * float64(all)))
		for _, bucket := range slices.Sorted(maps.Keys(l.Counts)) {
			if left -= l.Counts[bucket]; left <= 0 {
				return min(l.MaxMillis, int64(math.Exp2(float64(bucket)/BucketsPerDoubling)))
			}
		}
		return l.MaxMillis
	}
	return &Percentiles{at(0.5), at(0.95), at(0.99), l.MaxMillis}
}

// String is for a line that a person reads.
func (p *Percentiles) String() string {
	seconds := func(millis int64) float64 { return float64(millis) / 1000 }
	return fmt.Sprintf("latency %.2f s (p95 %.2f, p99 %.2f, at most %.2f)", seconds(p.P50), seconds(p.P95), seconds(p.P99), seconds(p.Max))
}
