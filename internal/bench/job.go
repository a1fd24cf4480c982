package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/lab"
	"facestream/internal/stack/services"
	"facestream/runners"
	"facestream/transforms/store"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	partitions = 4 // of each topic
)

// bench is a place to measure in. Its methods are called one at a time.
type bench struct {
	*lab.Lab // nil until it is open

	progress io.Writer
	began    time.Time
	dir      string
	model    string         // of presets without one of their own
	groups   int            // of the pipeline, and folders of the plumbing
	totals   map[string]int // frames of each topic
	warm     map[string]int // the most slots that a runner has run a job with
}

// open compiles the pipeline and starts Kafka, HDFS and the runners' clusters.
func (b *bench) open(ctx context.Context, state string, names []string) (err error) {
	b.say("compiling, and starting Kafka, HDFS, and the clusters of %s", strings.Join(names, ", "))
	if err := os.MkdirAll(state, dirMode); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(state, "bench-"); err != nil {
		return err
	}
	b.Lab, err = lab.Open(ctx, b.dir, services.Options{
		Kafka: true, HDFS: true, Flink: slices.Contains(names, runners.Flink), Spark: slices.Contains(names, runners.Spark),
	})
	return err
}

// say tells who watches what happens.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// close ends everything that open has started, and removes its files.
func (b *bench) close() (err error) {
	if b.Lab != nil {
		err = b.Lab.Close()
	}
	if err = errors.Join(err, os.RemoveAll(b.dir)); err != nil {
		b.say("ending: %v", err) // after an interruption nobody else says it
	}
	return err
}

// newGroup returns a name for a run.
func (b *bench) newGroup() string {
	b.groups++
	return fmt.Sprint("run-", b.groups)
}

// job is one run of the pipeline.
type job struct {
	combination
	topic  string
	frames int // the topic's last ones that are read
	flags  []string
	beside func(*lab.Run) // Optional. Called when the run has started.
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
func (b *bench) run(ctx context.Context, j job) (r ran, err error) {
	group := b.newGroup()
	if err := b.commit(ctx, group, j.topic, j.frames); err != nil {
		return r, err
	}
	p := b.NewPipeline(group, j.topic, j.Runner, "--detector="+j.Preset, "--reader="+j.Reader, "--store="+j.Store)
	if model := b.modelOf(j.Preset); model != "" {
		p.Flags = append(p.Flags, "--model="+model)
	}
	if j.Runner != runners.Prism {
		p.Flags = append(p.Flags, fmt.Sprint("--parallelism=", j.Slots))
	}
	if j.Runner == runners.Spark { // a job server of its own, and executors
		p.Flags = append(p.Flags, "--endpoint=", "--master="+b.Stack.SparkMaster)
	}
	looks := time.NewTicker(sampleEvery)
	defer looks.Stop()
	r.used, err = measureUse(b.Lab, looks.C, func() error {
		began := time.Now()
		var run *lab.Run
		err := j.bind(func() (err error) {
			run, err = p.Start(j.flags...)
			return err
		})
		if err != nil {
			return err
		}
		if j.beside != nil {
			j.beside(run)
		}
		err = run.Wait(ctx)
		r.seconds = time.Since(began).Seconds()
		if err == nil && !run.Success() {
			err = fmt.Errorf("%s: %s\n%s", strings.Join(run.Args, " "), run.ProcessState, run.Stderr())
		}
		return err
	})
	if err != nil {
		return r, err
	}
	return r, p.ReadSummary(&r)
}

// fill makes a topic with so many frames of the demo, spread evenly over its partitions.
func (b *bench) fill(ctx context.Context, topic, format string, frames int) error {
	all, err := pictures(usual(min(frames, distinct)), 1, format)
	if err != nil {
		return err
	}
	sent, err := feed.Send(ctx, feed.Config{
		Brokers: []string{b.Broker}, Topic: topic, Partitions: partitions, Camera: "demo", Format: format, Frames: frames,
	}, &repeated{all, 0})
	if err != nil {
		return err
	}
	b.totals[topic] = len(sent)
	b.say("topic %s holds %d frames", topic, len(sent))
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
func (b *bench) commit(ctx context.Context, group, topic string, n int) error {
	if n > b.totals[topic] || n%partitions != 0 {
		return fmt.Errorf("reading %d of the %d frames of topic %s", n, b.totals[topic], topic)
	}
	offsets := kadm.Offsets{}
	for p := range int32(partitions) {
		offsets.AddOffset(topic, p, int64(b.totals[topic]-n)/partitions, -1)
	}
	return kadm.NewClient(b.Kafka).CommitAllOffsets(ctx, group, offsets)
}
