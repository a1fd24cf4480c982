package commands

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/runners"
)

func TestChoice(t *testing.T) {
	defaults := choice{
		runners: []string{"prism", "flink", "spark"}, formats: []string{"jpeg", "raw"}, presets: []string{"parity", "fast"},
		slots: []int{1, 2}, scale: 1, times: 1,
	}
	for _, tc := range []struct {
		args   []string
		change func(*choice)
	}{
		{nil, func(*choice) {}},
		{[]string{"--runners=spark, prism,spark"}, func(c *choice) { c.runners = []string{"spark", "prism"} }},
		{[]string{"--formats=raw", "--presets=fast"}, func(c *choice) { c.formats, c.presets = []string{"raw"}, []string{"fast"} }},
		{[]string{"--slots=2", "--scale=0.5", "--times=3", "--json"}, func(c *choice) {
			c.slots, c.scale, c.times, c.json = []int{2}, 0.5, 3, true
		}},
	} {
		want := defaults
		tc.change(&want)
		got, err := All.parse(tc.args)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v (%v), want %+v", tc.args, got, err, want)
		}
	}
}

func TestWrongChoice(t *testing.T) {
	for arg, want := range map[string]string{
		"--runners=direct": `"direct" is none of prism, flink, spark`,
		"--runners=":       `"" is none of prism`,
		"--formats=png":    "none of jpeg, raw",
		"--presets=slow":   "none of parity, fast",
		"--slots=3":        "none of 1, 2",
		"--scale=0":        "--scale=0",
		"--scale=NaN":      "--scale=NaN",
		"--scale=+Inf":     "--scale=+Inf",
		"--times=0":        "--times=0",
		"fast":             "fast",
		"--nonsense":       "nonsense",
	} {
		var stdout, stderr bytes.Buffer
		if status := All.Main(t.Context(), []string{arg}, &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit status %d and %q, want 2 and %q", arg, status, stderr.String(), want)
		}
	}
	// What can only be one thing has no flag.
	if _, err := Data.parse([]string{"--runners=flink"}); err == nil {
		t.Error("data takes --runners")
	}
	if _, err := All.parse([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: error %v", err)
	}
	var help bytes.Buffer
	if status := Data.Main(t.Context(), []string{"--help"}, &help, &help); status != 0 || !strings.Contains(help.String(), "no pictures are written") {
		t.Errorf("--help of data: exit status %d, %s", status, &help)
	}
}

func TestLengths(t *testing.T) {
	for _, tc := range []struct {
		scale                  float64
		runner, format, preset string
		slots                  int
		short, long            int
	}{
		{1, runners.Flink, feed.JPEG, parity, 1, 60, 180},
		{1, runners.Flink, feed.JPEG, parity, 2, 60, 300},
		{1, runners.Flink, feed.JPEG, fast, 2, 180, 1620},
		{2, runners.Flink, feed.JPEG, parity, 1, 120, 360},
		{0.01, runners.Flink, feed.JPEG, fast, 2, 60, 120},
		// Executors are new for each run on Spark.
		{1, runners.Spark, feed.JPEG, parity, 2, 180, 420},
		{1, runners.Spark, feed.JPEG, fast, 1, 540, 1260},
		// 256 MiB hold 271 raw frames of 640x480 with their slack.
		{1, runners.Flink, feed.Raw, fast, 2, 60, 240},
		{9, runners.Flink, feed.Raw, parity, 2, 60, 240},
		{1, runners.Spark, feed.Raw, fast, 2, 60, 240},
		{0.01, runners.Flink, feed.Raw, parity, 1, 60, 120},
	} {
		short, long := choice{scale: tc.scale}.lengths(tc.runner, tc.format, tc.preset, tc.slots)
		if short != tc.short || long != tc.long {
			t.Errorf("%+v: %d and %d frames", tc, short, long)
		}
	}
}
