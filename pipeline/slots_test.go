package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"facestream/internal/camera/feed"
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
