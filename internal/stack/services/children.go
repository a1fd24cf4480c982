package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"facestream/internal/jvm"
	"facestream/internal/proc"
)

const (
	logLines = 20      // how much of a log an error shows
	logBytes = 8 << 10 // where those lines are looked for
)

// jvmFlags are those of every service.
var jvmFlags = slices.Concat(jvm.Small, []string{"-XX:-UsePerfData", "-Xms64m", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true"})

// children starts processes and ends them together.
type children struct {
	java    string
	logs    string // folder
	started func(service string, p proc.Process) error

	mu  sync.Mutex
	all []*child
}

// child is a process that this one has started.
type child struct {
	proc.Process
	*proc.Child

	program javaProgram
}

// role is what a process is to the others of its service.
type role int

const (
	alone  role = iota
	head        // members register with it
	member      // may come and go
)

// javaProgram is what runs in a JVM.
type javaProgram struct {
	service   string // whose it is
	role      role
	name      string // of the process and of its log
	conf      string // folder of its settings, and of what it unpacks
	classPath string
	heap      string // as in -Xmx
	jvm       []string
	class     string
	args      []string
	env       []string
}

// run runs a program to its end. It never outlives this process.
func (c *children) run(ctx context.Context, p javaProgram) error {
	child, err := c.launch(p, true)
	if err != nil {
		return err
	}
	select {
	case <-child.Ended:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), child.End(0))
	}
	if child.Err != nil {
		return child.failed()
	}
	return nil
}

// start starts a program that runs until end.
func (c *children) start(p javaProgram) (*child, error) {
	return c.startInPlace(p, nil)
}

// restart starts the program of a process again, which it ends if need be. The
// new process takes the place of the old one.
func (c *children) restart(old *child) (*child, error) {
	if err := old.End(EndGrace); err != nil {
		return nil, err
	}
	return c.startInPlace(old.program, old)
}

// startInPlace starts a program in the place of an old process, or in a new
// place if there is none.
func (c *children) startInPlace(p javaProgram, old *child) (*child, error) {
	child, err := c.launch(p, c.started == nil)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := slices.Index(c.all, old); at >= 0 {
		c.all[at] = child
	} else {
		c.all = append(c.all, child)
	}
	if c.started == nil {
		return child, nil
	}
	return child, c.started(p.service, child.Process)
}

// find returns the process of a name, nil if there is none.
func (c *children) find(name string) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := slices.IndexFunc(c.all, func(child *child) bool { return child.Name == name }); at >= 0 {
		return c.all[at]
	}
	return nil
}

// of returns the processes of a service.
func (c *children) of(service string) []*child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.all), func(child *child) bool { return child.program.service != service })
}

// end ends what start has started.
func (c *children) end() error { return proc.End(c.processes(), EndGrace) }

// processes returns what start has started.
func (c *children) processes() []proc.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	procs := make([]proc.Process, len(c.all))
	for i, child := range c.all {
		procs[i] = child.Process
	}
	return procs
}

// launch starts a process with its output in its log. A bound one dies with
// this process, even if this is killed; the others form a session of their own
// and are out of reach of the terminal's Ctrl-C.
func (c *children) launch(p javaProgram, bound bool) (*child, error) {
	// What is unpacked at run time goes where it is removed with the rest.
	tmp := filepath.Join(p.conf, "tmp")
	if err := os.MkdirAll(tmp, dirMode); err != nil {
		return nil, err
	}
	logging, err := jvm.LogFlags(p.conf)
	if err != nil {
		return nil, err
	}
	logPath := c.logPath(p.name)
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	args := slices.Concat(jvmFlags, p.jvm, logging,
		[]string{"-Xmx" + p.heap, "-Djava.io.tmpdir=" + tmp, "-cp", p.classPath, p.class}, p.args)
	cmd := exec.Command(c.java, args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	begin := proc.StartDetached
	if bound {
		begin = proc.StartBound
	}
	running, err := begin(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	process, err := proc.NewProcess(p.name, cmd.Process.Pid, logPath)
	if err != nil {
		_ = cmd.Process.Kill() // nobody could end it later
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return &child{Process: process, Child: running, program: p}, nil
}

// logPath is where a program's output goes.
func (c *children) logPath(name string) string {
	return filepath.Join(c.logs, name+".log")
}

// failed says how a process ended that should not have, with the end of its
// log.
func (c *child) failed() error {
	<-c.Ended
	how := "exit status 0"
	if c.Err != nil {
		how = c.Err.Error()
	}
	return fmt.Errorf("%s ended: %s%s", c.Name, how, tails([]*child{c}))
}

// tails returns the last lines of the processes' logs.
func tails(procs []*child) string {
	var b strings.Builder
	for _, p := range procs {
		fmt.Fprintf(&b, "\n%s:", p.Log)
		lines, err := lastLines(p.Log)
		if err != nil {
			fmt.Fprintf(&b, "\n  %v", err)
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "\n  %s", line)
		}
	}
	return b.String()
}

func lastLines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimSpace(data[max(0, len(data)-logBytes):])
	lines := strings.Split(string(data), "\n")
	return lines[max(0, len(lines)-logLines):], nil
}
