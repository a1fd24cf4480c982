// Package lab is a place to try the pipeline in: services of its own, and copies of the
// programs that use them, all below one folder.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/internal/wait"
	"facestream/runners"
)

const (
	User  = "lab" // Hadoop's
	Slots = 2     // of each cluster

	// The programs.
	pipeline = "pipeline"
	camera   = "camera"

	dirMode   = 0o755
	goneLimit = time.Minute // until what was ended has ended, also on a busy machine
	gonePoll  = 20 * time.Millisecond
)

// Lab is the services, and where the programs are.
type Lab struct {
	Dir   string
	Stack *services.Stack
	Kafka *kgo.Client // sends each record to the partition that is in it
	// Where programs are told that the broker and the NameNode (hdfs://) are.
	Broker, HDFS string
}

// Open copies the programs to dir, and starts services there.
func Open(ctx context.Context, dir string, o services.Options) (*Lab, error) {
	l := &Lab{Dir: dir}
	programs, err := paths.Programs(ctx)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{l.Logs(), l.state("")} {
		if err := os.MkdirAll(folder, dirMode); err != nil {
			return nil, err
		}
	}
	// The lab knows its processes by the paths of these copies, and nobody compiles them anew.
	if err := os.CopyFS(l.programs(), os.DirFS(programs)); err != nil {
		return nil, err
	}
	if l.Stack, err = services.Start(ctx, filepath.Join(dir, "stack"), o); err != nil {
		return nil, err
	}
	l.Broker, l.HDFS = l.Stack.Kafka, l.Stack.HDFS
	if l.Kafka, err = kgo.NewClient(kgo.SeedBrokers(l.Broker), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return nil, errors.Join(err, l.Stack.Stop())
	}
	return l, nil
}

// Close ends the services. The error says what is left of anything.
func (l *Lab) Close() error {
	l.Kafka.Close()
	return errors.Join(l.Stack.Stop(), l.AwaitNothing())
}

// AwaitNothing waits until no process of the lab runs but the stack's own.
func (l *Lab) AwaitNothing() (err error) {
	ctx, stop := context.WithTimeout(context.Background(), goneLimit)
	defer stop()
	var left []Process
	_ = wait.Until(ctx, gonePoll, func() bool {
		left, err = l.Processes()
		left = slices.DeleteFunc(left, func(p Process) bool { return l.Service(p.PID) != "" })
		return err != nil || len(left) == 0
	})
	for _, p := range left {
		err = errors.Join(err, fmt.Errorf("process %d is left: %s", p.PID, strings.Join(p.Args, " ")))
	}
	return err
}

// Logs is the folder of what the programs print.
func (l *Lab) Logs() string { return filepath.Join(l.Dir, "log") }

func (l *Lab) state(group string) string { return filepath.Join(l.Dir, "state", group) }

func (l *Lab) newProgram(program, logs string, flags ...string) *Program {
	return &Program{Name: logs, Path: filepath.Join(l.programs(), program), Flags: flags, Logs: l.Logs()}
}

func (l *Lab) programs() string { return filepath.Join(l.Dir, "bin") }

// Folder is where a group stores, as the NameNode itself knows it.
func (l *Lab) Folder(group string) string {
	return strings.Replace(l.Stack.HDFS, "://", "://"+User+"@", 1) + "/user/" + User + "/" + group
}

// flags are those of every program that looks at what a group stores of a topic.
func (l *Lab) flags(group, topic string) []string {
	return []string{
		"--state_dir=" + l.state(group), "--kafka=" + l.Broker, "--topics=" + topic, "--group=" + group,
		"--user=" + User, "--output=" + l.HDFS + "/user/" + User + "/" + group,
	}
}

// NewPipeline returns the pipeline of a group that reads a topic on a runner.
func (l *Lab) NewPipeline(group, topic, runner string, flags ...string) *Program {
	p := l.newProgram(pipeline, group, l.flags(group, topic)...)
	p.Summary = l.state(group) + ".json"
	p.Flags = append(p.Flags, "--runner="+runner, "--summary="+p.Summary)
	switch runner {
	case runners.Flink:
		p.Flags = append(p.Flags, "--endpoint="+l.Stack.Flink, fmt.Sprint("--parallelism=", Slots))
	case runners.Spark:
		p.Flags = append(p.Flags, "--endpoint="+l.Stack.Spark)
	}
	p.Flags = append(p.Flags, flags...)
	return p
}

// NewVerify returns what looks at all that a group stores of a topic.
func (l *Lab) NewVerify(group, topic string, flags ...string) *Program {
	return l.newProgram(pipeline, "verify-"+group, slices.Concat([]string{"verify"}, l.flags(group, topic), flags)...)
}

// NewCamera returns a camera that sends the demo to all partitions of a topic.
func (l *Lab) NewCamera(topic string, flags ...string) *Program {
	return l.newProgram(camera, camera, append([]string{"--kafka=" + l.Broker, "--topic=" + topic, "--source=demo", "--spread"}, flags...)...)
}
