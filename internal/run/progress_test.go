package run

import (
	"testing"
	"time"

	"facestream/transforms/store"
)

func TestStatus(t *testing.T) {
	latency := &store.Percentiles{P95: 310}
	for _, tc := range []struct {
		status status
		want   string
	}{
		{status{lag: 7}, "waiting for records: 0 records, 0 faces, 0.0 frames/s, lag 7"},
		{status{window: 3, seconds: 42.4, records: 1234, faces: 310, rate: 43.25, lag: 864, latency: latency, left: 19977 * time.Millisecond},
			"window 3, 42 s: 1234 records, 310 faces, 43.2 frames/s, lag 864, latency p95 0.31 s, 20s left"},
		{status{window: 3, seconds: 42, partly: true, lag: -1, lastFile: time.Date(2026, 11, 24, 9, 30, 7, 0, time.Local)},
			"window 3, 42 s, before it: 0 records, 0 faces, 0.0 frames/s, last file at 09:30:07"},
	} {
		if got := tc.status.String(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}
