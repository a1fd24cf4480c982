package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
)

// The JVM that serves all windows on Prism keeps next to nothing of them: neither
// connections, nor objects, nor memory outside of its heap.
func TestWindowsLeaveNothingInTheHarness(t *testing.T) {
	addrs := realServices(t)
	const (
		topic       = "kept"
		frames      = 64
		raw         = 640 * 480 * 3 // bytes of a frame
		early, late = 4, 16         // windows, of four frames each
		sockets     = 6             // of two windows
		live        = 8 * raw       // bytes: a window has four frames, which may be on their way; one left by each window is 12
		outside     = 32 << 10      // KiB: four fetches
	)
	client, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 4)
	for i := range frames {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 4), Value: random(raw)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var was, is held
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
	if _, err := Run(t.Context(), optionsFor(t, "--kafka="+addrs.Kafka, "--runner=prism", "--topics="+topic, "--group="+topic, "--user=erin",
		"--output="+addrs.HDFS+"/user/erin/kept", "--detector=fast", "--min_face=500", "--window_bytes=4194304", "--duration=10m", "--drain"), out); err != nil {
		t.Fatal(err)
	}
	if windows < late {
		t.Fatalf("%d windows, want %d or more", windows, late)
	}
	t.Logf("after %d windows %+v, after %d %+v", early, was, late, is)
	if is.sockets > was.sockets+sockets {
		t.Errorf("%d sockets after %d windows, %d after %d", was.sockets, early, is.sockets, late)
	}
	if is.live > was.live+live {
		t.Errorf("%d bytes of objects after %d windows, %d after %d", was.live, early, is.live, late)
	}
	if is.outsideKiB > was.outsideKiB+outside {
		t.Errorf("%d KiB outside of the heap after %d windows, %d after %d", was.outsideKiB, early, is.outsideKiB, late)
	}
}

// Because something of each window stays in that JVM, another one follows after
// many of them.
func TestHarnessIsRenewed(t *testing.T) {
	addrs := realServices(t)
	const topic, frames = "renewed", 6
	sendDemo(t, addrs.Kafka, topic, feed.Raw, 0, frames)
	before := expansionWindows
	defer func() { expansionWindows = before }()
	expansionWindows = 2
	served := map[int]int{}
	out := writerFunc(func(line []byte) {
		t.Logf("%s", line)
		if bytes.HasPrefix(line, []byte("window ")) {
			served[harness(t)]++
		}
	})
	summary, err := Run(t.Context(), optionsFor(t, "--kafka="+addrs.Kafka, "--runner=prism", "--topics="+topic, "--group="+topic, "--user=erin",
		"--output="+addrs.HDFS+"/user/erin/renewed", "--detector=fast", "--min_face=500", "--window_bytes=1048576", "--duration=10m", "--drain"), out)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Windows != frames || summary.FramesDecoded != frames {
		t.Errorf("%d windows of %d frames, want %d of one each", summary.Windows, summary.FramesDecoded, frames)
	}
	for pid, windows := range served {
		if windows != expansionWindows || len(served) != frames/expansionWindows {
			t.Errorf("process %d of %d has served %d windows, want %d of %d", pid, len(served), windows, expansionWindows, frames/expansionWindows)
		}
	}
}

type writerFunc func(line []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// held is what a JVM holds.
type held struct {
	sockets    int
	live       int64 // bytes of objects that are in use
	outsideKiB int64 // resident memory that is neither a file's nor the heap
}

// heldByHarness looks at the Java harness.
func heldByHarness(t *testing.T) (h held) {
	t.Helper()
	pid := harness(t)
	histogram, err := exec.CommandContext(t.Context(), "jcmd", strconv.Itoa(pid), "GC.class_histogram").Output()
	if err != nil {
		t.Errorf("jcmd: %v", err)
	}
	// Its last line is "Total INSTANCES BYTES".
	if fields := strings.Fields(string(histogram)); len(fields) > 0 {
		h.live, _ = strconv.ParseInt(fields[len(fields)-1], 10, 64)
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.HasPrefix(to, "socket:") {
			h.sockets++
		}
	}
	h.outsideKiB = outsideOfHeap(t, pid)
	return h
}

// harness is the child of this process that is the Java harness.
func harness(t *testing.T) int {
	t.Helper()
	for pid, name := range descendants(t, os.Getpid()) {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if name == "java" && strings.Contains(string(args), "KeptFnHarness.java") {
			return pid
		}
	}
	t.Error("there is no Java harness")
	return 0
}

// outsideOfHeap sums the anonymous mappings of /proc/PID/smaps beyond the first
// 4 GiB, where a small heap is.
func outsideOfHeap(t *testing.T, pid int) (kib int64) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Error(err)
	}
	counts := false
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if from, _, ok := strings.Cut(fields[0], "-"); ok {
			at, err := strconv.ParseUint(from, 16, 64)
			counts = err == nil && at >= 1<<32 && (len(fields) < 6 || fields[5] == "[heap]")
		}
		if counts && fields[0] == "Rss:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			kib += n
		}
	}
	return kib
}
