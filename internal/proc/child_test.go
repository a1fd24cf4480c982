package proc_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

// helperEnv makes the test program start a child, "bound" or "detached", say which,
// and wait to be killed.
const helperEnv = "FACESTREAM_PROC_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(helperEnv); kind != "" {
		begin := map[string]func(*exec.Cmd) (*proc.Child, error){"bound": proc.StartBound, "detached": proc.StartDetached}[kind]
		child, err := begin(exec.Command("sh", "-c", os.Args[1]))
		if err != nil {
			panic(err)
		}
		p, err := proc.NewProcess("sh", child.Process.Pid, "")
		if err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(m.Run())
}

func TestChildOfKilledProcess(t *testing.T) {
	for kind, survives := range map[string]bool{"bound": false, "detached": true} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			exists := func(name string) bool {
				_, err := os.Stat(filepath.Join(dir, name))
				return err == nil
			}
			// The shell learns who its parent is before it does anything.
			parent := exec.Command(os.Args[0], "cd "+dir+"; touch begun; while [ -d /proc/$PPID ]; do sleep 0.05; done; touch survived; exec sleep 600")
			parent.Env = append(os.Environ(), helperEnv+"="+kind)
			parent.Stderr = os.Stderr
			out := testkit.Value(parent.StdoutPipe())(t)
			testkit.Must(t, parent.Start())
			kill := func() {
				_ = parent.Process.Kill()
				_ = parent.Wait()
			}
			defer kill()
			var child proc.Process
			testkit.Must(t, json.NewDecoder(out).Decode(&child))
			defer func() { testkit.Must(t, child.End(0)) }()
			testkit.Await(t, "the child's begin", func() bool { return exists("begun") })
			if !child.Alive() {
				t.Fatal("the child does not run")
			}
			kill()
			if survives {
				testkit.Await(t, "the child to go on without its parent", func() bool { return exists("survived") })
			} else {
				testkit.Await(t, "the child's end with its parent", func() bool { return !child.Alive() })
			}
		})
	}
}

func TestChildEnds(t *testing.T) {
	c := testkit.Value(proc.StartBound(exec.Command("sh", "-c", "read line; exit 3")))(t)
	<-c.Ended
	if !c.HasEnded() || c.Err == nil || c.ProcessState.ExitCode() != 3 {
		t.Errorf("has ended: %v, error %v, want exit status 3", c.HasEnded(), c.Err)
	}
	if _, err := proc.StartBound(exec.Command(filepath.Join(t.TempDir(), "nothing"))); !os.IsNotExist(err) {
		t.Errorf("got error %v for a program that does not exist", err)
	}
}

// What is asked to end may, and else is killed.
func TestStop(t *testing.T) {
	for script, want := range map[string]struct {
		grace  time.Duration
		signal syscall.Signal
	}{
		"echo ready; exec sleep 600":               {time.Minute, syscall.SIGTERM},
		"trap '' TERM; echo ready; exec sleep 600": {100 * time.Millisecond, syscall.SIGKILL},
	} {
		cmd := exec.Command("sh", "-c", script)
		out := testkit.Value(cmd.StdoutPipe())(t)
		c := testkit.Value(proc.StartBound(cmd))(t)
		testkit.Value(bufio.NewReader(out).ReadString('\n'))(t)
		c.Stop(want.grace)
		testkit.Equal(t, script, signalOf(cmd), want.signal)
		c.Stop(time.Hour) // which has no more to do
	}
}

func TestAll(t *testing.T) {
	c := testkit.Value(proc.StartBound(exec.Command("sleep", "600.25")))(t)
	find := func() []proc.Running {
		return testkit.Processes(t, func(r proc.Running) bool { return r.Parent == os.Getpid() && r.Has("sleep 600.25") })
	}
	testkit.Await(t, "the child among all processes", func() bool { // it execs after it was forked
		found := find()
		return len(found) == 1 && found[0].PID == c.Process.Pid && slices.Equal(found[0].Args, []string{"sleep", "600.25"})
	})
	testkit.Must(t, c.Process.Kill())
	<-c.Ended
	testkit.Equal(t, "what is found after its end", find(), nil)
}
