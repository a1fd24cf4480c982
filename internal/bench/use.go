package bench

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"

	"facestream/internal/lab"
	"facestream/internal/proc"
)

// use is what the processes of one class have used.
type use struct {
	cpu  float64 // seconds of all of them, in user and system mode
	peak float64 // MB (1,000,000 bytes) of resident memory: the most that any of them had
}

// sampleEvery is how often processes are looked at, which takes some milliseconds. What a
// process does between the last look and its end is not seen.
const sampleEvery = 200 * time.Millisecond

// measureUse returns by class what the processes of a lab use while do runs, as seen at ticks.
func measureUse(l *lab.Lab, ticks <-chan time.Time, do func() error) (map[string]use, error) {
	all, err := l.Processes()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		// "5" makes the present memory the peak (proc(5)).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID), []byte("5"), 0); err != nil && !proc.Gone(err) {
			return nil, fmt.Errorf("resetting the peak memory of process %d: %w", p.PID, err)
		}
	}
	type process struct {
		class string
		use
	}
	look := func(known map[[2]uint64]process) {
		all, _ := l.Processes() // or at the next look
		for _, p := range all {
			running, err := procfs.NewProc(p.PID)
			stat, statErr := running.Stat()
			status, statusErr := running.NewStatus()
			if errors.Join(err, statErr, statusErr) == nil && status.VmHWM > 0 { // else it has ended meanwhile
				// By pid and start: the pid alone may be given to another process.
				known[[2]uint64{uint64(p.PID), stat.Starttime}] = process{p.Class, use{stat.CPUTime(), float64(status.VmHWM) / 1e6}}
			}
		}
	}
	before, known := map[[2]uint64]process{}, map[[2]uint64]process{}
	look(before)
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case <-ticks:
			look(known)
		case err := <-done:
			look(known)
			out := map[string]use{}
			for id, p := range known {
				u := out[p.class]
				out[p.class] = use{u.cpu + p.cpu - before[id].cpu, max(u.peak, p.peak)}
			}
			return out, err
		}
	}
}
