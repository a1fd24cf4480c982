package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"facestream/internal/lab"
	"facestream/internal/stack/services"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// dataNodes have one replica of each block: with two, no file could be written without both.
	dataNodes = 2
	badEvery  = 3 * time.Second
	// How long a process of the stack is away. Others need no help: the pipelines are kept up,
	// and their harnesses and workers come with the next window.
	leastAway, mostAway = time.Second, 20 * time.Second
	// Between two faults, unless the first takes longer to be made good.
	minPause, maxPause = 20 * time.Second, 40 * time.Second
	fps                = 4   // of the camera: all pipelines together must be able to follow
	rechecked          = 200 // records of each pipeline, whose files are made once more at the end

	window       = 20 * time.Second
	stallTimeout = 2 * time.Minute
	// lateness is how long after its time a run may end: that of a window that stalls, and more.
	lateness   = window + stallTimeout + time.Minute
	drainLimit = 15 * time.Minute
	lossLimit  = time.Minute // for Kafka to lose something
)

// soak is one run of the command.
type soak struct {
	options
	mu  sync.Mutex
	out io.Writer

	lab       *lab.Lab
	pipelines []*lab.Program // by the names of their runners

	random   *rand.Rand
	faults   []fault
	happened []int // how often each of them has
}

func newSoak(o options, out io.Writer) *soak {
	s := &soak{options: o, out: out, random: rand.New(rand.NewPCG(o.seed, 0)), faults: faultsOn(o.runners)}
	s.happened = make([]int, len(s.faults))
	return s
}

// say tells a person what has happened.
func (s *soak) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// run is the soak from the first start to the last look, after which nothing of it runs.
func (s *soak) run(ctx context.Context, dir string) (err error) {
	s.say("seed %d; compiling, and starting Kafka, HDFS and what else is needed", s.seed)
	s.lab, err = openLab(ctx, dir, services.Options{
		Kafka: true, HDFS: true, Flink: slices.Contains(s.runners, runners.Flink), Spark: slices.Contains(s.runners, runners.Spark), DataNodes: dataNodes,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lab.Close()) }()
	for _, name := range s.runners {
		reader := kafka.Readers[s.random.IntN(len(kafka.Readers))]
		stored := store.Stores[s.random.IntN(len(store.Stores))]
		s.say("on %s, %s reads, and pictures are stored as %s", name, reader, stored)
		s.pipelines = append(s.pipelines, s.lab.NewPipeline(name, topic, name, keepRejects, "--reader="+reader, "--store="+stored, "--window="+window.String(), "--stall_timeout="+stallTimeout.String()))
	}
	began := time.Now()
	until := began.Add(s.duration)
	s.say("faults until %s; logs in %s", until.Format(time.TimeOnly), s.lab.Logs())
	err = s.disturb(ctx, until)
	fmt.Fprintf(s.out, "\nfaults in %s with seed %d:\n", time.Since(began).Round(time.Second), s.seed)
	for i, f := range s.faults {
		fmt.Fprintf(s.out, "%6d  %s\n", s.happened[i], f.what)
	}
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

// disturb lets the camera and the pipelines run, and parts of everything die. At the
// end all is whole again, and neither the camera nor a pipeline runs.
func (s *soak) disturb(ctx context.Context, until time.Time) error {
	late := fmt.Errorf("it still ran %s after its time", lateness)
	ctx, stop := context.WithDeadlineCause(ctx, until.Add(lateness), late)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range append(s.pipelines, s.lab.NewCamera(topic, "--frames=0", fmt.Sprint("--fps=", fps))) {
		g.Go(func() error { return p.KeepUp(ctx, until, s.say) })
	}
	g.Go(func() error {
		for i := 0; time.Now().Before(until); i++ {
			if err := sendBad(ctx, s.lab, i); err != nil { // the broker was killed
				s.say("sending a bad record: %v", err)
			}
			if err := wait.Sleep(ctx, badEvery); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error { return s.makeFaults(ctx, until) })
	return g.Wait()
}

// drain runs every pipeline once more, until nothing waits. Each must succeed.
func (s *soak) drain(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range s.pipelines {
		g.Go(func() error {
			run, err := p.Run(ctx, "--drain", "--duration="+drainLimit.String())
			if err == nil && !run.Success() {
				err = fmt.Errorf("%s, with nothing that disturbs it: %s", p.Name, run)
			}
			return err
		})
	}
	return g.Wait()
}

// look verifies what each pipeline has stored, and prints it.
func (s *soak) look(ctx context.Context) (err error) {
	for _, p := range s.pipelines {
		r, failed := verify(ctx, s.lab, p.Name, topic, rechecked)
		err = errors.Join(err, failed)
		var records, pictures, rejects int64
		for _, p := range r.Partitions {
			records, pictures, rejects = records+p.Records, pictures+p.Pictures.Present, rejects+p.Rejects.Present
		}
		s.say("%s: %d runs, %d windows, %d records, %d pictures, %d rejects, %d temporary files, %d problems",
			p.Name, p.Runs, r.Ledgers, records, pictures, rejects, r.Temporary.Files, len(r.Problems))
	}
	return err
}

// makeFaults makes one fault happen after the other until then. Each is made good
// before the next one happens, and before it returns.
func (s *soak) makeFaults(ctx context.Context, until time.Time) error {
	last := time.Now()
	for {
		l := s.draw()
		last = last.Add(l.pause)
		if now := time.Now(); now.After(last) {
			last = now
		}
		if last.After(until) {
			return nil
		}
		if err := wait.Sleep(ctx, time.Until(last)); err != nil {
			return err
		}
		for _, i := range l.order {
			happened, err := s.makeFault(ctx, s.faults[i], l)
			if err != nil {
				return err
			}
			if happened {
				s.happened[i]++
				break
			}
		}
	}
}

// makeFault makes the fault happen, unless it has no victim.
func (s *soak) makeFault(ctx context.Context, f fault, l lot) (happened bool, err error) {
	victims, err := f.victims(s.lab)
	if err != nil || len(victims) == 0 {
		return false, err
	}
	if loses := losses[f.what]; loses != nil {
		var groups []string
		for _, p := range s.pipelines {
			groups = append(groups, p.Name)
		}
		limited, stop := context.WithTimeout(ctx, lossLimit)
		defer stop()
		what, err := loses(limited, kadm.NewClient(s.lab.Kafka), groups, l.which)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil { // a group that has committed nothing
			s.say("%s, but not now: %v", f.what, err)
			return false, nil
		}
		s.say("%s: %s", f.what, what)
		return true, nil
	}
	v := victims[int(l.which*float64(len(victims)))]
	return f.strike(ctx, s.lab, v, func() {
		name := s.lab.Service(v.PID)
		if name == "" {
			s.say("%s: process %d", f.what, v.PID)
			return
		}
		away := between(leastAway, mostAway, l.away)
		s.say("%s: %s, process %d, for %.0f s", f.what, name, v.PID, away.Seconds())
		_ = wait.Sleep(ctx, away)
	})
}

// lot is what was drawn for one fault. How much is drawn does not depend on what does
// happen, so that a soak can be repeated from its seed as far as time allows.
type lot struct {
	pause time.Duration // since the fault before it
	order []int         // of faults, those that happened least first: the first that has a victim happens
	which float64       // of the victims, in [0, 1)
	away  float64       // how long, from the least to the most, in [0, 1)
}

func (s *soak) draw() lot {
	r := s.random
	l := lot{between(minPause, maxPause, r.Float64()), r.Perm(len(s.faults)), r.Float64(), r.Float64()}
	slices.SortStableFunc(l.order, func(a, b int) int { return s.happened[a] - s.happened[b] })
	return l
}

func between(least, most time.Duration, share float64) time.Duration {
	return least + time.Duration(share*float64(most-least))
}
