package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/bench/commands"
	"facestream/internal/bench/lab"
	"facestream/internal/bench/procs"
	"facestream/internal/paths"
)

func TestMain(m *testing.M) {
	// The bounds are measured by this very program.
	if len(os.Args) > 1 && mains[os.Args[1]] != nil {
		main()
	}
	os.Exit(m.Run())
}

// few are the flags for as little as can be measured.
var few = []string{"all", "--runners=prism", "--formats=jpeg", "--presets=fast", "--slots=1", "--scale=0.01", "--json"}

func TestAll(t *testing.T) {
	startsServices(t)
	var stdout, stderr bytes.Buffer
	// So few frames may be too few on a busy machine, which it must say.
	status := run(t.Context(), few, &stdout, &stderr)
	untold := strings.Contains(stderr.String(), lab.ErrTooShort.Error())
	if (status != 0) != untold {
		t.Fatalf("exit status %d:\n%s", status, &stderr)
	}
	var got struct {
		Rows   []commands.Row
		Stages []commands.StageRow
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, &stdout)
	}
	t.Log(stdout.String())
	if len(got.Rows) != 1 || len(got.Stages) != 1 {
		t.Fatalf("%d rows, %d stages, want one of each", len(got.Rows), len(got.Stages))
	}
	row := got.Rows[0]
	if row.Runner != "prism" || row.Format != "jpeg" || row.Preset != "fast" || row.Slots != 1 {
		t.Errorf("%+v is not what was asked for", row)
	}
	for what, v := range map[string]float64{
		"frames/s": row.FramesPerSecond, "of the detector": row.RatioToBareDetector, "of the plumbing": row.RatioToBarePlumbing,
	} {
		if (v == 0) != untold || v < 0 {
			t.Errorf("%s: %v:\n%s", what, v, &stderr)
		}
	}
	if _, ok := row.CPUSecondsPer1000[lab.Pipeline]; !ok {
		t.Errorf("no processor time of the pipeline: %v", row.CPUSecondsPer1000)
	}
	for what, v := range map[string]float64{
		"first picture": row.FirstFileSeconds, "bare detector": row.BareDetector, "bare plumbing": row.BarePlumbing,
		"memory of the pipeline": row.PeakRSSMB[lab.Pipeline], "memory of the Java harness": row.PeakRSSMB[lab.Harness], "memory of Prism": row.PeakRSSMB[lab.Prism],
		"decode": got.Stages[0].Decode, "detect": got.Stages[0].Detect, "write": got.Stages[0].Write,
	} {
		if v <= 0 || v > 1e5 {
			t.Errorf("%s: %v", what, v)
		}
	}
}

// Ctrl-C ends everything that was started.
func TestInterrupted(t *testing.T) {
	startsServices(t)
	watcher := procs.Watch(os.Getpid(), lab.Class)
	defer watcher.Stop()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stderr bytes.Buffer
	status := make(chan int)
	go func() { status <- run(ctx, few, io.Discard, &stderr) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for broker := false; !broker; {
		for _, p := range watcher.Running() {
			broker = broker || len(p.Args) > 0 && lab.Class(p.Args) == lab.Kafka
		}
		select {
		case got := <-status:
			t.Fatalf("exit status %d before there was a broker:\n%s", got, &stderr)
		case <-tick.C:
		}
	}
	stop()
	if got := <-status; got != 130 || !strings.Contains(stderr.String(), "bench: interrupted") || strings.Contains(stderr.String(), "left") {
		t.Errorf("exit status %d, want 130:\n%s", got, &stderr)
	}
}

// The same if nobody reads what it prints any more, as with "bench all 2>&1 | head".
func TestReaderGone(t *testing.T) {
	startsServices(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	reader.Close()
	cmd := exec.CommandContext(t.Context(), self, few...)
	cmd.Stderr = writer
	err = cmd.Run()
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("exit status %d (%v), want 130", status, err)
	}
}

// startsServices is for tests that start real services, not with -short. At the
// end of the test it looks for processes that are not ended and folders that are
// not removed.
func startsServices(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	build, err := paths.Build()
	if err != nil {
		t.Fatal(err)
	}
	folders := func() int {
		all, err := filepath.Glob(filepath.Join(build, "bench-*"))
		if err != nil {
			t.Error(err)
		}
		return len(all)
	}
	before, watcher := folders(), procs.Watch(os.Getpid(), lab.Class)
	t.Cleanup(func() {
		defer watcher.Stop()
		if left := watcher.Running(); len(left) > 0 {
			t.Errorf("processes are left: %+v", left)
		}
		if n := folders(); n != before {
			t.Errorf("%d folders of labs, before it were %d", n, before)
		}
	})
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{nil, 2, "", "COMMAND"},
		{[]string{"nothing"}, 2, "", "COMMAND"},
		{[]string{"--help"}, 0, "COMMAND", ""},
		{[]string{"memory", "--help"}, 0, "ten times", ""},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), tc.args, &stdout, &stderr)
		if status != tc.status || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("%q: exit status %d, %q, %q", tc.args, status, &stdout, &stderr)
		}
	}
}
