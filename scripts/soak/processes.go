package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	goneLimit = 15 * time.Second // until what was ended has ended
	gonePoll  = 100 * time.Millisecond
)

// process is one that runs on this machine.
type process struct {
	pid, parent int
	args        []string
}

// processes returns all that run. One that was killed has no command line any
// more and is not among them.
func processes() ([]process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var out []process
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue // it has ended, or is the kernel's
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		// "pid (name) state parent ...", and the name may hold anything (proc(5)).
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(dir)) // the pattern has a digit
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("reading %s/stat: %w", dir, err)
		}
		out = append(out, process{pid, parent, strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")})
	}
	return out, nil
}

// has says whether an argument of the process has the text in it.
func (p process) has(text string) bool { return strings.Contains(strings.Join(p.args, " "), text) }

// of says whether the process runs a program that lies in the folder, or a Java
// one with files there.
func (p process) of(dir string) bool {
	dir += string(filepath.Separator)
	return strings.HasPrefix(p.args[0], dir) || filepath.Base(p.args[0]) == "java" && p.has(dir)
}

// awaitNothing waits until no process of the folder runs any more.
func awaitNothing(dir string) error {
	for deadline := time.Now().Add(goneLimit); ; time.Sleep(gonePoll) {
		all, err := processes()
		if err != nil {
			return err
		}
		var left *process
		for _, p := range all {
			if p.of(dir) {
				left = &p
			}
		}
		if left == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is left: %s", left.pid, strings.Join(left.args, " "))
		}
	}
}
