package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
)

const (
	shortestRun  = time.Second      // what the pipeline takes as --duration
	restartPause = time.Second      // between two runs
	endGrace     = 30 * time.Second // between SIGTERM and SIGKILL

	// hopeless is the exit status of a program that refuses its settings, and that
	// of Go when it panics.
	hopeless = 2
)

// program is one that runs again and again, as under a service manager.
type program struct {
	name    string
	path    string
	args    func(left time.Duration) []string
	env     []string // beside this program's own
	logs    string   // folder
	ownLogs string   // folder where each run makes logs of its own anew; or empty
	say     func(format string, args ...any)

	mu      sync.Mutex
	current proc.Process // of the run under way
	runs    runs
}

// runs counts those of a program. One that was interrupted is neither killed nor
// failed.
type runs struct {
	all    int
	killed int // by SIGKILL
	failed int // ended with another status than 0
	peakKB int64
}

// keepUp runs the program until then, or until ctx ends, and starts it again
// when it ends before that, unless it refuses its settings or has crashed.
func (p *program) keepUp(ctx context.Context, until time.Time) error {
	for {
		left := time.Until(until)
		if left < shortestRun || ctx.Err() != nil {
			return nil
		}
		ended, err := p.run(ctx, p.args(left))
		if err != nil || ctx.Err() != nil {
			return err
		}
		if crashed := ended.ExitCode() < 0 && !killed(ended); crashed || ended.ExitCode() == hopeless {
			return fmt.Errorf("%s: %s; its log is %s", p.name, p.said(ended), p.log())
		}
		if time.Until(until) < shortestRun {
			return nil
		}
		p.say("%s: %s; starting it again", p.name, p.said(ended))
		_ = wait.Sleep(ctx, restartPause)
	}
}

// run runs the program once and returns how it has ended. When ctx ends, it ends
// the program.
func (p *program) run(ctx context.Context, args []string) (*os.ProcessState, error) {
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.mu.Lock()
	p.runs.all++
	number := p.runs.all
	p.mu.Unlock()
	fmt.Fprintf(log, "%s run %d: %s %s\n", time.Now().Format(time.TimeOnly), number, p.path, strings.Join(args, " "))
	cmd := exec.Command(p.path, args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := proc.StartBound(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	named, err := proc.NewProcess(p.name, cmd.Process.Pid, log.Name())
	if err == nil { // else it has ended already
		p.mu.Lock()
		p.current = named
		p.mu.Unlock()
	}
	interrupted := false
	select {
	case <-child.Ended:
	case <-ctx.Done():
		interrupted = true
		if err := named.End(endGrace); err != nil {
			return nil, err
		}
		<-child.Ended
	}
	how := cmd.ProcessState
	p.mu.Lock()
	p.current = proc.Process{}
	p.runs.peakKB = max(p.runs.peakKB, how.SysUsage().(*syscall.Rusage).Maxrss)
	switch {
	case interrupted:
	case killed(how):
		p.runs.killed++
	case !how.Success():
		p.runs.failed++
	}
	p.mu.Unlock()
	fmt.Fprintf(log, "%s run %d: %s\n", time.Now().Format(time.TimeOnly), number, how)
	return how, p.keepLogs(number)
}

// keepLogs moves the logs that the run has made to where the next one does not
// remove them.
func (p *program) keepLogs(number int) error {
	if p.ownLogs == "" {
		return nil
	}
	err := os.Rename(p.ownLogs, filepath.Join(p.logs, fmt.Sprintf("%s-%d", p.name, number)))
	if os.IsNotExist(err) { // it has not come so far
		return nil
	}
	return err
}

func (p *program) log() string { return filepath.Join(p.logs, p.name+".log") }

// process returns that of the run under way; ok is false if there is none.
func (p *program) process() (proc proc.Process, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current, p.current.PID != 0
}

// counts returns the runs until now.
func (p *program) counts() runs {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs
}

// killed says whether SIGKILL has ended the process.
func killed(p *os.ProcessState) bool {
	status := p.Sys().(syscall.WaitStatus)
	return status.Signaled() && status.Signal() == syscall.SIGKILL
}

// said says how the last run ended, and what it printed as the reason: the
// programs here begin such a line with their name.
func (p *program) said(ended *os.ProcessState) string {
	how := ended.String()
	data, err := os.ReadFile(p.log())
	if err != nil {
		return how // the log is there to be read by others, too
	}
	data = data[max(0, bytes.LastIndex(data, []byte(": "+p.path+" "))):] // the first line of the last run
	prefix := []byte("\n" + filepath.Base(p.path) + ": ")
	if at := bytes.LastIndex(data, prefix); at >= 0 {
		reason, _, _ := bytes.Cut(data[at+len(prefix):], []byte("\n"))
		how += ": " + string(reason)
	}
	return how
}
