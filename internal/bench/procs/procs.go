// Package procs measures what the processes of a run use: processor time and
// memory by class of process, as /proc tells them (proc(5)).
package procs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// interval is how often the processes are looked at. What a process uses after
// the last look before its end is not seen.
const interval = 50 * time.Millisecond

// ticksPerSecond is the unit of processor times in /proc, on every Linux.
const ticksPerSecond = 100

// resetPeak, written to clear_refs, makes the present memory the peak.
const resetPeak = "5"

// Use is what the processes of one class have used since Begin.
type Use struct {
	CPU  time.Duration // of all of them, in user and system mode
	Peak int64         // bytes of resident memory: the most that any of them had
}

// Process is one that was seen.
type Process struct {
	PID  int
	Args []string

	class       string
	born        string // clock ticks from the boot to its start: tells it from a later one of the same id
	ticks, base int64  // of processor time: all, and when Begin was called
	peakKB      int64
	zombie      bool // has ended, and waits to be collected
	gone        bool
}

// Watcher looks at the descendants of one process, now and then, until Stop. A
// descendant stays one when its parent ends.
type Watcher struct {
	root  int
	class func(args []string) string
	stop  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	ours    map[int]*Process
	foreign map[int]bool // processes that are none of root's
	dead    []*Process   // of those that have ended since Begin
	err     error
}

// Watch begins to look. class names what a process with such a command line is;
// it is asked at every look, because a process may become another program.
func Watch(root int, class func(args []string) string) *Watcher {
	w := &Watcher{
		root: root, class: class, stop: make(chan struct{}), ended: make(chan struct{}),
		ours: map[int]*Process{}, foreign: map[int]bool{},
	}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.mu.Lock()
				w.look()
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// Stop ends the looking.
func (w *Watcher) Stop() {
	close(w.stop)
	<-w.ended
}

// Begin starts a measurement: what was used before counts no more.
func (w *Watcher) Begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	w.dead = nil
	for _, p := range w.ours {
		err := os.WriteFile(procFile(p.PID, "clear_refs"), []byte(resetPeak), 0)
		if err != nil && !ended(err) {
			return fmt.Errorf("resetting the peak memory of process %d: %w", p.PID, err)
		}
		p.base, p.peakKB = p.ticks, 0
	}
	return w.err
}

// Used returns what was used since Begin, by class. The error is the first that
// looking has met.
func (w *Watcher) Used() (map[string]Use, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	out := map[string]Use{}
	for _, p := range slices.AppendSeq(slices.Clone(w.dead), maps.Values(w.ours)) {
		u := out[p.class]
		u.CPU += time.Duration(p.ticks-p.base) * time.Second / ticksPerSecond
		u.Peak = max(u.Peak, p.peakKB<<10)
		out[p.class] = u
	}
	return out, w.err
}

// Running returns the descendants that have not ended.
func (w *Watcher) Running() []Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	var out []Process
	for _, p := range w.ours {
		if !p.zombie {
			out = append(out, *p)
		}
	}
	return out
}

// look takes one sample.
func (w *Watcher) look() {
	pids, err := pids()
	if err != nil {
		w.fail(err)
		return
	}
	fresh := map[int]stat{}
	for _, p := range w.ours {
		p.gone = true
	}
	for pid := range w.foreign {
		w.foreign[pid] = false
	}
	for _, pid := range pids {
		if _, known := w.foreign[pid]; known {
			w.foreign[pid] = true
			continue
		}
		s, err := readStat(pid)
		if err != nil {
			w.fail(err)
			continue
		}
		if p := w.ours[pid]; p != nil && p.born == s.born {
			w.update(p, s)
		} else {
			fresh[pid] = s
		}
	}
	// Those that have ended: their ids may be given to others.
	maps.DeleteFunc(w.foreign, func(_ int, there bool) bool { return !there })
	for pid, p := range w.ours {
		if p.gone {
			delete(w.ours, pid)
			w.dead = append(w.dead, p)
		}
	}
	for pid, s := range fresh {
		if !w.descends(s.parent, fresh) {
			w.foreign[pid] = true
			continue
		}
		p := &Process{PID: pid, born: s.born}
		w.ours[pid] = p
		w.update(p, s)
	}
}

// descends says whether a process is root or a descendant of it.
func (w *Watcher) descends(pid int, fresh map[int]stat) bool {
	for {
		if pid == w.root || w.ours[pid] != nil {
			return true
		}
		s, ok := fresh[pid]
		if !ok {
			return false
		}
		pid = s.parent
	}
}

// update takes the values of a process. A zombie has no memory and no command
// line any more.
func (w *Watcher) update(p *Process, s stat) {
	p.ticks, p.zombie, p.gone = s.ticks, s.zombie, false
	if s.zombie {
		return
	}
	args, err := readArgs(p.PID)
	if err != nil {
		w.fail(err)
	} else if len(args) > 0 {
		class := w.class(args)
		if class != p.class { // another program, with a memory of its own
			p.peakKB = 0
		}
		p.Args, p.class = args, class
	}
	kb, err := readPeakKB(p.PID)
	w.fail(err)
	p.peakKB = max(p.peakKB, kb)
}

// fail keeps the first error that does not only say that a process has ended.
func (w *Watcher) fail(err error) {
	if err != nil && w.err == nil && !ended(err) {
		w.err = err
	}
}

func pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}

// stat is what /proc/PID/stat says.
type stat struct {
	parent int
	zombie bool
	ticks  int64 // in user and system mode
	born   string
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(data))
}

// parseStat reads "pid (name) state parent ...", where the name may hold
// anything.
func parseStat(text string) (stat, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const state, parent, user, system, start = 0, 1, 11, 12, 19
	if len(fields) <= start {
		return stat{}, fmt.Errorf("%q is no /proc/PID/stat", text)
	}
	up, err := strconv.Atoi(fields[parent])
	inUser, userErr := strconv.ParseInt(fields[user], 10, 64)
	inSystem, systemErr := strconv.ParseInt(fields[system], 10, 64)
	if err := errors.Join(err, userErr, systemErr); err != nil {
		return stat{}, fmt.Errorf("%q is no /proc/PID/stat: %w", text, err)
	}
	return stat{up, fields[state] == "Z", inUser + inSystem, fields[start]}, nil
}

// readArgs returns the command line, which is empty while a process ends.
func readArgs(pid int) ([]string, error) {
	data, err := os.ReadFile(procFile(pid, "cmdline"))
	if err != nil || len(data) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}

func readPeakKB(pid int) (int64, error) {
	data, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, err
	}
	return parsePeakKB(string(data))
}

// parsePeakKB reads VmHWM. A process that ends has none.
func parsePeakKB(status string) (int64, error) {
	_, rest, ok := strings.Cut(status, "\nVmHWM:")
	if !ok {
		return 0, nil
	}
	line, _, _ := strings.Cut(rest, "\n")
	kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading VmHWM: %w", err)
	}
	return kb, nil
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// ended says whether an error of /proc means that the process has ended.
func ended(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
