package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"facestream/internal/proc"
	"facestream/runners"
)

// mainClasses tell Java's processes apart by the ends of the names of their main classes.
var mainClasses = map[string]string{
	"KeptFnHarness":                       "java harness", // and the expansion service
	"JobServerDriver":                     "job server",
	".StandaloneSessionClusterEntrypoint": "jobmanager",
	".TaskManagerRunner":                  "taskmanager",
	".master.Master":                      "spark master",
	".worker.Worker":                      "spark worker",
	".CoarseGrainedExecutorBackend":       "executor",
	"kafka.Kafka":                         "kafka",
	".NameNode":                           "namenode",
	".DataNode":                           "datanode",
}

// classOf names what a process with such a command line is.
func classOf(args []string) string {
	switch program := filepath.Base(args[0]); {
	case program == "pipeline" && len(args) > 1 && strings.HasPrefix(args[1], "--id="):
		return "go worker" // of a cluster
	case program == "pipeline" && len(args) > 1 && args[1] == runners.PrismCommand:
		return "prism" // the runner, for the pipeline
	case program == "pipeline":
		return "pipeline"
	case program == "java":
		for _, arg := range args[1:] {
			for end, class := range mainClasses {
				if strings.HasSuffix(arg, end) && !strings.HasPrefix(arg, "-") {
					return class
				}
			}
		}
	}
	return "other"
}

// use is what the processes of one class have used.
type use struct {
	cpu  float64 // seconds of all of them, in user and system mode
	peak float64 // MB (1,000,000 bytes) of resident memory: the most that any of them had
}

// sampleEvery is how often processes are looked at, which takes some milliseconds. What a
// process does between the last look and its end is not seen.
const sampleEvery = 200 * time.Millisecond

// measureUse returns what the processes with a mark use while do runs, by class.
func measureUse(mark string, do func() error) (map[string]use, error) {
	for _, p := range marked(mark) {
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
		for _, p := range marked(mark) {
			args, argsErr := p.CmdLine()
			stat, statErr := p.Stat()
			status, statusErr := p.NewStatus()
			if errors.Join(argsErr, statErr, statusErr) == nil && len(args) > 0 && status.VmHWM > 0 { // else it has ended meanwhile
				// By pid and start: the pid alone may be given to another process.
				known[[2]uint64{uint64(p.PID), stat.Starttime}] = process{classOf(args), use{stat.CPUTime(), float64(status.VmHWM) / 1e6}}
			}
		}
	}
	before, known := map[[2]uint64]process{}, map[[2]uint64]process{}
	look(before)
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
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

// marked returns the running processes whose environment has a mark, NAME=VALUE. Those
// that cannot be asked have ended, or are another user's.
func marked(mark string) []procfs.Proc {
	all, _ := procfs.AllProcs()
	return slices.DeleteFunc(all, func(p procfs.Proc) bool {
		env, err := p.Environ()
		return err != nil || !slices.Contains(env, mark)
	})
}
