// Package lab is where measurements are made: real services, the pipeline as a
// process of its own, and a look at what every process uses.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"facestream/internal/bench/procs"
	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/runners"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	user = "bench" // Hadoop's

	goneLimit = time.Minute // until what was ended has ended, also on a busy machine
	gonePoll  = 50 * time.Millisecond
)

// Lab is a place to measure in. Its methods are called one at a time.
type Lab struct {
	dir    string
	stack  *services.Stack
	cpus   []int // that this process may use
	procs  *procs.Watcher
	say    func(format string, args ...any)
	runs   int            // of the pipeline
	totals map[string]int // frames of each topic
	warm   map[string]int // the most slots that a runner has run a job with
}

// Open compiles the pipeline and starts Kafka, HDFS and the clusters of the
// runners. progress is told what happens.
func Open(ctx context.Context, names []string, progress io.Writer) (*Lab, error) {
	checkout, err := paths.Checkout()
	if err != nil {
		return nil, err
	}
	build := filepath.Join(checkout, "build")
	if err := os.MkdirAll(build, dirMode); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(build, "bench-")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	l := &Lab{dir: dir, procs: procs.Watch(os.Getpid(), Class), totals: map[string]int{}, warm: map[string]int{}}
	l.say = func(format string, args ...any) {
		fmt.Fprintf(progress, "%4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	if err := l.start(ctx, names); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context, names []string) error {
	l.say("compiling, and starting Kafka, HDFS, and the clusters of %s", strings.Join(names, ", "))
	var err error
	if l.cpus, err = affinity(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.compile(ctx) })
	g.Go(func() (err error) {
		l.stack, err = services.Start(ctx, filepath.Join(l.dir, "stack"), services.Options{
			Kafka: true, HDFS: true, Flink: slices.Contains(names, runners.Flink), Spark: slices.Contains(names, runners.Spark),
		})
		return err
	})
	return g.Wait()
}

// Say tells who watches what happens.
func (l *Lab) Say(format string, args ...any) { l.say(format, args...) }

// Close ends everything that the lab has started, and removes its files.
func (l *Lab) Close() error {
	var err error
	if l.stack != nil {
		err = l.stack.Stop()
	}
	for deadline := time.Now().Add(goneLimit); ; time.Sleep(gonePoll) {
		left := l.procs.Running()
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			err = errors.Join(err, fmt.Errorf("process %d is left: %s", left[0].PID, strings.Join(left[0].Args, " ")))
			break
		}
	}
	l.procs.Stop()
	return errors.Join(err, os.RemoveAll(l.dir))
}

func (l *Lab) program() string { return filepath.Join(l.dir, "pipeline") }

func (l *Lab) compile(ctx context.Context) error {
	root, err := paths.Checkout()
	if err != nil {
		return err
	}
	// Without a version stamp: go refuses to make one in a checkout that belongs
	// to another user.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", l.program(), "./pipeline")
	cmd.Dir = root
	// The compilers and linkers that it starts end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling: %w\n%s", err, out)
	}
	return nil
}

// affinity returns the processors that this process may use.
func affinity() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var out []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			out = append(out, cpu)
		}
	}
	return out, nil
}
