package bench

import (
	"errors"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/runners"
)

func ranOf(seconds float64, records int, used map[string]use) ran {
	return ran{seconds: seconds, used: used, State: "DONE", Windows: 1, RecordsRead: records}
}

func TestDifference(t *testing.T) {
	short := ranOf(10, 100, map[string]use{"a": {2, 9000}, "idle": {1, 0}})
	short.FirstFileSeconds = new(6.5)
	got, err := difference(short, ranOf(15, 600, map[string]use{"a": {12, 250}, "idle": {0.5, 0}, "late": {1, 3}}))
	want := steady{
		rate: 100, firstFile: 6.5,
		cpu:  map[string]float64{"a": 20, "idle": 0, "late": 2},
		peak: map[string]float64{"a": 250, "idle": 0, "late": 3},
	}
	if err != nil || !equal(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	got, err = difference(short, ranOf(10, 600, map[string]use{"late": {1, 1}}))
	want = steady{firstFile: 6.5, cpu: map[string]float64{"late": 2}, peak: map[string]float64{"late": 1}}
	if !errors.Is(err, errTooShort) || !equal(got, want) {
		t.Errorf("more frames in the same time: %+v, error %v, want %+v and errTooShort", got, err, want)
	}
}

func TestPlan(t *testing.T) {
	for _, tc := range []struct {
		scale       float64
		of          combination
		short, long int
	}{
		{1, combination{runners.Flink, feed.JPEG, parity, 1, "kafkaio", "files"}, 60, 180},
		{1, combination{runners.Flink, feed.JPEG, fast, 2, "kafkaio", "files"}, 180, 1620},
		{2, combination{runners.Flink, feed.JPEG, parity, 1, "kafkaio", "files"}, 120, 360},
		{0.01, combination{runners.Flink, feed.JPEG, fast, 2, "kafkaio", "files"}, 60, 120},
		{1, combination{runners.Spark, feed.JPEG, fast, 1, "kafkaio", "files"}, 540, 1260}, // executors are new for each run
		{9, combination{runners.Flink, feed.Raw, parity, 2, "kafkaio", "files"}, 60, 240},  // 256 MiB hold 271 raw frames
		{1, combination{runners.Flink, feed.Raw, fast, 2, "native", "files"}, 180, 1620},   // whose windows have no bound
		{1, combination{runners.Prism, feed.Raw, parity, 2, "kafkaio", "files"}, 120, 300}, // in several windows
	} {
		p := choice{scale: tc.scale}.plan(tc.of)
		if p.short != tc.short || p.long != tc.long || p.windows != (tc.of.Runner == runners.Prism && tc.of.Format == feed.Raw) {
			t.Errorf("%+v: %+v", tc, p)
		}
	}
}
