package runners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// service is a server that runs as a child of this process and ends with it,
// however that ends.
type service struct {
	addr  string // host:port
	tmp   string // its own folder, if it has one
	cmd   *exec.Cmd
	ended chan struct{}
}

// startService starts cmd, with its output in logFile, and waits until it
// accepts connections at addr. tmp, if not empty, is removed with the service.
func startService(ctx context.Context, what string, cmd *exec.Cmd, logFile, addr, tmp string, timeout time.Duration) (*service, error) {
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	s := &service{addr: addr, tmp: tmp, cmd: cmd, ended: make(chan struct{})}
	if err := startWithParent(cmd, s.ended); err != nil {
		return nil, fmt.Errorf("starting %s: %w", what, err)
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	if err := s.wait(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("starting %s: %w; its log is %s", what, err, logFile)
	}
	return s, nil
}

// hasEnded says whether the service has died.
func (s *service) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// closeGently asks the service to end, and ends it if it takes too long: one that
// has told other processes what to do can tell them that it is over.
func (s *service) closeGently() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(gentleTimeout):
	}
	s.close()
}

// close ends the service.
func (s *service) close() {
	_ = s.cmd.Process.Kill() // it keeps no state
	<-s.ended
	_ = os.RemoveAll(s.tmp) // if not now, the next run does it
}

// wait returns when the service accepts connections.
func (s *service) wait(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("waiting for it at %s: %w", s.addr, ctx.Err())
		case <-tick.C:
		}
	}
}

// startWithParent starts cmd so that the kernel kills it when this process
// dies; ended is closed when it has ended. The kernel watches the thread that
// forked, not the process, so that thread waits for the child.
func startWithParent(cmd *exec.Cmd, ended chan<- struct{}) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	return <-started
}

// scratchDir makes a folder below dir that is named by this process, and
// removes those of processes that were killed.
func scratchDir(dir string) (string, error) {
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		pid, _, _ := strings.Cut(filepath.Base(path), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); errors.Is(err, os.ErrNotExist) {
			if err := os.RemoveAll(path); err != nil {
				return "", err
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, fmt.Sprint(os.Getpid(), "-"))
}
