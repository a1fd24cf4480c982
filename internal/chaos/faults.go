package chaos

import (
	"context"
	"fmt"
	"slices"
	"syscall"

	"facestream/internal/proc"
	"facestream/internal/wait"
	"facestream/runners"
)

// fault is something that can befall a part.
type fault struct {
	what   string // for people
	runner string // where it can happen; empty stands for everywhere
	victim matcher
	signal syscall.Signal
}

// matcher reports whether a process may be the victim of a fault.
type matcher func(l *lab, p proc.Running) bool

// faults are all that can happen.
var faults = []fault{
	{"the Prism pipeline is killed", runners.Prism, driver(runners.Prism), syscall.SIGKILL},
	{"the Prism pipeline is interrupted", runners.Prism, driver(runners.Prism), syscall.SIGINT},
	{"a Java harness of the Prism pipeline is killed", runners.Prism, javaWith("FnHarness"), syscall.SIGKILL},
	{"the Prism of a pipeline is killed", runners.Prism, prismServer, syscall.SIGKILL},
	{"the Flink pipeline's driver is killed", runners.Flink, driver(runners.Flink), syscall.SIGKILL},
	{"the Flink pipeline's driver is interrupted", runners.Flink, driver(runners.Flink), syscall.SIGINT},
	{"a Go worker of the Flink cluster is killed", runners.Flink, goWorker, syscall.SIGKILL},
	{"a TaskManager is killed", runners.Flink, service("taskmanager-1", "taskmanager-2"), syscall.SIGKILL},
	{"Flink's job server is killed", runners.Flink, service("flink-jobserver"), syscall.SIGKILL},
	{"the Spark pipeline's driver is killed", runners.Spark, driver(runners.Spark), syscall.SIGKILL},
	{"the Spark pipeline's driver is interrupted", runners.Spark, driver(runners.Spark), syscall.SIGINT},
	{"a Go worker of the Spark cluster is killed", runners.Spark, goWorker, syscall.SIGKILL},
	{"an executor is killed", runners.Spark, javaWith("CoarseGrainedExecutorBackend"), syscall.SIGKILL},
	{"Spark's job server is killed", runners.Spark, service("spark-jobserver"), syscall.SIGKILL},
	{"a DataNode is killed", "", service("datanode", "datanode-2"), syscall.SIGKILL},
	{"a DataNode hangs", "", service("datanode", "datanode-2"), syscall.SIGSTOP},
	{"the NameNode is killed", "", service("namenode"), syscall.SIGKILL},
	{"the Kafka broker is killed", "", service("kafka"), syscall.SIGKILL},
	{"the Kafka broker hangs", "", service("kafka"), syscall.SIGSTOP},
}

// faultsOn returns those that can happen on some runners.
func faultsOn(names []string) []fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		return f.runner != "" && !slices.Contains(names, f.runner)
	})
}

// service matches those of the stack's processes.
func service(names ...string) matcher {
	return func(l *lab, p proc.Running) bool { return slices.Contains(names, l.service(p.PID)) }
}

// driver matches the pipeline on a runner. On Prism that is also the Go worker.
func driver(runner string) matcher {
	return func(l *lab, p proc.Running) bool {
		return p.Args[0] == l.program(pipeline) && slices.Contains(p.Args, "--runner="+runner)
	}
}

func prismServer(l *lab, p proc.Running) bool {
	return p.Args[0] == l.program(pipeline) && len(p.Args) > 1 && p.Args[1] == runners.PrismCommand
}

// goWorker matches the workers that TaskManagers and executors have started.
func goWorker(l *lab, p proc.Running) bool {
	return p.Args[0] == l.program(pipeline) && p.Has("--provision_endpoint=")
}

// javaWith matches a JVM of the lab with the text in its command line.
func javaWith(text string) matcher {
	return func(l *lab, p proc.Running) bool { return l.owns(p) && p.Args[0] != l.program(pipeline) && p.Has(text) }
}

// victims are the processes that the fault may befall now.
func (f fault) victims(l *lab) ([]proc.Running, error) {
	all, err := proc.All()
	return slices.DeleteFunc(all, func(p proc.Running) bool { return !f.victim(l, p) }), err
}

// strike makes the fault befall a victim, calls meanwhile, and has the process run
// again if it is one of the stack's. A victim that has ended before is no error.
func (f fault) strike(ctx context.Context, l *lab, victim proc.Running, meanwhile func()) (happened bool, err error) {
	name := l.service(victim.PID)
	p, err := proc.NewProcess(name, victim.PID, "")
	if err == nil {
		err = syscall.Kill(p.PID, f.signal)
	}
	if proc.Gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: process %d: %w", f.what, victim.PID, err)
	}
	if f.signal == syscall.SIGKILL {
		_ = wait.Until(ctx, gonePoll, func() bool { return !p.Alive() })
	}
	meanwhile()
	switch {
	case name == "":
	case f.signal == syscall.SIGSTOP:
		err = syscall.Kill(p.PID, syscall.SIGCONT)
	default:
		err = l.stack.Restart(ctx, name)
	}
	return true, err
}
