package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/cli"
	"facestream/internal/proc"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(burnEnv) != "" {
		burn()
		return
	}
	os.Exit(m.Run())
}

// few measures as little as tells a rate.
var few = []string{"all", "--runners=prism", "--formats=jpeg", "--presets=parity", "--slots=1", "--readers=native", "--scale=0.5"}

func TestAll(t *testing.T) {
	state := startsServices(t)
	page := filepath.Join(t.TempDir(), "page.md")
	var stdout, stderr bytes.Buffer
	if status := Command().Main(t.Context(), append(few, "--json", "--state_dir="+state, "--markdown="+page), &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d:\n%s", status, &stderr)
	}
	t.Log(stdout.String())
	var got struct{ Rows []rateRow }
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || len(got.Rows) != 1 {
		t.Fatalf("%v: %s", err, &stdout)
	}
	row := got.Rows[0]
	if row.combination != (combination{"prism", "jpeg", "parity", 1, "native", "files"}) {
		t.Errorf("%s is not what was asked for", row.combination)
	}
	for what, v := range map[string]float64{
		"frames/s": *row.FramesPerSecond, "of the detector": *row.RatioToBareDetector, "of the plumbing": *row.RatioToBarePlumbing,
		"first picture": row.FirstFileSeconds, "bare detector": row.BareDetector, "bare plumbing": row.BarePlumbing,
		"processor time of the pipeline": row.CPUSecondsPer1000["pipeline"], "memory of the pipeline": row.PeakRSSMB["pipeline"],
		"memory of Prism": row.PeakRSSMB["prism"], "memory of Kafka": row.PeakRSSMB["kafka"], "memory of a DataNode": row.PeakRSSMB["datanode"],
	} {
		if v <= 0 {
			t.Errorf("%s: %v", what, v)
		}
	}
	if text := strings.Join(strings.Fields(string(testkit.ReadFile(t, page))), " "); !strings.Contains(text, "| prism | jpeg | parity | 1 | native | files | "+number(*row.FramesPerSecond)+" |") {
		t.Errorf("no row in the page:\n%s", text)
	}
}

// Ctrl-C ends everything that was started.
func TestInterrupted(t *testing.T) {
	state := startsServices(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() { status <- Command().Main(ctx, append(few, "--state_dir="+state), io.Discard, &stderr) }()
	testkit.Await(t, "the broker", func() bool {
		return len(testkit.Processes(t, func(p proc.Running) bool { return p.Has(state) && p.Has("kafka.Kafka ") })) > 0 || len(status) > 0
	})
	stop()
	if got := <-status; got != cli.ExitInterrupted || !strings.Contains(stderr.String(), "bench all: interrupted") || strings.Contains(stderr.String(), "left") {
		t.Errorf("exit status %d, want %d:\n%s", got, cli.ExitInterrupted, &stderr)
	}
}

// startsServices is for tests that start real services, not with -short. It returns a
// folder for them, of which nothing may be left, nor any process.
func startsServices(t *testing.T) string {
	t.Helper()
	testkit.NotShort(t, "needs real services, which take seconds to start")
	state := t.TempDir()
	t.Cleanup(func() {
		if left := testkit.Processes(t, func(p proc.Running) bool { return p.Has(state) }); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
		if entries, err := os.ReadDir(state); err != nil || len(entries) > 0 {
			t.Errorf("files are left: %v (%v)", entries, err)
		}
	})
	return state
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"", 2, "", "a command is missing"},
		{"nothing", 2, "", "one of all, detect"},
		{"--help", 0, "COMMAND", ""},
		{"memory --help", 0, "ten times", ""},
		{"data --help", 0, "no pictures are written", ""},
		{"all --runners=direct", 2, "", `"direct" is none of prism,flink,spark`},
		{"all --runners=", 2, "", `"" is none of prism`},
		{"all --formats=png", 2, "", "none of jpeg,raw"},
		{"all --presets=slow", 2, "", "none of parity,balanced,fast,yunet"},
		{"all --slots=3", 2, "", "none of 1,2"},
		{"all --scale=0", 2, "", "--scale=0"},
		{"all --scale=NaN", 2, "", "--scale=NaN"},
		{"all --scale=+Inf", 2, "", "--scale=+Inf"},
		{"all --times=0", 2, "", "--times=0"},
		{"all fast", 2, "", "fast"},
		{"data --runners=flink", 2, "", "-runners"}, // what can only be one thing has no flag
		{"day", 2, "", "--model is missing"},
		{"detect --scale=2", 2, "", "-scale"},
		{"detect --labels=missing.json", 2, "", "missing.json"},
		{"detect --labels=detect.go", 2, "", "detect.go"},
		{"detect --markdown=missing/page.md", 2, "", "--markdown=missing/page.md: missing is not a folder"},
		{"all --model=missing.onnx", 2, "", "--model=missing.onnx: "},
		{"all --state_dir=detect.go", 2, "", "detect.go is a file"},
		{"day --model=detect.go --markdown=missing/page.md", 2, "", "--markdown=missing/page.md: "},
	} {
		var stdout, stderr bytes.Buffer
		status := Command().Main(t.Context(), strings.Fields(tc.args), &stdout, &stderr)
		if status != tc.status || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("%s: exit status %d, want %d: %s%s", tc.args, status, tc.status, &stdout, &stderr)
		}
	}
}

// What is chosen comes to the measurement, and its tables are printed and come into the
// page, also with an error. A day goes on after it.
func TestDay(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	var got choice
	one := command{name: "one", choices: all.choices, measure: func(_ context.Context, _ *bench, chosen choice) ([]table, error) {
		got = chosen
		return []table{{title: "things", rows: things}}, errTooShort
	}}.cli()
	two := command{name: "two", measure: func(context.Context, *bench, choice) ([]table, error) {
		return []table{{title: "things", rows: things}}, nil
	}}.cli()
	var stdout, stderr bytes.Buffer
	if status := one.Main(t.Context(), []string{"--runners=spark, prism", "--slots=2", "--formats=raw"}, &stdout, &stderr); status != 1 {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
	want := []combination{{"spark", "raw", "parity", 2, "kafkaio", "files"}, {"spark", "raw", "fast", 2, "kafkaio", "files"}, {"prism", "raw", "parity", 2, "kafkaio", "files"}, {"prism", "raw", "fast", 2, "kafkaio", "files"}}
	if o := got.combinations(); !equal(o, want) || !strings.Contains(stdout.String(), "| three | 10.0 |") {
		t.Errorf("%v, want %v; printed %s", o, want, &stdout)
	}
	if status := day([]cli.Command{one, two}, []string{"one --slots=1 --presets=fast", "two"}).Main(t.Context(), []string{"--model=detect.go", "--markdown=" + page}, io.Discard, &stderr); status != 1 || !strings.Contains(stderr.String(), "bench one: ") {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
	if text := string(testkit.ReadFile(t, page)); !strings.Contains(text, "## bench one --presets=fast --slots=1\n") || !strings.Contains(text, "## bench two") {
		t.Error(text)
	}
}
