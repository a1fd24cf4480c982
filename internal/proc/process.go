// Package proc starts processes, ends them, and says which run.
package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

const (
	killGrace = 10 * time.Second // for a process to end after SIGKILL
	pollEvery = 10 * time.Millisecond
)

// Process names a process for good: an id alone may be given to another one.
type Process struct {
	Name string
	PID  int
	Born string // boot id, and clock ticks from the boot to the start
	Log  string // path
}

// NewProcess describes a running process.
func NewProcess(name string, pid int, log string) (Process, error) {
	b, err := born(pid)
	if err != nil {
		return Process{}, fmt.Errorf("looking at process %d (%s): %w", pid, name, err)
	}
	return Process{Name: name, PID: pid, Born: b, Log: log}, nil
}

// Alive reports whether the process runs.
func (p Process) Alive() bool {
	b, err := born(p.PID)
	return err == nil && b == p.Born
}

// End asks the process to end, kills it if it does not within the grace period, and
// waits until it has ended. Another process that has got its id is spared.
func (p Process) End(grace time.Duration) error {
	// Taken before the check: a process that gets the same id after it is never meant.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("ending %s: %w", p.Name, err)
	}
	defer func() { _ = handle.Release() }()
	steps := []struct {
		signals []syscall.Signal
		wait    time.Duration
	}{{[]syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}, grace}, {[]syscall.Signal{syscall.SIGKILL}, killGrace}}
	for _, step := range steps {
		if !p.Alive() {
			return nil
		}
		for _, signal := range step.signals {
			if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return fmt.Errorf("ending %s, process %d: %w", p.Name, p.PID, err)
			}
		}
		for deadline := time.Now().Add(step.wait); p.Alive() && time.Now().Before(deadline); {
			time.Sleep(pollEvery)
		}
	}
	if p.Alive() {
		return fmt.Errorf("ending %s: process %d still runs %v after SIGKILL", p.Name, p.PID, killGrace)
	}
	return nil
}

// End ends processes, all at the same time.
func End(procs []Process, grace time.Duration) error {
	errs := make([]error, len(procs))
	var wg sync.WaitGroup
	for i, p := range procs {
		wg.Go(func() { errs[i] = p.End(grace) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// bootID is the same until the machine starts anew.
var bootID = sync.OnceValues(func() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
})

func born(pid int) (string, error) {
	boot, err := bootID()
	if err != nil {
		return "", err
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return "", err
	}
	stat, err := p.Stat()
	if err != nil {
		return "", err
	}
	// A killed process is a zombie as soon as its first thread has ended; while
	// others end, it still holds its ports.
	if stat.State == "Z" && stat.NumThreads <= 1 {
		return "", os.ErrProcessDone
	}
	return boot + "+" + strconv.FormatUint(stat.Starttime, 10), nil
}

// Running is a process that runs on this machine.
type Running struct {
	PID, Parent int
	Args        []string
}

// Has reports whether the text stands in the command line.
func (r Running) Has(text string) bool { return strings.Contains(strings.Join(r.Args, " "), text) }

// All returns all processes with a command line: neither the kernel's, nor those
// that have ended and wait to be collected.
func All() ([]Running, error) {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	var out []Running
	for _, p := range procs {
		args, err := p.CmdLine()
		if err == nil && len(args) > 0 {
			var stat procfs.ProcStat
			if stat, err = p.Stat(); err == nil {
				out = append(out, Running{p.PID, stat.PPID, args})
			}
		}
		if err != nil && !Gone(err) {
			return nil, err
		}
	}
	return out, nil
}

// Gone reports whether an error of procfs means that the process has ended.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, os.ErrProcessDone)
}

// Kernel names the table of processes that this process sees: ids of another machine,
// of another start of this one, or of another container mean other processes.
func Kernel() (string, error) {
	boot, err := bootID()
	if err != nil {
		return "", err
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return boot + "/" + namespace, err
}
