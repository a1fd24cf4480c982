package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/lab"
	"facestream/internal/proc"
	"facestream/internal/wait"
	"facestream/runners"
)

const gonePoll = 20 * time.Millisecond

// fault is something that can befall a part.
type fault struct {
	what   string         // for people
	runner string         // where it can happen; empty stands for everywhere
	victim string         // the class of the processes that it may befall; of pipelines, those on the runner
	signal syscall.Signal // none: see losses
}

// faults are all that can happen.
var faults = []fault{
	{"the Prism pipeline is killed", runners.Prism, "pipeline", syscall.SIGKILL},
	{"the Prism pipeline is interrupted", runners.Prism, "pipeline", syscall.SIGINT},
	{"a Java harness of the Prism pipeline is killed", runners.Prism, "java harness", syscall.SIGKILL},
	{"the Prism of a pipeline is killed", runners.Prism, "prism", syscall.SIGKILL},
	{"the Flink pipeline's driver is killed", runners.Flink, "pipeline", syscall.SIGKILL},
	{"the Flink pipeline's driver is interrupted", runners.Flink, "pipeline", syscall.SIGINT},
	{"a Go worker of the Flink cluster is killed", runners.Flink, "go worker", syscall.SIGKILL},
	{"a TaskManager is killed", runners.Flink, "taskmanager", syscall.SIGKILL},
	{"Flink's job server is killed", runners.Flink, "flink job server", syscall.SIGKILL},
	{"the Spark pipeline's driver is killed", runners.Spark, "pipeline", syscall.SIGKILL},
	{"the Spark pipeline's driver is interrupted", runners.Spark, "pipeline", syscall.SIGINT},
	{"a Go worker of the Spark cluster is killed", runners.Spark, "go worker", syscall.SIGKILL},
	{"an executor is killed", runners.Spark, "executor", syscall.SIGKILL},
	{"Spark's job server is killed", runners.Spark, "spark job server", syscall.SIGKILL},
	{"a DataNode is killed", "", "datanode", syscall.SIGKILL},
	{"a DataNode hangs", "", "datanode", syscall.SIGSTOP},
	{"the NameNode is killed", "", "namenode", syscall.SIGKILL},
	{"the Kafka broker is killed", "", "kafka", syscall.SIGKILL},
	{"the Kafka broker hangs", "", "kafka", syscall.SIGSTOP},
	{"Kafka forgets where a group stands", "", "kafka", 0},
	{"Kafka removes records that all groups have read", "", "kafka", 0},
}

// losses are the faults without a signal: what befalls not the broker, but what it holds.
// A share in [0, 1) says of what and how much.
var losses = map[string]func(ctx context.Context, admin *kadm.Client, groups []string, share float64) (what string, err error){
	"Kafka forgets where a group stands":              forgetOffsets,
	"Kafka removes records that all groups have read": removeRecords,
}

// forgetOffsets deletes the offsets of one of the groups, all or that of one partition, as
// Kafka does when they were not committed for a week.
func forgetOffsets(ctx context.Context, admin *kadm.Client, groups []string, share float64) (what string, err error) {
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
func removeRecords(ctx context.Context, admin *kadm.Client, groups []string, share float64) (what string, err error) {
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

// victims are the processes that the fault may befall now.
func (f fault) victims(l *lab.Lab) ([]lab.Process, error) {
	all, err := l.Processes()
	return slices.DeleteFunc(all, func(p lab.Process) bool {
		return p.Class != f.victim || p.Class == "pipeline" && !slices.Contains(p.Args, "--runner="+f.runner)
	}), err
}

// strike makes the fault befall a victim, calls meanwhile, and has the process run
// again if it is one of the stack's. A victim that has ended before is no error.
func (f fault) strike(ctx context.Context, l *lab.Lab, victim lab.Process, meanwhile func()) (happened bool, err error) {
	name := l.Service(victim.PID)
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
		err = l.Stack.Restart(ctx, name)
	}
	return true, err
}
