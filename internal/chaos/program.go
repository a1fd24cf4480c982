package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
)

const (
	shortestRun  = time.Second      // what the programs take as --duration
	restartPause = time.Second      // between two runs
	endGrace     = 30 * time.Second // between SIGTERM and SIGKILL

	// hopeless is the exit status of a program that refuses its settings, and that of
	// Go when it panics.
	hopeless = 2
)

// program is one that runs again and again, as under a service manager.
type program struct {
	name    string // of its logs
	path    string
	flags   []string
	logs    string // folder
	summary string // the file that --summary names; or empty
	say     func(format string, args ...any)

	runs int // until now
}

// end is how a run has ended.
type end struct {
	*os.ProcessState
	log string // path without extension
}

func (e end) stdout() string { return readLog(e.log + ".out") }
func (e end) stderr() string { return readLog(e.log + ".err") }

func readLog(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// crashed reports whether the run has ended for a reason of its own that another run
// would have, too.
func (e end) crashed() bool {
	status := e.Sys().(syscall.WaitStatus)
	return e.ExitCode() == hopeless || status.Signaled() && status.Signal() != syscall.SIGKILL
}

// reason is a line in which a program of facestream says why it ends.
var reason = regexp.MustCompile(`(?m)^facestream[a-z-]*: (.*)$`)

// String says how the run has ended, why, and where its logs are.
func (e end) String() string {
	why := ""
	if lines := reason.FindAllStringSubmatch(e.stderr(), -1); lines != nil {
		why = ": " + lines[len(lines)-1][1]
	}
	return fmt.Sprintf("%s%s (see %s.*)", e.ProcessState, why, e.log)
}

// keepUp runs the program until then, and starts it again when it ends before that,
// unless it refuses its settings or has crashed.
func (p *program) keepUp(ctx context.Context, until time.Time) error {
	for {
		end, err := p.run(ctx, append(p.flags, "--duration="+time.Until(until).String())...)
		if err != nil {
			return err
		}
		if end.crashed() {
			return fmt.Errorf("%s: %s", p.name, end)
		}
		if time.Until(until) < shortestRun+restartPause {
			return nil
		}
		p.say("%s: %s; starting it again", p.name, end)
		_ = wait.Sleep(ctx, restartPause)
	}
}

// run runs the program once. If ctx ends before, it ends the program, and the error is
// ctx's cause.
func (p *program) run(ctx context.Context, args ...string) (e end, err error) {
	p.runs++
	e.log = filepath.Join(p.logs, fmt.Sprintf("%s-%d", p.name, p.runs))
	cmd := exec.Command(p.path, args...)
	stdout, err := os.Create(e.log + ".out")
	if err != nil {
		return e, err
	}
	defer stdout.Close()
	stderr, err := os.Create(e.log + ".err")
	if err != nil {
		return e, err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	child, err := proc.StartBound(cmd)
	if err != nil {
		return e, fmt.Errorf("starting %s: %w", p.name, err)
	}
	select {
	case <-child.Ended:
	case <-ctx.Done():
		if running, err := proc.NewProcess(p.name, cmd.Process.Pid, e.log); err == nil { // else it has ended
			_ = running.End(endGrace)
		}
		<-child.Ended
		err = fmt.Errorf("%s: %w", p.name, context.Cause(ctx))
	}
	if e.ProcessState = cmd.ProcessState; err == nil && p.summary != "" && e.ExitCode() >= 0 && e.ExitCode() != hopeless {
		err = p.checkSummary(e)
	}
	return e, err
}

// checkSummary returns an error unless the run says of itself what its exit status
// says.
func (p *program) checkSummary(e end) error {
	var s struct{ State string }
	data, err := os.ReadFile(p.summary)
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || (s.State == "DONE") != e.Success() {
		return fmt.Errorf("%s: %s, but its summary says %q (%v)", p.name, e, s.State, err)
	}
	return nil
}
