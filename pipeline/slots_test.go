package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
// real clusters of Flink and Spark, and with two and one OpenCV threads on
// Prism: all in this one run, with the detector's defaults. Of each, two windows
// of different length are taken, so that start-up is no part of the result.
func BenchmarkSlots(b *testing.B) {
	addrs := allServices(b)
	lengths := []int{60, 300}
	for _, n := range lengths {
		sendDemo(b, addrs.Kafka, fmt.Sprint("bench-", n), feed.JPEG, 0, n)
	}
	rates := func(b *testing.B, name string, flags func(slots int) []string, threads func(slots int) int) {
		run := func(slots, n int) float64 {
			o := optionsFor(b, append(flags(slots), "--kafka="+addrs.Kafka, fmt.Sprint("--topics=bench-", n), fmt.Sprintf("--group=%s-%d-%d", name, slots, time.Now().UnixNano()),
				"--output="+addrs.HDFS+"/user/erin/bench", "--user=erin", "--window=10m", "--duration=10m", "--drain")...)
			o.Face.Threads = threads(slots)
			began := time.Now()
			summary, err := Run(b.Context(), o, io.Discard)
			if err != nil || summary.RecordsRead != int64(n) || summary.Windows != 1 {
				b.Fatalf("%v, %+v", err, summary)
			}
			return time.Since(began).Seconds()
		}
		run(2, lengths[0]) // a new cluster is slow
		rate := map[int]float64{}
		for _, slots := range []int{1, 2} {
			short, long := run(slots, lengths[0]), run(slots, lengths[1])
			b.Logf("%d slots: %.1f s and %.1f s", slots, short, long)
			rate[slots] = float64(lengths[1]-lengths[0]) / (long - short)
		}
		b.ReportMetric(rate[1], "frames/s-1")
		b.ReportMetric(rate[2], "frames/s-2")
		b.ReportMetric(rate[2]/rate[1], "ratio")
		b.ReportMetric(0, "ns/op")
	}
	one := func(int) int { return 1 }
	same := func(slots int) int { return slots }
	for name, flags := range clusterFlags(b, addrs) {
		b.Run(name, func(b *testing.B) { rates(b, name, flags, one) })
	}
	b.Run(runners.Prism, func(b *testing.B) {
		rates(b, runners.Prism, func(int) []string { return []string{"--runner=prism"} }, same)
	})
}

// clusterFlags run a pipeline on so many slots of each of the clusters.
func clusterFlags(b *testing.B, addrs state.Addrs) map[string]func(slots int) []string {
	master := sparkMaster(b, addrs)
	return map[string]func(int) []string{
		runners.Flink: func(slots int) []string {
			return []string{"--runner=flink", "--endpoint=" + addrs.Flink, fmt.Sprint("--parallelism=", slots)}
		},
		runners.Spark: func(slots int) []string {
			return []string{"--runner=spark", "--master=" + master, fmt.Sprint("--parallelism=", slots)}
		},
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
