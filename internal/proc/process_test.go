package proc_test

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

// startShell starts a shell script that says when it is ready, and ends it with
// the test.
func startShell(t *testing.T, script string) (proc.Process, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	out := testkit.Value(cmd.StdoutPipe())(t)
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := testkit.Value(proc.NewProcess("sh", cmd.Process.Pid, ""))(t)
	testkit.Value(bufio.NewReader(out).ReadString('\n'))(t)
	return p, cmd
}

// stop stops a child process and waits until it has stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	testkit.Must(t, syscall.Kill(pid, syscall.SIGSTOP))
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process did not stop: %v, status %#x", err, status)
	}
}

// signalOf returns the signal that ended the command.
func signalOf(cmd *exec.Cmd) syscall.Signal {
	_ = cmd.Wait()
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}

func TestEnd(t *testing.T) {
	for name, test := range map[string]struct {
		script  string
		stopped bool
		grace   time.Duration
		want    syscall.Signal
	}{
		"obeys":   {"echo ready; exec sleep 600", false, time.Minute, syscall.SIGTERM},
		"refuses": {"trap '' TERM; echo ready; exec sleep 600", false, 100 * time.Millisecond, syscall.SIGKILL},
		"stopped": {"echo ready; exec sleep 600", true, time.Minute, syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			p, cmd := startShell(t, test.script)
			if test.stopped {
				stop(t, p.PID)
			}
			if !p.Alive() {
				t.Fatal("not alive after its start")
			}
			testkit.Must(t, p.End(test.grace))
			// Nobody has collected it yet: a zombie does not count as alive.
			if p.Alive() {
				t.Error("alive after its end")
			}
			testkit.Equal(t, "the signal", signalOf(cmd), test.want)
			testkit.Must(t, p.End(test.grace)) // again
		})
	}
}

// A process that was given the id of one of ours is not ours.
func TestEndSparesAnother(t *testing.T) {
	p, _ := startShell(t, "echo ready; exec sleep 600")
	other := p
	other.Born += "0"
	if other.Alive() {
		t.Error("a process of another time counts as alive")
	}
	testkit.Must(t, other.End(time.Minute))
	if !p.Alive() {
		t.Error("the wrong process was ended")
	}
}
