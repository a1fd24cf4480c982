package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/internal/proc"
	"facestream/internal/run"
	"facestream/internal/testkit"
)

// On Prism, windows are bounded by bytes, also of a topic whose first records are small and
// whose later ones are large. The JVM that reads them all keeps neither connections nor
// objects of the windows that are over.
func TestWindowsOnPrism(t *testing.T) {
	const (
		small, large = 4, 24 // frames
		most         = 2     // large ones in 2 MiB
		early, late  = 3, 11 // windows
		few          = 6     // sockets or objects, of the last windows
	)
	j := newJob(t, "windows", "erin", "--detector=fast", "--min_face=500", "--window_bytes=2MiB", "--duration=10m", "--drain")
	sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, small)
	sendDemo(t, j.Kafka, j.topic, feed.Raw, small, small+large)
	var held []int // records by window
	var was, is map[string]int
	out := writerFunc(func(line []byte) {
		t.Logf("%s", line)
		var window, n int
		if _, err := fmt.Sscanf(string(line), "window %d: %d records", &window, &n); err != nil {
			return
		}
		switch held = append(held, n); len(held) {
		case early:
			was = heldByHarness(t)
		case late:
			is = heldByHarness(t)
		}
	})
	summary := testkit.Value(run.Run(t.Context(), j.options(t), Build, t.TempDir(), out))(t)
	if summary.RecordsRead != small+large || len(held) < late {
		t.Fatalf("%d windows of %d records, want %d or more of %d", len(held), summary.RecordsRead, late, small+large)
	}
	more := 0 // than large ones fit
	for _, n := range held {
		more += max(0, n-most)
	}
	if more > small {
		t.Errorf("the windows have %v records; of the large ones at most %d fit, and there are %d small ones", held, most, small)
	}
	for _, kind := range perJob {
		if was[kind] == 0 && kind == "sockets" || is[kind] > was[kind]+few {
			t.Errorf("%d %s after %d windows, %d after %d", was[kind], kind, early, is[kind], late)
		}
	}
}

// perJob are things of which the harness has at least one for each job.
var perJob = []string{"sockets", "org.apache.beam.fn.harness.control.BeamFnControlClient", "org.apache.beam.fn.harness.control.ProcessBundleHandler"}

type writerFunc func(line []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// heldByHarness counts the sockets and, by class, the objects of the Java harness.
func heldByHarness(t *testing.T) map[string]int {
	t.Helper()
	all := testkit.Processes(t, func(p proc.Running) bool { return p.Parent == os.Getpid() && p.Has("KeptFnHarness") })
	if len(all) != 1 {
		t.Fatalf("%d Java harnesses, want 1", len(all))
	}
	held := map[string]int{}
	// It collects garbage before it counts.
	histogram, err := exec.CommandContext(t.Context(), "jcmd", strconv.Itoa(all[0].PID), "GC.class_histogram").Output()
	if err != nil {
		t.Fatalf("jcmd: %v", err)
	}
	for _, class := range perJob[1:] { // of which there may be none left, so it is asked for
		loaded, err := exec.CommandContext(t.Context(), "jcmd", strconv.Itoa(all[0].PID), "VM.class_hierarchy", class).Output()
		if err != nil || !bytes.Contains(loaded, []byte(class+"/")) {
			t.Errorf("the harness has no class %s (%v): %s", class, err, loaded)
		}
	}
	for line := range strings.Lines(string(histogram)) { // NUMBER: INSTANCES BYTES CLASS ...
		if fields := strings.Fields(line); len(fields) >= 4 {
			held[fields[3]], _ = strconv.Atoi(fields[1])
		}
	}
	links := testkit.Value(filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", all[0].PID)))(t)
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:") {
			held["sockets"]++
		}
	}
	return held
}
