package runners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"facestream/runners/javaharness"
	"facestream/runners/parts"
)

const (
	expansionClass   = "org.apache.beam.sdk.expansion.service.ExpansionService"
	expansionTimeout = 60 * time.Second
)

// Expansion is a running expansion service for KafkaIO. It is a child of this
// process and ends with it, however that ends.
type Expansion struct {
	Addr string // host:port

	tmp   string // what the JVMs of this run unpack
	cmd   *exec.Cmd
	ended chan struct{}
}

// StartExpansion starts the expansion service from the Java parts that
// scripts/setup.sh installed, and waits until it answers. The transforms it
// expands run in a Java harness that the runner starts through this program
// (see package javaharness). Its logs, and the harnesses', go to build/log, and
// what they unpack to a folder of this run below build/tmp.
func StartExpansion(ctx context.Context) (*Expansion, error) {
	java, err := parts.Java()
	if err != nil {
		return nil, err
	}
	classPath, err := parts.ClassPath("beam")
	if err != nil {
		return nil, err
	}
	build, err := parts.Build()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(build, "log")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, err
	}
	tmp, err := scratchDir(filepath.Join(build, "tmp"))
	if err != nil {
		return nil, err
	}
	// Every window adds to it; what is kept is the last run's.
	harnessLog := filepath.Join(logs, "java-harness.log")
	if err := os.Remove(harnessLog); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	environment, err := javaharness.Environment(self, java, classPath, harnessLog, tmp)
	if err != nil {
		return nil, err
	}
	// Staging one empty file keeps the service from staging its whole class
	// path with every job.
	empty := filepath.Join(tmp, "empty.jar")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	logFile, err := os.Create(filepath.Join(logs, "expansion.log"))
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd := exec.Command(java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Djava.io.tmpdir="+tmp, "-cp", classPath, expansionClass, port,
		"--defaultEnvironmentType=PROCESS",
		"--defaultEnvironmentConfig="+environment,
		"--filesToStage="+empty)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	e := &Expansion{Addr: addr, tmp: tmp, cmd: cmd, ended: make(chan struct{})}
	if err := startWithParent(cmd, e.ended); err != nil {
		return nil, fmt.Errorf("starting the expansion service: %w", err)
	}
	if err := e.wait(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("%w; its log is %s", err, logFile.Name())
	}
	return e, nil
}

// Close ends the service.
func (e *Expansion) Close() {
	_ = e.cmd.Process.Kill() // it keeps no state
	<-e.ended
	_ = os.RemoveAll(e.tmp) // if not now, the next run does it
}

// scratchDir makes a folder below dir that is named by this process, and
// removes those of processes that were killed.
func scratchDir(dir string) (string, error) {
	old, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		pid, _, _ := strings.Cut(filepath.Base(path), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); errors.Is(err, os.ErrNotExist) {
			if err := os.RemoveAll(path); err != nil {
				return "", err
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, fmt.Sprint(os.Getpid(), "-"))
}

// wait returns when the service accepts connections.
func (e *Expansion) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, expansionTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", e.Addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-e.ended:
			return errors.New("the expansion service ended at its start")
		case <-ctx.Done():
			return fmt.Errorf("waiting for the expansion service at %s: %w", e.Addr, ctx.Err())
		case <-tick.C:
		}
	}
}

// startWithParent starts cmd so that the kernel kills it when this process
// dies; ended is closed when it has ended. The kernel watches the thread that
// forked, not the process, so that thread waits for the child.
func startWithParent(cmd *exec.Cmd, ended chan<- struct{}) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	return <-started
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
