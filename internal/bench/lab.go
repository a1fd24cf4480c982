package bench

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/prometheus/procfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/paths"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/store"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	user       = "bench" // of Hadoop
	partitions = 4       // of each topic

	endGrace  = 30 * time.Second // between SIGTERM and SIGKILL
	goneLimit = time.Minute      // until what was ended has ended, also on a busy machine
	gonePoll  = 50 * time.Millisecond
	logTail   = 2 << 10 // bytes of its output that an error shows

	// executorHeap is what the stack's own job server for Spark gives.
	executorHeap = "1536m"

	markName = "FACESTREAM_BENCH"
)

// lab is a place to measure in. Its methods are called one at a time.
type lab struct {
	progress io.Writer
	began    time.Time
	dir      string
	program  string // the pipeline
	model    string // of presets without one of their own
	stack    *services.Stack
	runs     int            // of the pipeline and the plumbing
	totals   map[string]int // frames of each topic
	warm     map[string]int // the most slots that a runner has run a job with
}

// open compiles the pipeline and starts Kafka, HDFS and the runners' clusters. All that
// it starts inherits a mark in the environment.
func (l *lab) open(ctx context.Context, state string, names []string) error {
	l.say("compiling, and starting Kafka, HDFS, and the clusters of %s", strings.Join(names, ", "))
	err := os.MkdirAll(state, dirMode)
	if err != nil {
		return err
	}
	if l.dir, err = os.MkdirTemp(state, "bench-"); err != nil {
		return err
	}
	if err := os.Setenv(markName, l.dir); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		programs, err := paths.Programs(ctx)
		l.program = filepath.Join(programs, "pipeline")
		return err
	})
	g.Go(func() (err error) {
		l.stack, err = services.Start(ctx, filepath.Join(l.dir, "stack"), services.Options{
			Kafka: true, HDFS: true, Flink: slices.Contains(names, runners.Flink), Spark: slices.Contains(names, runners.Spark),
		})
		return err
	})
	return g.Wait()
}

// say tells who watches what happens.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(l.progress, "%4.0f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// close ends everything that the lab has started, and removes its files.
func (l *lab) close() (err error) {
	if l.stack != nil {
		err = l.stack.Stop()
	}
	ctx, stop := context.WithTimeout(context.Background(), goneLimit)
	defer stop()
	var left []procfs.Proc
	if l.dir != "" && wait.Until(ctx, gonePoll, func() bool { left = marked(l.mark()); return len(left) == 0 }) != nil {
		err = errors.Join(err, fmt.Errorf("these processes are left: %v", left))
	}
	if err = errors.Join(err, os.RemoveAll(l.dir)); err != nil {
		l.say("ending: %v", err) // after an interruption nobody else says it
	}
	return err
}

func (l *lab) mark() string { return markName + "=" + l.dir }

// newOutput returns a name for a run, and a new folder of HDFS.
func (l *lab) newOutput() (name, folder string) {
	l.runs++
	name = fmt.Sprint("run-", l.runs)
	return name, strings.Replace(l.stack.HDFS, "://", "://"+user+"@", 1) + "/user/" + user + "/" + name
}

// job is one run of the pipeline.
type job struct {
	combination
	topic  string
	frames int // the topic's last ones that are read
	flags  []string
	begins func() // optional, called when the run begins to read
}

// ran is what a run did and used.
type ran struct {
	seconds float64        // from the start of the program to its end
	used    map[string]use // by class of process

	// Of the run's own summary.
	State            string             `json:"state"`
	Windows          int                `json:"windows"`
	RecordsRead      int                `json:"records_read"`
	FirstFileSeconds *float64           `json:"first_file_seconds"` // null without a file
	Latency          *store.Percentiles `json:"latency_ms"`         // null without a picture
}

// run runs the pipeline to its end.
func (l *lab) run(ctx context.Context, j job) (r ran, err error) {
	name, output := l.newOutput()
	if err := l.commit(ctx, name, j.topic, j.frames); err != nil {
		return r, err
	}
	summary := filepath.Join(l.dir, name+".json")
	args := append([]string{
		l.program, "--runner=" + j.Runner, "--state_dir=" + l.dir, "--kafka=" + l.stack.Kafka, "--topics=" + j.topic,
		"--group=" + name, "--user=" + user, "--output=" + output, "--detector=" + j.Preset, "--reader=" + j.Reader, "--store=" + j.Store, "--summary=" + summary,
	}, j.flags...)
	if model := l.modelOf(j.Preset); model != "" {
		args = append(args, "--model="+model)
	}
	switch j.Runner {
	case runners.Flink:
		args = append(args, "--endpoint="+l.stack.Flink, fmt.Sprint("--parallelism=", j.Slots))
	case runners.Spark:
		args = append(args, "--master="+l.stack.SparkMaster, fmt.Sprint("--parallelism=", j.Slots))
	}
	r.used, err = measureUse(l.mark(), func() error {
		began := time.Now()
		err := execute(ctx, j.combination, j.begins, args...)
		r.seconds = time.Since(began).Seconds()
		return err
	})
	if err != nil {
		return r, err
	}
	data, err := os.ReadFile(summary)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// output is what a program prints.
type output struct {
	text   bytes.Buffer
	begins func() // or nil
}

func (o *output) Write(text []byte) (int, error) {
	if o.begins != nil && bytes.Contains(text, []byte("reading ")) {
		o.begins()
		o.begins = nil
	}
	return o.text.Write(text)
}

// execute runs a program for a combination to its end. When ctx ends, it ends the program.
func execute(ctx context.Context, o combination, begins func(), args ...string) error {
	out := output{begins: begins}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SPARK_EXECUTOR_MEMORY="+executorHeap)
	cmd.Stdout, cmd.Stderr = &out, &out
	// The group has the compilers and linkers that go starts.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = endGrace
	var child *proc.Child
	err := o.bind(func() (err error) {
		child, err = proc.StartBound(cmd)
		return err
	})
	if err != nil {
		return err
	}
	<-child.Ended
	if child.Err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), child.Err, out.text.Bytes()[max(0, out.text.Len()-logTail):])
	}
	return nil
}

// fill makes a topic with so many frames of the demo, spread evenly over its partitions.
func (l *lab) fill(ctx context.Context, topic, format string, frames int) error {
	all, err := pictures(usual(min(frames, distinct)), 1, format)
	if err != nil {
		return err
	}
	sent, err := feed.Send(ctx, feed.Config{
		Brokers: []string{l.stack.Kafka}, Topic: topic, Partitions: partitions, Camera: "demo", Format: format, Frames: frames,
	}, &repeated{all, 0})
	if err != nil {
		return err
	}
	l.totals[topic] = len(sent)
	l.say("topic %s holds %d frames", topic, len(sent))
	return nil
}

// repeated plays the same pictures again and again.
type repeated struct {
	pictures []video.Picture
	next     int
}

func (r *repeated) Next() (video.Picture, error) {
	r.next++
	return r.pictures[(r.next-1)%len(r.pictures)], nil
}

func (r *repeated) Close() error { return nil }

// commit has a consumer group find only the last n frames of a topic: as many in each
// partition, since n and the total are multiples of period.
func (l *lab) commit(ctx context.Context, group, topic string, n int) error {
	if n > l.totals[topic] || n%partitions != 0 {
		return fmt.Errorf("reading %d of the %d frames of topic %s", n, l.totals[topic], topic)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.stack.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	offsets := kadm.Offsets{}
	for p := range int32(partitions) {
		offsets.AddOffset(topic, p, int64(l.totals[topic]-n)/partitions, -1)
	}
	return kadm.NewClient(client).CommitAllOffsets(ctx, group, offsets)
}
