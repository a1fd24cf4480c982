package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/proc"
)

const (
	logLines = 20      // how much of a log an error shows
	logBytes = 8 << 10 // where those lines are looked for
)

// jvmFlags are those of every service.
var jvmFlags = slices.Concat(jvm.Small, []string{"-Xms64m", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true"})

// child is a process that this one has started.
type child struct {
	proc.Process
	*proc.Child

	program javaProgram
}

// javaProgram is what runs in a JVM.
type javaProgram struct {
	service  *service
	member   bool              // it registers with the first process of its service
	owner    bool              // what it starts, whoever is the parent by then, ends with it
	name     string            // of the process and of its log
	classes  string            // the profiles of its class path, with spaces between them
	conf     string            // folder of its settings, and of what it unpacks
	settings map[string]string // files in conf
	readConf bool              // conf stands in the class path
	heap     string            // as in -Xmx
	jvm      []string
	class    string
	binary   string // instead of Java
	args     []string
	env      []string
}

// run runs a program to its end. It never outlives this process.
func (s *Stack) run(ctx context.Context, p javaProgram) error {
	child, err := s.launch(p, proc.StartBound)
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

// startProgram starts a program, in the place of an old process if that is not nil.
func (s *Stack) startProgram(p javaProgram, old *child) (*child, error) {
	begin := proc.StartBound
	if s.started != nil {
		begin = proc.StartDetached
	}
	child, err := s.launch(p, begin)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.Index(s.all, old); at >= 0 {
		s.all[at] = child
	} else {
		s.all = append(s.all, child)
	}
	if s.started == nil {
		return child, nil
	}
	return child, s.started(p.service.name, child.Process)
}

// find returns the newest process of a name, nil if there was none.
func (s *Stack) find(name string) *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.IndexFunc(s.all, func(c *child) bool { return c.Name == name }); at >= 0 {
		return s.all[at]
	}
	return nil
}

// running returns how many members of a service run, and whether all of its processes do.
func (s *Stack) running(kind *service) (members int, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole = true
	for _, child := range s.all {
		switch {
		case child.program.service != kind:
		case !child.Alive():
			whole = false
		case child.program.member:
			members++
		}
	}
	return members, whole
}

// launch starts a process with its output in its log.
func (s *Stack) launch(p javaProgram, begin func(*exec.Cmd) (*proc.Child, error)) (*child, error) {
	// What is unpacked at run time goes where it is removed with the rest.
	tmp := filepath.Join(p.conf, "tmp")
	if err := os.MkdirAll(tmp, dirMode); err != nil {
		return nil, err
	}
	if err := p.write(); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.binary, p.args...)
	if p.binary == "" {
		java, err := s.javaArgs(p, tmp)
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(s.java, java...)
	}
	logPath := s.logPath(p.name)
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	var flags uintptr
	if p.owner && os.Geteuid() == 0 { // elsewhere it must end them itself, which one that is killed does not
		// It sees no other processes, and the kernel ends a table of processes with its first one.
		cmd, flags = exec.Command("unshare", append([]string{"--mount-proc"}, cmd.Args...)...), syscall.CLONE_NEWPID
	}
	if at := s.hosts[p.name]; at != "" {
		cmd = exec.Command("ip", append([]string{"netns", "exec", at}, cmd.Args...)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	running, err := begin(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	process, err := proc.NewProcess(p.name, cmd.Process.Pid, logPath)
	if proc.Gone(err) { // its log tells why
		process, err = proc.Process{Name: p.name, PID: cmd.Process.Pid, Log: logPath}, nil
	}
	if err != nil {
		_ = cmd.Process.Kill() // nobody could end it later
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return &child{Process: process, Child: running, program: p}, nil
}

// write writes the program's settings.
func (p javaProgram) write() error {
	for name, settings := range p.settings {
		if err := os.WriteFile(filepath.Join(p.conf, name), []byte(settings), fileMode); err != nil {
			return err
		}
	}
	return nil
}

// javaArgs are the arguments of Java for a program.
func (s *Stack) javaArgs(p javaProgram, tmp string) ([]string, error) {
	var classPath []string
	if p.readConf {
		classPath = append(classPath, p.conf)
	}
	for _, profile := range strings.Fields(p.classes) {
		jars, err := paths.ClassPath(profile)
		if err != nil {
			return nil, err
		}
		classPath = append(classPath, jars)
	}
	logging, err := jvm.LogFlags(p.conf)
	return slices.Concat(jvmFlags, p.jvm, logging,
		[]string{"-Xmx" + p.heap, "-Djava.io.tmpdir=" + tmp, "-cp", strings.Join(classPath, string(filepath.ListSeparator)), p.class}, p.args), err
}

// logPath is where a program's output goes.
func (s *Stack) logPath(name string) string { return filepath.Join(s.logs, name+".log") }

// failed is the error for a process that should not have ended, with the end of its log.
func (c *child) failed() error {
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
		data, err := os.ReadFile(p.Log)
		if err != nil {
			data = []byte(err.Error())
		}
		lines := strings.Split(strings.TrimSpace(string(data[max(0, len(data)-logBytes):])), "\n")
		for _, line := range lines[max(0, len(lines)-logLines):] {
			fmt.Fprintf(&b, "\n  %s", line)
		}
	}
	return b.String()
}
