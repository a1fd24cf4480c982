package runners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
)

// service is a server that runs as a child of this process and ends with it,
// however that ends.
type service struct {
	*proc.Child
	addr string // host:port
	tmp  string // its own folder, if it has one
	log  string
}

const (
	// startTimeout is how long a service may take to start.
	startTimeout = 60 * time.Second
	// gentleTimeout is how long one may take to end that is asked to.
	gentleTimeout = 10 * time.Second
)

// startService starts cmd, with its output in the file log, and waits until it
// accepts connections at addr. tmp, if not empty, is removed with the service.
func startService(ctx context.Context, what string, cmd *exec.Cmd, log, addr, tmp string) (*service, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	child, err := proc.StartBound(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", what, err)
	}
	s := &service{Child: child, addr: addr, tmp: tmp, log: log}
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	if err := s.accepts(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("starting %s: %w; its log is %s", what, err, log)
	}
	return s, nil
}

// closeGently asks the service to end, and ends it if it takes too long: one that
// has told other processes what to do can tell them that it is over.
func (s *service) closeGently() {
	_ = s.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Ended:
	case <-time.After(gentleTimeout):
	}
	s.close()
}

// close ends the service.
func (s *service) close() {
	_ = s.Process.Kill() // it keeps no state
	<-s.Ended
	_ = os.RemoveAll(s.tmp) // if not now, a later run does it
}

// accepts returns when the service accepts connections.
func (s *service) accepts(ctx context.Context) error {
	var err error
	late := wait.Until(ctx, 20*time.Millisecond, func() bool {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", s.addr, time.Second); err == nil {
			err = conn.Close()
			return true
		}
		return s.HasEnded()
	})
	switch {
	case late != nil:
		return fmt.Errorf("waiting for it at %s: %w", s.addr, late)
	case s.HasEnded():
		return errors.New("it ended")
	}
	return err
}

// scratch makes a folder for temporary files of a service in a run's folder.
func scratch(run, service string) (string, error) {
	dir := filepath.Join(run, "tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, service+"-")
}
