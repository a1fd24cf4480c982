package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/proc"
	"facestream/internal/wait"
	"facestream/runners"
)

// fault is something that can befall a part.
type fault struct {
	what   string // for people
	runner string // where it can happen; empty stands for everywhere
	victim matcher
	signal syscall.Signal // none: see losses
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
	{"Kafka forgets where a group stands", "", service("kafka"), 0},
	{"Kafka removes records that all groups have read", "", service("kafka"), 0},
}

// losses are the faults without a signal: what befalls not the broker, but what it holds.
// A share in [0, 1) says of what and how much.
var losses = map[string]func(l *lab, ctx context.Context, groups []string, share float64) (what string, err error){
	"Kafka forgets where a group stands":              (*lab).forgetOffsets,
	"Kafka removes records that all groups have read": (*lab).removeRecords,
}

// forgetOffsets deletes the offsets of one of the groups, all or that of one partition, as
// Kafka does when they were not committed for a week.
func (l *lab) forgetOffsets(ctx context.Context, groups []string, share float64) (what string, err error) {
	admin := kadm.NewClient(l.kafka)
	of, rest := math.Modf(share * float64(len(groups)))
	group := groups[int(of)]
	if rest < 0.5 {
		deleted, err := admin.DeleteGroup(ctx, group)
		return "group " + group, cmp.Or(err, deleted.Err)
	}
	of = (2*rest - 1) * partitions
	var set kadm.TopicsSet
	set.Add(topic, int32(of))
	deleted, err := admin.DeleteOffsets(ctx, group, set)
	return fmt.Sprintf("group %s, partition %d", group, int(of)), cmp.Or(err, deleted.Error())
}

// removeRecords removes a share of those records that all groups have committed.
func (l *lab) removeRecords(ctx context.Context, groups []string, share float64) (what string, err error) {
	admin := kadm.NewClient(l.kafka)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return "", err
	}
	read := map[int32]int64{} // up to where all groups have
	starts.Each(func(o kadm.ListedOffset) { read[o.Partition] = math.MaxInt64 })
	for _, group := range groups {
		committed, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return "", err
		}
		for p := range read {
			at, _ := committed.Lookup(topic, p) // 0 if there is none, or if it was forgotten
			read[p] = min(read[p], max(0, at.At))
		}
	}
	ends, removed := kadm.Offsets{}, int64(0)
	starts.Each(func(o kadm.ListedOffset) {
		n := max(0, int64(share*float64(read[o.Partition]-o.Offset)))
		ends.AddOffset(o.Topic, o.Partition, o.Offset+n, -1)
		removed += n
	})
	deleted, err := admin.DeleteRecords(ctx, ends)
	return fmt.Sprintf("%d records", removed), cmp.Or(err, deleted.Error())
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
