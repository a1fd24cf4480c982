package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
)

const (
	shortestRun  = time.Second      // what the programs take as --duration
	restartPause = time.Second      // between two runs
	endGrace     = 30 * time.Second // between SIGTERM and SIGKILL

	// hopeless is the exit status of a program that refuses its settings.
	hopeless = 2

	// executorHeap is what the stack's own job server for Spark gives.
	executorHeap = "1536m"
)

// Program is one that may run several times.
type Program struct {
	Name    string // of its logs
	Path    string
	Flags   []string
	Logs    string // folder
	Summary string // the file that --summary names; or empty

	Runs int // until now
}

// Run is one run of a program.
type Run struct {
	*proc.Child
	program *Program
	log     string // path without extension
}

// KeepUp runs the program until then, as a service manager does: it is started again when it
// ends before that, unless it refuses its settings or has crashed.
func (p *Program) KeepUp(ctx context.Context, until time.Time, say func(format string, args ...any)) error {
	for {
		r, err := p.Run(ctx, "--duration="+time.Until(until).String())
		if err != nil {
			return err
		}
		if r.crashed() {
			return fmt.Errorf("%s: %s", p.Name, r)
		}
		if time.Until(until) < shortestRun+restartPause {
			return nil
		}
		say("%s: %s; starting it again", p.Name, r)
		_ = wait.Sleep(ctx, restartPause)
	}
}

// Start starts a run with further flags.
func (p *Program) Start(flags ...string) (*Run, error) {
	p.Runs++
	r := &Run{program: p, log: filepath.Join(p.Logs, fmt.Sprintf("%s-%d", p.Name, p.Runs))}
	cmd := exec.Command(p.Path, slices.Concat(p.Flags, flags)...)
	cmd.Env = append(os.Environ(), "SPARK_EXECUTOR_MEMORY="+executorHeap)
	stdout, err := os.Create(r.log + ".out")
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(r.log + ".err")
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if r.Child, err = proc.StartBound(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	return r, nil
}

// Run starts a run and waits for its end, as Wait does.
func (p *Program) Run(ctx context.Context, flags ...string) (*Run, error) {
	r, err := p.Start(flags...)
	if err != nil {
		return nil, err
	}
	return r, r.Wait(ctx)
}

// Wait waits for the end of the run. If ctx ends before, it ends the run, and the error is
// ctx's cause. It is an error, too, if a summary does not say what the exit status says.
func (r *Run) Wait(ctx context.Context) error {
	select {
	case <-r.Ended:
	case <-ctx.Done():
		r.Stop(endGrace)
		return fmt.Errorf("%s: %w", r.program.Name, context.Cause(ctx))
	}
	if code := r.ProcessState.ExitCode(); r.program.Summary == "" || code < 0 || code == hopeless {
		return nil
	}
	var s struct{ State string }
	if err := r.program.ReadSummary(&s); err != nil || (s.State == "DONE") != r.Success() {
		return fmt.Errorf("%s: %s, but its summary says %q (%v)", r.program.Name, r, s.State, err)
	}
	return nil
}

// Success reports whether the run has ended with exit status 0.
func (r *Run) Success() bool { return r.ProcessState.Success() }

// crashed reports whether the run has ended for a reason that another one would have, too.
func (r *Run) crashed() bool {
	status := r.ProcessState.Sys().(syscall.WaitStatus)
	return r.ProcessState.ExitCode() == hopeless || status.Signaled() && status.Signal() != syscall.SIGKILL
}

// Stdout returns what the run has printed until now.
func (r *Run) Stdout() string { return readLog(r.log + ".out") }

// Stderr does the same for its standard error.
func (r *Run) Stderr() string { return readLog(r.log + ".err") }

// Output returns both.
func (r *Run) Output() string { return r.Stdout() + r.Stderr() }

func readLog(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// reason is a line in which a program of facestream says why it ends.
var reason = regexp.MustCompile(`(?m)^facestream[a-z-]*: (.*)$`)

// String says how the run has ended, why, and where its logs are.
func (r *Run) String() string {
	why := ""
	if lines := reason.FindAllStringSubmatch(r.Stderr(), -1); lines != nil {
		why = ": " + lines[len(lines)-1][1]
	}
	return fmt.Sprintf("%s%s (see %s.*)", r.ProcessState, why, r.log)
}

// ReadSummary reads the summary of the last run.
func (p *Program) ReadSummary(to any) error {
	data, err := os.ReadFile(p.Summary)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}
