package services

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"facestream/internal/proc"

	"facestream/internal/stack/state"
)

// check is how a service is asked whether it works.
type check struct {
	what  string                      // the service and where it is
	works func(context.Context) error // does what the service is for

	// members returns the members that have registered with the head, by what
	// no two processes share. Nil if the service has none.
	members func(context.Context) ([]string, error)

	// Held while a process restarts: of two members that register at the same
	// time, one could be taken for the other.
	restarting sync.Mutex
}

// checks are those of all services, by name.
func checks(o Options) map[string]*check {
	return map[string]*check{
		state.Kafka: {
			what:  "Kafka at " + o.KafkaAddr,
			works: func(ctx context.Context) error { return tryKafka(ctx, o.KafkaAddr) },
		},
		state.HDFS: {
			what:    "HDFS at " + o.HDFSAddr,
			works:   func(ctx context.Context) error { return tryHDFS(ctx, o.HDFSAddr, o.WebAddr) },
			members: func(ctx context.Context) ([]string, error) { return dataNodes(ctx, o.WebAddr) },
		},
		state.Flink: {
			what:    "Flink at " + o.FlinkWeb + " and its job server at " + o.FlinkAddr,
			works:   func(ctx context.Context) error { return tryJobServer(ctx, o.FlinkAddr) },
			members: func(ctx context.Context) ([]string, error) { return taskManagers(ctx, o.FlinkWeb) },
		},
		state.Spark: {
			what:    "Spark at " + o.SparkWeb + " and its job server at " + o.SparkAddr,
			works:   func(ctx context.Context) error { return tryJobServer(ctx, o.SparkAddr) },
			members: func(ctx context.Context) ([]string, error) { return sparkWorkers(ctx, o.SparkWeb) },
		},
	}
}

// registered says whether so many members have registered that were not there
// before.
func (c *check) registered(ctx context.Context, before []string, want int) error {
	now, err := c.members(ctx)
	if err != nil {
		return err
	}
	now = slices.DeleteFunc(now, func(m string) bool { return slices.Contains(before, m) })
	if len(now) < want {
		return fmt.Errorf("%d of %d have registered", len(now), want)
	}
	return nil
}

// Process returns the newest process of a name; ok is false if there was none.
func (s *Stack) Process(name string) (p proc.Process, ok bool) {
	child := s.children.find(name)
	if child == nil {
		return proc.Process{}, false
	}
	return child.Process, true
}

// Restart ends a process of a service, unless it has ended already, and starts
// it again with the same settings, folders and address. It waits until the
// process has taken its place among those of the service that still run: a
// DataNode, a TaskManager or a Worker has registered, under a new port; with a
// NameNode, a JobManager or a Master, all of these have. If then all processes
// of the service run, Restart also waits until it does again what it is for: the
// broker passes a record on, HDFS stores a file, the job server answers. Jobs may
// run meanwhile.
//
// Those that register find nobody while the other one is down: restart it
// first.
func (s *Stack) Restart(ctx context.Context, name string) error {
	old := s.children.find(name)
	if old == nil {
		return fmt.Errorf("restarting %s: the stack has no such process", name)
	}
	check := s.checks[old.program.service]
	check.restarting.Lock()
	defer check.restarting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.restart(ctx, old, check); err != nil {
		return fmt.Errorf("restarting %s: %w", name, err)
	}
	return nil
}

func (s *Stack) restart(ctx context.Context, old *child, check *check) error {
	var before []string
	if old.program.role == member { // it may count as registered though it is dead
		var err error
		if before, err = check.members(ctx); err != nil {
			return err
		}
	}
	proc, err := s.children.restart(old)
	if err != nil {
		return err
	}
	members, all := 0, true // that run
	for _, p := range s.children.of(old.program.service) {
		runs := p == proc || p.Alive()
		all = all && runs
		if runs && p.program.role == member {
			members++
		}
	}
	return until(ctx, check.what, func(ctx context.Context) error {
		var err error
		switch old.program.role {
		case alone:
			return check.works(ctx)
		case head:
			err = check.registered(ctx, nil, members)
		case member:
			err = check.registered(ctx, before, 1)
		}
		if err != nil || !all {
			return err
		}
		return check.works(ctx)
	}, proc)
}
