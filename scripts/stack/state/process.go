package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	killGrace = 10 * time.Second // for a process to end after SIGKILL
	pollEvery = 10 * time.Millisecond
)

// Process is a started process. Its time of birth tells it from a later
// process that was given the same id.
type Process struct {
	Name string
	PID  int
	Born string // boot id, and clock ticks from the boot to the start
	Log  string // path
}

// NewProcess describes the running process pid.
func NewProcess(name string, pid int, log string) (Process, error) {
	b, err := born(pid)
	if err != nil {
		return Process{}, fmt.Errorf("looking at process %d (%s): %w", pid, name, err)
	}
	return Process{Name: name, PID: pid, Born: b, Log: log}, nil
}

// Alive says whether the process still runs.
func (p Process) Alive() bool {
	b, err := born(p.PID)
	return err == nil && b == p.Born
}

// End asks the process to end, and kills it if it still runs after the grace
// period. One that is stopped is continued for that, to be able to obey. It is
// no error if the process has ended before.
func (p Process) End(grace time.Duration) error {
	// The handle is taken before the check, so that a process that gets the
	// same id after the check is never meant.
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

// born returns the boot and the time at which a process was started. A process
// that has ended and only waits to be collected is os.ErrProcessDone.
func born(pid int) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name in brackets and may hold
	// anything; the third is the state, the 22nd the start (proc(5)).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, threads, start = 0, 17, 19
	if len(fields) <= start {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	// A killed process is a zombie as soon as its first thread has ended; while
	// others end, it still holds its ports.
	if fields[state] == "Z" && fields[threads] == "1" {
		return "", os.ErrProcessDone
	}
	return strings.TrimSpace(string(boot)) + "+" + fields[start], nil
}
