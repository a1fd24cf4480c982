package proc

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Child is a process that this one has started.
type Child struct {
	*exec.Cmd
	Ended chan struct{} // closed when it has ended
	Err   error         // how it has ended, as exec.Cmd.Wait returns it; to be read after that
}

// StartBound starts a process in a group of its own that ends with this one, however that ends.
func StartBound(cmd *exec.Cmd) (*Child, error) {
	return start(cmd, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL})
}

// StartDetached starts a process in a session of its own, which outlives this process
// and is out of reach of the terminal's Ctrl-C.
func StartDetached(cmd *exec.Cmd) (*Child, error) {
	return start(cmd, &syscall.SysProcAttr{Setsid: true})
}

// start keeps a thread for as long as the child runs: the kernel binds a child to
// the thread that forked, not to the process. Namespaces that cmd asks for stay asked for.
func start(cmd *exec.Cmd, attr *syscall.SysProcAttr) (*Child, error) {
	if cmd.SysProcAttr != nil {
		attr.Cloneflags = cmd.SysProcAttr.Cloneflags
	}
	cmd.SysProcAttr = attr
	c := &Child{Cmd: cmd, Ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.Err = cmd.Wait()
			close(c.Ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// Stop asks the process to end, kills it if it does not within the grace period, and
// returns when it has ended.
func (c *Child) Stop(grace time.Duration) {
	_ = c.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.Ended:
	case <-time.After(grace):
	}
	_ = c.Process.Kill()
	<-c.Ended
}

// HasEnded reports whether the process has ended.
func (c *Child) HasEnded() bool {
	select {
	case <-c.Ended:
		return true
	default:
		return false
	}
}
