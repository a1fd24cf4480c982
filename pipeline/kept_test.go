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

// The JVM that serves all windows on Prism keeps neither connections nor objects of
// the windows that are over.
func TestWindowsLeaveNothingInTheHarness(t *testing.T) {
	const (
		early, late = 4, 14 // windows, of a frame each
		few         = 6     // sockets or objects, of the last windows
	)
	j := newJob(t, "kept", "erin", "--detector=fast", "--min_face=500", "--window_bytes=1MiB", "--duration=10m", "--drain")
	sendDemo(t, j.Kafka, j.topic, feed.Raw, 0, 16)
	var was, is map[string]int
	windows := 0
	out := writerFunc(func(line []byte) {
		t.Logf("%s", line)
		if !bytes.HasPrefix(line, []byte("window ")) {
			return
		}
		switch windows++; windows {
		case early:
			was = heldByHarness(t)
		case late:
			is = heldByHarness(t)
		}
	})
	testkit.Value(run.Run(t.Context(), j.options(t), Build, t.TempDir(), out))(t)
	if windows < late {
		t.Fatalf("%d windows, want %d or more", windows, late)
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
