package chaos

import (
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"
)

var now = time.Unix(1764000000, 0)

func TestOptions(t *testing.T) {
	defaults := options{
		duration: 20 * time.Minute, seed: 1764000000, minPause: 20 * time.Second, maxPause: 40 * time.Second,
		runners: []string{"prism", "flink"}, fps: 4, recheck: 200,
	}
	for _, c := range []struct {
		args   []string
		change func(*options)
	}{
		{nil, func(*options) {}},
		{[]string{"--seed=7"}, func(o *options) { o.seed = 7 }},
		{[]string{"--runners=flink"}, func(o *options) { o.runners = []string{"flink"} }},
		{[]string{"--runners=prism, prism"}, func(o *options) { o.runners = []string{"prism"} }},
		{[]string{"--min_pause=0s", "--max_pause=0s"}, func(o *options) { o.minPause, o.maxPause = 0, 0 }},
	} {
		want := defaults
		c.change(&want)
		got, err := parseOptions(c.args, now)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v (%v)", c.args, got, want, err)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for arg, want := range map[string]string{
		"--duration=0s":     "--duration",
		"--min_pause=-1s":   "--min_pause",
		"--max_pause=1s":    "--max_pause",
		"--runners=spark":   "--runners",
		"--runners=":        "--runners",
		"--fps=0":           "--fps",
		"--fps=NaN":         "--fps",
		"--recheck=-1":      "--recheck",
		"--seed=-1":         "seed",
		"20m":               "20m",
		"--no_such_setting": "no_such_setting",
	} {
		if _, err := parseOptions([]string{arg}, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", arg, err, want)
		}
	}
	if _, err := parseOptions([]string{"--help"}, now); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: error %v", err)
	}
}
