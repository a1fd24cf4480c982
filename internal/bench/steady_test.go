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

func TestMedian(t *testing.T) {
	for want, all := range map[float64][]ran{7: {{seconds: 7}, {seconds: 5}}, 4: {{seconds: 9}, {seconds: 1}, {seconds: 4}}} {
		if got := median(all).seconds; got != want {
			t.Errorf("the median is %v, want %v", got, want)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, tc := range []struct {
		scale       float64
		of          combination
		short, long int
	}{
		{1, combination{runners.Flink, feed.JPEG, parity, 1, "kafkaio", "files"}, 60, 180},
		{1, combination{runners.Flink, feed.JPEG, parity, 2, "kafkaio", "files"}, 60, 300},
		{1, combination{runners.Flink, feed.JPEG, fast, 2, "kafkaio", "files"}, 180, 1620},
		{2, combination{runners.Flink, feed.JPEG, parity, 1, "kafkaio", "files"}, 120, 360},
		{0.01, combination{runners.Flink, feed.JPEG, fast, 2, "kafkaio", "files"}, 60, 120},
		// Executors are new for each run on Spark.
		{1, combination{runners.Spark, feed.JPEG, parity, 2, "kafkaio", "files"}, 180, 420},
		{1, combination{runners.Spark, feed.JPEG, fast, 1, "kafkaio", "files"}, 540, 1260},
		// 256 MiB hold 271 raw frames of 640x480 with their slack.
		{1, combination{runners.Flink, feed.Raw, fast, 2, "kafkaio", "files"}, 60, 240},
		{9, combination{runners.Flink, feed.Raw, parity, 2, "kafkaio", "files"}, 60, 240},
		{1, combination{runners.Spark, feed.Raw, fast, 2, "kafkaio", "files"}, 60, 240},
		{0.01, combination{runners.Flink, feed.Raw, parity, 1, "kafkaio", "files"}, 60, 120},
		// The native reader's windows have no bound.
		{1, combination{runners.Flink, feed.Raw, fast, 2, "native", "files"}, 180, 1620},
		// Prism has several windows of raw frames.
		{1, combination{runners.Prism, feed.Raw, fast, 2, "kafkaio", "files"}, 120, 480},
		{1, combination{runners.Prism, feed.Raw, parity, 2, "kafkaio", "files"}, 120, 300},
	} {
		p := choice{scale: tc.scale}.plan(tc.of)
		if p.short != tc.short || p.long != tc.long || p.windows != (tc.of.Runner == runners.Prism && tc.of.Format == feed.Raw) {
			t.Errorf("%+v: %+v", tc, p)
		}
	}
}

func TestMemoryRows(t *testing.T) {
	few := map[string]use{"b": {0, 100}, "a": {1, 10}, "gone": {0, 1}}
	many := map[string]use{"b": {0, 150}, "a": {0, 5}, "new": {0, 1}}
	want := []memoryRow{{"spark", "raw", "native", "a", 480, 10, 5, 0.5}, {"spark", "raw", "native", "b", 480, 100, 150, 1.5}}
	if got := memoryRows(combination{Runner: "spark", Format: "raw", Reader: "native"}, 480, few, many); !equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
