package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/runners"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	topic      = "soak"
	partitions = 4
	user       = "soak" // Hadoop's

	// dataNodes with one replica of each block: with more replicas no file could
	// be written while one of them is away.
	dataNodes = 2
	slots     = 2 // of the Flink cluster

	window       = 20 * time.Second
	stallTimeout = 2 * time.Minute
	// lateness is how long after its time a run may end: that of a window that
	// stalls, and of what comes before and after.
	lateness   = window + stallTimeout + time.Minute
	drainLimit = 15 * time.Minute
)

// soak is one run of this program.
type soak struct {
	o   options
	dir string

	mu  sync.Mutex
	out io.Writer

	stack     *services.Stack
	camera    *program
	pipelines []*program // by the names of their runners
	chaos     *chaos
}

func newSoak(o options, dir string, out io.Writer) *soak {
	s := &soak{o: o, dir: dir, out: out}
	s.chaos = newChaos(s)
	return s
}

// say tells a person what has happened.
func (s *soak) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// emptyFolder returns the empty folder build/soak, which no other soak uses
// until it is unlocked. What an earlier one left there is removed.
func emptyFolder() (dir string, unlock func(), err error) {
	checkout, err := paths.Checkout()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(checkout, "build", "soak")
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return "", nil, err
	}
	locked, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	unlock = func() { _ = locked.Close() }
	if err := syscall.Flock(int(locked.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		unlock()
		return "", nil, fmt.Errorf("locking %s, which another soak may use: %w", dir, err)
	}
	old, err := os.ReadDir(dir)
	for _, entry := range old {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
	if err != nil {
		unlock()
		return "", nil, err
	}
	return dir, unlock, nil
}

// run is the soak from the first start to the last look. Nothing of it runs any
// more when it returns. When ctx ends, that is no error.
func (s *soak) run(ctx context.Context) error {
	err := s.start(ctx)
	if err == nil {
		err = s.soak(ctx)
	}
	if ctx.Err() != nil { // err is what this has led to
		err = nil
	}
	if s.stack != nil {
		err = errors.Join(err, s.stack.Stop())
	}
	return errors.Join(err, awaitNothing(s.dir))
}

// start compiles the programs and starts the services.
func (s *soak) start(ctx context.Context) (err error) {
	s.say("seed %d; compiling, and starting Kafka, HDFS and what else is needed", s.o.seed)
	if err := os.MkdirAll(s.logs(), dirMode); err != nil {
		return err
	}
	if err := s.compile(ctx); err != nil {
		return err
	}
	s.stack, err = services.Start(ctx, filepath.Join(s.dir, "stack"), services.Options{
		Kafka: true, HDFS: true, Flink: slices.Contains(s.o.runners, runners.Flink), DataNodes: dataNodes,
	})
	return err
}

// soak does with the running services what there is to do.
func (s *soak) soak(ctx context.Context) error {
	if err := makeTopic(ctx, s.stack.Kafka); err != nil {
		return err
	}
	s.camera = s.newCamera()
	for _, name := range s.o.runners {
		s.pipelines = append(s.pipelines, s.newPipeline(name))
	}
	began := time.Now()
	until := began.Add(s.o.duration)
	s.say("faults until %s; logs in %s", until.Format(time.TimeOnly), s.logs())
	err := s.disturb(ctx, until)
	printFaults(s.out, s.chaos.happened, s.o.seed, time.Since(began))
	if err != nil {
		return err
	}
	s.say("all is whole again; reading what waits")
	if err := s.drain(ctx); err != nil {
		return err
	}
	s.say("looking")
	return s.look(ctx)
}

// disturb lets the camera and the pipelines run, and parts of everything die.
// At the end all is whole again, and neither the camera nor a pipeline runs.
func (s *soak) disturb(ctx context.Context, until time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	feeding, stop := context.WithDeadline(ctx, until)
	defer stop()
	g.Go(func() error { return s.camera.keepUp(feeding, until) })
	g.Go(func() error { return s.sendBad(feeding) })
	for _, p := range s.pipelines {
		g.Go(func() error {
			limited, stop := context.WithDeadline(ctx, until.Add(lateness))
			defer stop()
			if err := p.keepUp(limited, until); err != nil {
				return err
			}
			if ctx.Err() == nil && limited.Err() != nil {
				return fmt.Errorf("%s still ran %s after its time", p.name, lateness)
			}
			return ctx.Err()
		})
	}
	g.Go(func() error { return s.chaos.run(ctx, until) })
	return g.Wait()
}

// drain runs every pipeline once more, until nothing waits. As nothing dies any
// more, each must succeed.
func (s *soak) drain(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.pipelines {
		g.Go(func() error {
			ended, err := p.run(ctx, append(p.args(drainLimit), "--drain"))
			if err == nil && !ended.Success() {
				err = fmt.Errorf("%s, with nothing that disturbs it: %s; its log is %s", p.name, p.said(ended), p.log())
			}
			return err
		})
	}
	return g.Wait()
}

// compile makes the programs.
func (s *soak) compile(ctx context.Context) error {
	root, err := paths.Checkout()
	if err != nil {
		return err
	}
	bin := filepath.Dir(s.program("pipeline"))
	if err := os.MkdirAll(bin, dirMode); err != nil {
		return err
	}
	// Without a version stamp: go refuses to make one in a checkout that belongs
	// to another user.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin, "./pipeline", "./scripts/camera", "./scripts/verify")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling: %w\n%s", err, out)
	}
	return nil
}

func (s *soak) program(name string) string { return filepath.Join(s.dir, "bin", name) }

func (s *soak) logs() string { return filepath.Join(s.dir, "log") }

// output is where the pipeline on a runner stores its pictures.
func (s *soak) output(runner string) string { return s.stack.HDFS + "/user/" + user + "/" + runner }

func (s *soak) newCamera() *program {
	return &program{
		name: "camera", path: s.program("camera"), logs: s.logs(), say: s.say,
		args: func(time.Duration) []string {
			return []string{"--kafka=" + s.stack.Kafka, "--topic=" + topic, "--source=demo", "--frames=0", fmt.Sprintf("--fps=%v", s.o.fps)}
		},
	}
}

// newPipeline returns the pipeline on a runner, with a state directory of its own.
func (s *soak) newPipeline(runner string) *program {
	return &program{
		name: runner, path: s.program("pipeline"), logs: s.logs(), say: s.say,
		args: func(left time.Duration) []string {
			args := []string{
				"--runner=" + runner, "--state_dir=" + filepath.Join(s.dir, "state", runner), "--kafka=" + s.stack.Kafka, "--topics=" + topic, "--group=" + runner,
				"--user=" + user, "--output=" + s.output(runner), "--keep_rejects",
				"--window=" + window.String(), "--stall_timeout=" + stallTimeout.String(), "--duration=" + left.String(),
			}
			if runner == runners.Flink {
				args = append(args, "--endpoint="+s.stack.Flink, fmt.Sprintf("--parallelism=%d", slots))
			}
			return args
		},
	}
}
