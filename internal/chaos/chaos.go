package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"facestream/internal/proc"
	"facestream/internal/wait"
	"facestream/runners"
)

// fault is something that can befall a part.
type fault struct {
	what    string // for people
	victims func(*soak) ([]victim, error)
	signal  syscall.Signal // SIGKILL or SIGSTOP
	// How long a victim among the services is away, at least and at most, before
	// it is started again or continued. The others need no help: the pipelines
	// are kept up, and their harnesses and workers come with the next window.
	least, most time.Duration
}

// victim is a process that a fault may befall.
type victim struct {
	pid     int
	service string // name of the process in the stack, or empty
}

// faults are all that can happen.
var faults = []fault{
	{"the Prism pipeline is killed", pipelineOn(runners.Prism), syscall.SIGKILL, 0, 0},
	{"a Java harness of the Prism pipeline is killed", childrenOnPrism("FnHarness"), syscall.SIGKILL, 0, 0},
	{"the Prism of a pipeline is killed", childrenOnPrism(runners.PrismCommand), syscall.SIGKILL, 0, 0},
	{"the Flink pipeline's driver is killed", pipelineOn(runners.Flink), syscall.SIGKILL, 0, 0},
	{"a Go worker of the Flink cluster is killed", goWorkers, syscall.SIGKILL, 0, 0},
	{"a TaskManager is killed", members(taskManagers...), syscall.SIGKILL, 5 * time.Second, 15 * time.Second},
	{"a DataNode is killed", members("datanode", "datanode-2"), syscall.SIGKILL, 5 * time.Second, 15 * time.Second},
	{"a DataNode hangs", members("datanode", "datanode-2"), syscall.SIGSTOP, 5 * time.Second, 15 * time.Second},
	{"the NameNode is killed", members("namenode"), syscall.SIGKILL, 0, 5 * time.Second},
	{"the Kafka broker is killed", members("kafka"), syscall.SIGKILL, 13 * time.Second, 18 * time.Second},
	{"the Kafka broker hangs", members("kafka"), syscall.SIGSTOP, 10 * time.Second, 20 * time.Second},
}

var taskManagers = []string{"taskmanager-1", "taskmanager-2"}

// members are those of some processes of the stack that run.
func members(names ...string) func(*soak) ([]victim, error) {
	return func(s *soak) (out []victim, err error) {
		for _, name := range names {
			if p, ok := s.stack.Process(name); ok && p.Alive() {
				out = append(out, victim{p.PID, name})
			}
		}
		return out, nil
	}
}

// pipelineOn is the process of the pipeline on a runner. On Prism that is also the
// Go worker.
func pipelineOn(runner string) func(*soak) ([]victim, error) {
	return func(s *soak) (out []victim, err error) {
		for _, p := range s.pipelines {
			if proc, ok := p.process(); ok && p.name == runner {
				out = append(out, victim{pid: proc.PID})
			}
		}
		return out, nil
	}
}

// childrenOnPrism are processes that the pipeline on Prism has started, those with
// the text in their command lines.
func childrenOnPrism(text string) func(*soak) ([]victim, error) {
	return func(s *soak) ([]victim, error) {
		pipelines, err := pipelineOn(runners.Prism)(s)
		if err != nil {
			return nil, err
		}
		return childrenOf(pipelines, text)
	}
}

// goWorkers are those that the TaskManagers have started.
func goWorkers(s *soak) ([]victim, error) {
	managers, err := members(taskManagers...)(s)
	if err != nil {
		return nil, err
	}
	return childrenOf(managers, "--provision_endpoint=")
}

// childrenOf are the processes that others have started, those with the text in
// their command lines.
func childrenOf(parents []victim, text string) (out []victim, err error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Has(text) && slices.ContainsFunc(parents, func(v victim) bool { return v.pid == p.Parent }) {
			out = append(out, victim{pid: p.PID})
		}
	}
	return out, nil
}

// chance draws what happens. How much is drawn does not depend on what does
// happen, so that a soak can be repeated from its seed as far as time allows.
type chance struct{ *rand.Rand }

func newChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 0))} }

// lot is what was drawn for one fault.
type lot struct {
	pause time.Duration // since the fault before it
	order []int         // indices of faults: of those that happened least, the first that has a victim happens
	which float64       // of the victims, in [0, 1)
	away  float64       // how long, from the least to the most, in [0, 1)
}

func (c chance) draw(minPause, maxPause time.Duration) lot {
	return lot{between(minPause, maxPause, c.Float64()), c.Perm(len(faults)), c.Float64(), c.Float64()}
}

func between(least, most time.Duration, share float64) time.Duration {
	return least + time.Duration(share*float64(most-least))
}

// chaos makes one fault happen after the other.
type chaos struct {
	soak     *soak
	chance   chance
	happened []int // how often each of faults
}

func newChaos(s *soak) *chaos {
	return &chaos{soak: s, chance: newChance(s.o.seed), happened: make([]int, len(faults))}
}

// run makes faults happen until then. Each is made good before the next one
// happens, and before run returns.
func (c *chaos) run(ctx context.Context, until time.Time) error {
	last := time.Now()
	for {
		l := c.chance.draw(c.soak.o.minPause, c.soak.o.maxPause)
		at := last.Add(l.pause)
		if at.After(until) {
			_ = wait.Sleep(ctx, time.Until(until))
			return ctx.Err()
		}
		_ = wait.Sleep(ctx, time.Until(at))
		if last = time.Now(); last.After(until) {
			return ctx.Err()
		}
		for _, i := range leastFirst(l.order, c.happened) {
			happened, err := c.strike(ctx, faults[i], l)
			if happened {
				c.happened[i]++
			}
			if err != nil || ctx.Err() != nil {
				return cmp.Or(ctx.Err(), err)
			}
			if happened {
				break
			}
		}
	}
}

// leastFirst orders faults by how often they have happened: each happens before
// another one happens twice, if it can. Else a soak, which has some dozens, may
// leave one out.
func leastFirst(order, happened []int) []int {
	order = slices.Clone(order)
	slices.SortStableFunc(order, func(a, b int) int { return happened[a] - happened[b] })
	return order
}

// strike makes the fault happen and makes it good, unless it has no victim.
func (c *chaos) strike(ctx context.Context, f fault, l lot) (happened bool, err error) {
	victims, err := f.victims(c.soak)
	if err != nil || len(victims) == 0 {
		return false, err
	}
	v := victims[int(l.which*float64(len(victims)))]
	err = syscall.Kill(v.pid, f.signal)
	if errors.Is(err, syscall.ESRCH) { // it has ended meanwhile
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sending %s to process %d: %w", f.signal, v.pid, err)
	}
	if v.service == "" {
		c.soak.say("%s: process %d", f.what, v.pid)
		return true, nil
	}
	away := between(f.least, f.most, l.away)
	c.soak.say("%s: %s, process %d, for %.0f s", f.what, v.service, v.pid, away.Seconds())
	_ = wait.Sleep(ctx, away)
	if f.signal == syscall.SIGSTOP {
		if err := syscall.Kill(v.pid, syscall.SIGCONT); err != nil {
			return true, fmt.Errorf("continuing %s: %w", v.service, err)
		}
		return true, nil
	}
	return true, c.soak.stack.Restart(ctx, v.service)
}
