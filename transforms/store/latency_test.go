package store

import (
	"encoding/json"
	"reflect"
	"testing"

	"facestream/internal/testkit"
)

// The percentiles of counts that were added up in any way are at most 10 % above those of
// the times themselves, and never above the longest.
func TestLatency(t *testing.T) {
	var windows [3]Latency
	for i := range int64(1000) { // 1, 2, ... 1,000 s
		windows[i%3] = windows[i%3].Plus(latencyOf(float64((i + 1) * 1000)))
	}
	windows[1] = windows[1].Plus(latencyOf(-5)) // the camera's clock is ahead
	before := windows[1].Plus(Latency{})
	sum := windows[0].Plus(windows[1]).Plus(windows[2])
	if !reflect.DeepEqual(sum, windows[2].Plus(windows[1]).Plus(windows[0])) || !reflect.DeepEqual(windows[1], before) {
		t.Errorf("the sum %v depends on the order, or has changed what it adds", sum)
	}
	var read Latency
	testkit.Must(t, json.Unmarshal(testkit.Value(json.Marshal(sum))(t), &read))
	got := *read.Percentiles()
	for _, p := range []struct{ got, want int64 }{{got.P50, 500_000}, {got.P95, 950_000}, {got.P99, 990_000}} {
		if p.got < p.want || p.got > p.want*11/10 {
			t.Errorf("%+v, want %d or a tenth more", got, p.want)
		}
	}
	if got.Max != 1_000_000 || got.P99 > got.Max {
		t.Errorf("%+v, want 1000000 at most", got)
	}
	if p := latencyOf(420).Percentiles(); p.String() != "latency 0.42 s (p95 0.42, p99 0.42, at most 0.42)" {
		t.Errorf("%s", p)
	}
	if p := (Latency{}).Percentiles(); p != nil {
		t.Errorf("percentiles of nothing are %+v", p)
	}
}
