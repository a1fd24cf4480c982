package chaos_test

import (
	"os"
	"strings"
	"testing"

	"facestream/runners"
)

// maxLines is how long an error may be: it is for a person.
const maxLines = 12

// What is killed on a cluster in the middle of a window. Where the engine can
// make it good, the same run completes the window; else the run fails and the
// next one completes it. There is no Java harness to be killed: on Flink and
// Spark, KafkaIO runs inside the TaskManager or the executor.
func TestKillOnCluster(t *testing.T) {
	type fault struct {
		name         string
		ownJobServer bool // the run starts one; else it uses the cluster's
		victim       func(t *testing.T, c *cluster, r *run) int
		status       int // the exit status of the run
	}
	faults := []fault{
		{"worker", false, goWorker, 0},
		{"driver", false, driver, -1},
		{"driver-and-job-server", true, driver, -1},
		{"jvm", false, workerJVM, 0},
		{"job-server", false, jobServer, 1},
	}
	for _, engine := range []string{runners.Flink, runners.Spark} {
		for _, f := range faults {
			t.Run(engine+"/"+f.name, func(t *testing.T) {
				prepare(t)
				c := startCluster(t, engine)
				r := newRun(engine+"-"+f.name, c.flags(t, f.ownJobServer)...)
				r.start(t)
				r.awaitFirstPicture(t)
				r.kill(t, f.victim(t, c, r))
				r.finish(t, f.status)
				if f.status != 0 {
					c = startCluster(t, engine) // whole again
					r.next(t, c.flags(t, f.ownJobServer)...)
				}
				r.check(t)
			})
		}
	}
}

// Ctrl-C in the middle of a window cancels the job on the cluster. Nothing is
// committed, and the next run completes the window.
func TestInterruptOnCluster(t *testing.T) {
	for _, engine := range []string{runners.Flink, runners.Spark} {
		t.Run(engine, func(t *testing.T) {
			prepare(t)
			c := startCluster(t, engine)
			r := newRun(engine+"-interrupt", c.flags(t, false)...)
			r.start(t)
			r.awaitFirstPicture(t)
			if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			r.finish(t, 130)
			if jobs := c.jobs(t); len(jobs) > 0 {
				t.Errorf("after the run's end there are the jobs %v", jobs)
			}
			r.killed = true // what the workers had under way may be left
			r.next(t, c.flags(t, false)...)
			r.check(t)
		})
	}
}

// On Prism, KafkaIO runs in a process of its own. It is wanted until it has
// read the window, which happens before the first picture, and then for the next
// window, which starts another.
func TestKillJavaHarness(t *testing.T) {
	for _, f := range []struct {
		name   string
		when   func(r *run, t *testing.T)
		flags  []string
		status int
	}{
		{"reading", (*run).awaitReading, nil, 1},
		{"idle", (*run).awaitFirstPicture, nil, 0},
		{"before-the-next-window", (*run).awaitFirstPicture, []string{"--window_bytes=1048576"}, 0},
	} {
		t.Run(f.name, func(t *testing.T) {
			prepare(t)
			r := newRun("java-harness-"+f.name, append(f.flags, "--runner="+runners.Prism)...)
			r.start(t)
			f.when(r, t)
			r.kill(t, find(t, "the Java harness", process.javaHarness).pid)
			r.finish(t, f.status)
			if f.status != 0 {
				r.next(t, "--runner="+runners.Prism)
			}
			r.check(t)
		})
	}
}

// Prism runs in a process of its own as well, which is wanted as long as the window
// is under way.
func TestKillPrism(t *testing.T) {
	for name, when := range map[string]func(r *run, t *testing.T){
		"reading": (*run).awaitReading,
		"writing": (*run).awaitFirstPicture,
	} {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			r := newRun("prism-"+name, "--runner="+runners.Prism)
			r.start(t)
			when(r, t)
			r.kill(t, find(t, "Prism", process.prism).pid)
			r.finish(t, 1)
			r.next(t, "--runner="+runners.Prism)
			r.check(t)
		})
	}
}

func goWorker(t *testing.T, _ *cluster, _ *run) int {
	t.Helper()
	return find(t, "a Go worker", process.worker).pid
}

// workerJVM is the TaskManager or the executor that has started a Go worker.
func workerJVM(t *testing.T, _ *cluster, _ *run) int {
	t.Helper()
	return find(t, "a Go worker", process.worker).parent
}

func driver(_ *testing.T, _ *cluster, r *run) int { return r.cmd.Process.Pid }

func jobServer(t *testing.T, c *cluster, _ *run) int {
	t.Helper()
	for _, p := range c.Processes() {
		if strings.HasSuffix(p.Name, "-jobserver") {
			return p.PID
		}
	}
	t.Fatal("the cluster has no job server")
	return 0
}
