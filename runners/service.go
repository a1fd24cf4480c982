package runners

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/wait"
)

// service is a server that is a child of this process, and ends with it, however that ends.
type service struct {
	*proc.Child
	addr string // host:port
	tmp  string // its own folder, if it has one
	log  string
	// grace is how long it may take to end. Most keep no state, and tell nobody that it is over.
	grace time.Duration
}

// startTimeout is how long a service may take to start, on a busy machine a minute.
const startTimeout = 3 * time.Minute

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
	err = wait.Until(ctx, 20*time.Millisecond, func() bool { return s.HasEnded() || ports.Reach(ctx, addr) == nil })
	if s.HasEnded() {
		err = errors.New("it ended")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("starting %s, which is to listen at %s: %w; its log is %s", what, addr, err, log)
	}
	return s, nil
}

// close ends the service.
func (s *service) close() {
	s.Stop(s.grace)
	_ = os.RemoveAll(s.tmp) // if not now, a later run does it
}

// scratch makes a folder for temporary files of a service in a run's folder.
func scratch(run, service string) (string, error) {
	dir := filepath.Join(run, "tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, service+"-")
}
