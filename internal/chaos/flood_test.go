package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/runners"
	"facestream/transforms/store"
)

// Case 4: a camera that sends more than the job can do. Windows stay within
// their budget, nothing is passed over, and neither the driver nor the Java harness
// takes more memory in later windows than in the first.
func TestCameraFasterThanTheJob(t *testing.T) {
	prepare(t)
	const (
		flood     = "flood"
		budget    = 8 << 20 // eight raw frames
		first     = 3       // windows whose memory is what the others are held against
		enough    = 8       // windows
		tolerance = 1.3
	)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	sending := make(chan error, 1)
	demo, err := video.NewDemo(300)
	if err != nil {
		t.Fatal(err)
	}
	to := feed.Config{Brokers: []string{shared.stack.Kafka}, Topic: flood, Partitions: partitions, Camera: "demo", Format: feed.Raw}
	few := to
	few.Frames = 20 // so that there is a topic
	if _, err := feed.Send(ctx, few, demo); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := feed.Send(ctx, to, demo)
		sending <- err
	}()
	r := newRun(flood)
	r.flags = append(r.with([]string{"--runner=" + runners.Prism}), "--topics="+flood, fmt.Sprintf("--window_bytes=%d", budget), "--drain=false")
	r.start(t)
	await := func(windows int) (driver, harness int64) {
		r.await(t, fmt.Sprintf("%d windows", windows), func() bool {
			done := 0
			walk(t, r.dir, func(_ *hdfs.Client, name string) error {
				if strings.HasPrefix(name, "_windows/") {
					done++
				}
				return nil
			})
			return done >= windows
		})
		return peakMemory(r.cmd.Process.Pid), peakMemory(find(t, "the Java harness", process.javaHarness).pid)
	}
	earlyDriver, earlyHarness := await(first)
	lateDriver, lateHarness := await(enough)
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r.finish(t, 130)
	stop()
	<-sending

	if float64(lateHarness) > tolerance*float64(earlyHarness) {
		t.Errorf("the Java harness had %d KB at most in the first windows, and %d later", earlyHarness, lateHarness)
	}
	if float64(lateDriver) > tolerance*float64(earlyDriver) {
		t.Errorf("the driver had %d KB at most in the first windows, and %d later", earlyDriver, lateDriver)
	}
	offsets := map[int32][]record.Range{}
	windows := 0
	walk(t, r.dir, func(client *hdfs.Client, name string) error {
		if !strings.HasPrefix(name, "_windows/") {
			return nil
		}
		windows++
		var l store.Ledger
		data, err := client.ReadFile(path.Join(r.dir, name))
		if err == nil {
			err = json.Unmarshal(data, &l)
		}
		if read := l.Sum().ReadBytes; read > budget {
			t.Errorf("%s: the window had %d bytes, more than %d", name, read, budget)
		}
		for _, p := range l.Partitions {
			offsets[p.Partition] = append(offsets[p.Partition], p.Offsets...)
		}
		return err
	})
	if windows < enough {
		t.Errorf("%d windows are done, want %d at least", windows, enough)
	}
	for partition, ranges := range offsets {
		slices.SortFunc(ranges, func(a, b record.Range) int { return int(a.First - b.First) })
		next := int64(0)
		for _, o := range ranges {
			if o.First != next {
				t.Errorf("partition %d: the windows have %v", partition, ranges)
				break
			}
			next = o.Last + 1
		}
		if committed := r.committed(t)[partition]; committed != next {
			t.Errorf("partition %d: committed is %d, and the windows end before %d", partition, committed, next)
		}
	}
	t.Logf("%d windows; Java harness %d and %d KB, driver %d and %d KB", windows, earlyHarness, lateHarness, earlyDriver, lateDriver)
}

// peakMemory is the most resident memory that a process has had until now, in
// KB; 0 if it has ended.
func peakMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes a number
			return kb
		}
	}
	return 0
}
