package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"facestream/runners"
	"facestream/scripts/camera/feed"
	"facestream/scripts/stack/state"
)

// On a cluster, both slots work on a window, although one reader has read it:
// the workers' processor times show it.
func TestAllSlotsWork(t *testing.T) {
	addrs := allServices(t)
	const topic, total = "slots", 60
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, total)
	for _, name := range []string{"flink-cluster", "spark-cluster"} {
		t.Run(name, func(t *testing.T) {
			stop := make(chan struct{})
			times := make(chan map[string]int64)
			go func() { times <- workerTimes(stop) }()
			runOnce(t, optionsFor(t, append(everyRunner(addrs)[name], "--kafka="+addrs.Kafka, "--topics="+topic, "--group="+name,
				"--output="+addrs.HDFS+"/user/erin/slots-"+name, "--user=erin", "--duration=5m", "--drain")...))
			close(stop)
			var sum int64
			got := <-times
			for _, ticks := range got {
				sum += ticks
			}
			working := 0
			for _, ticks := range got {
				if ticks > sum/4 {
					working++
				}
			}
			if working != 2 {
				t.Errorf("processor time of the workers %v, want two with more than a quarter each", got)
			}
		})
	}
}

// workerTimes looks at the processor time, in clock ticks, of every worker that
// a cluster starts of this program, by process id, until stop is closed.
func workerTimes(stop <-chan struct{}) map[string]int64 {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range lines {
			line, _ := os.ReadFile(file)
			stat, err := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
			if err != nil || !strings.HasPrefix(string(line), self+"\x00--id=") {
				continue
			}
			const user = 11 // of the fields behind the program's name; see proc(5)
			fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
			out[filepath.Base(filepath.Dir(file))], _ = strconv.ParseInt(fields[user], 10, 64)
		}
		select {
		case <-stop:
			return out
		case <-tick.C:
		}
	}
}

// BenchmarkSlots compares frames per second on two slots with those on one, on
// real clusters of Flink and Spark with one OpenCV thread in each slot; and on
// Prism, with all processors and OpenCV's own threads and with one for each
// bundle, those with one of each. All in this one run, with the detector's
// defaults and on two processors at most. Of each, two windows of different
// length are taken, so that start-up is no part of the result.
func BenchmarkSlots(b *testing.B) {
	addrs := allServices(b)
	short, long := 60, 600
	for _, n := range []int{short, long} {
		sendDemo(b, addrs.Kafka, fmt.Sprint("bench-", n), feed.JPEG, 0, n)
	}
	// rate returns frames per second.
	rate := func(b *testing.B, threads int, flags ...string) float64 {
		run := func(n int) float64 {
			o := optionsFor(b, append(flags, "--kafka="+addrs.Kafka, fmt.Sprint("--topics=bench-", n), fmt.Sprint("--group=", time.Now().UnixNano()),
				"--output="+addrs.HDFS+"/user/erin/bench", "--user=erin", "--window=10m", "--duration=10m", "--drain")...)
			o.Face.Threads = threads
			began := time.Now()
			summary, err := Run(b.Context(), o, io.Discard)
			if err != nil || summary.RecordsRead != int64(n) || summary.Windows != 1 {
				b.Fatalf("%v, %+v", err, summary)
			}
			return time.Since(began).Seconds()
		}
		s, l := run(short), run(long)
		b.Logf("%v, %d threads: %d frames in %.1f s, %d in %.1f s", flags, threads, short, s, long, l)
		return float64(long-short) / (l - s)
	}
	report := func(b *testing.B, one, two float64) {
		b.ReportMetric(one, "frames/s-1")
		b.ReportMetric(two, "frames/s-2")
		b.ReportMetric(two/one, "ratio")
		b.ReportMetric(0, "ns/op")
	}
	for name, flags := range map[string][]string{
		runners.Flink: {"--runner=flink", "--endpoint=" + addrs.Flink},
		runners.Spark: {"--runner=spark", "--master=" + sparkMaster(b, addrs)},
	} {
		b.Run(name, func(b *testing.B) {
			flags := append(flags, "--parallelism=2")
			rate(b, 1, flags...) // a new cluster is slow
			two := rate(b, 1, flags...)
			flags[len(flags)-1] = "--parallelism=1"
			report(b, rate(b, 1, flags...), two)
		})
	}
	const prism = "--runner=prism"
	processors := affinity(b)
	bind(b, processors[:1])
	rate(b, 1, prism)
	one := rate(b, 1, prism)
	bind(b, processors[:2])
	for name, threads := range map[string]int{"prism/opencv-threads": 2, "prism/thread-per-bundle": 1} {
		b.Run(name, func(b *testing.B) { report(b, one, rate(b, threads, prism)) })
	}
	bind(b, processors)
}

// affinity returns the processors that this process may use.
func affinity(b *testing.B) []int {
	b.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		b.Fatal(err)
	}
	var out []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			out = append(out, cpu)
		}
	}
	if len(out) < 2 {
		b.Skip("there is one processor only")
	}
	return out
}

// bind has this process and those that it will start use these processors.
func bind(b *testing.B, processors []int) {
	b.Helper()
	var set unix.CPUSet
	for _, cpu := range processors {
		set.Set(cpu)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		b.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			b.Fatal(err)
		}
	}
}

// sparkMaster returns the address of the Master, which its web page tells.
func sparkMaster(t testing.TB, addrs state.Addrs) string {
	t.Helper()
	resp, err := http.Get(addrs.SparkWeb + "/json/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var master struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&master); err != nil {
		t.Fatal(err)
	}
	return master.URL
}
