package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

// The bounds of what a runner can do.
const (
	bareDetector = "detector" // the frames are in memory
	barePlumbing = "plumbing" // from Kafka to HDFS, without Beam
)

const (
	// bareCommand is the first argument of a process that measures a bound.
	bareCommand = "bare"

	warmUp     = 4          // frames that each worker does before it is measured
	fetchBytes = 2 << 20    // that one fetch of one partition may bring, as in the pipeline
	writers    = 4          // files that each worker writes side by side, as in the pipeline
	period     = 60         // frames of the demo that show every mix of faces
	distinct   = 4 * period // frames that are made; a topic repeats them
)

// bound says which bound is measured, in a process of its own, so that it can be bound to
// processors from its start.
type bound struct {
	combination // Each slot is a worker, a goroutine with a detector.

	Kind   string
	Frames int

	// Of the plumbing. The topic holds Frames, and warmUp more for each worker.
	Brokers, Topic, Output string
}

func bare() cli.Command {
	return cli.Command{
		Name: "bench " + bareCommand, TakesArgs: true,
		Usage: "bench bare measures one bound for the other commands. Its argument is JSON.\n",
		Setup: func(*flag.FlagSet) cli.Run {
			return func(ctx context.Context, args []string, stdout, _ io.Writer) error {
				var b bound
				if len(args) != 1 || json.Unmarshal([]byte(args[0]), &b) != nil {
					return cli.Usagef("%q is no bound", args)
				}
				rate, err := b.measure(ctx)
				if err != nil {
					return err
				}
				return json.NewEncoder(stdout).Encode(rate)
			}
		},
	}
}

// measure returns the frames a second, without the start and the first frames.
func (b bound) measure(ctx context.Context) (float64, error) {
	workers := make([]*worker, b.Slots)
	for i := range workers {
		detector, err := newDetector(b.Preset)
		if err != nil {
			return 0, err
		}
		defer detector.Close()
		workers[i] = &worker{detector: detector}
	}
	open := b.openDetector
	if b.Kind == barePlumbing {
		open = b.openPlumbing
	}
	step, err := open(ctx)
	if err != nil {
		return 0, err
	}
	if err := work(ctx, workers, b.Slots*warmUp, step); err != nil {
		return 0, err
	}
	began := time.Now()
	err = work(ctx, workers, b.Frames, step)
	return float64(b.Frames) / time.Since(began).Seconds(), err
}

type worker struct {
	detector *face.Detector
	writes   errgroup.Group
}

// work has the workers do n frames together, a step each.
func work(ctx context.Context, workers []*worker, n int, step func(*worker) error) error {
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range workers {
		g.Go(func() error {
			w.writes.SetLimit(writers)
			for done.Add(1) <= int64(n) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := step(w); err != nil {
					return err
				}
			}
			return w.writes.Wait()
		})
	}
	return g.Wait()
}

// openDetector returns a step that looks for faces in a frame that is in memory.
func (b bound) openDetector(context.Context) (func(*worker) error, error) {
	pictures, err := pictures(usual(min(b.Frames, distinct)), 1, b.Format)
	if err != nil {
		return nil, err
	}
	frames, err := inputs(pictures)
	var next atomic.Int64
	return func(w *worker) error {
		_, err := w.detector.Detect(frames[int(next.Add(1))%len(frames)].frame)
		return err
	}, err
}

// openPlumbing returns a step that takes a record from Kafka, looks for faces, and writes
// a frame that has any to HDFS: under another name first, as package store does.
func (b bound) openPlumbing(ctx context.Context) (func(*worker) error, error) {
	fsys := hdfs.New(ctx)
	folders := fsys.(interface {
		MkdirAll(ctx context.Context, dir string) error
	})
	if err := folders.MkdirAll(ctx, b.Output); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers), kgo.ConsumeTopics(b.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(fetchBytes))
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var fetched []*kgo.Record
	next := func() (*kgo.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		for len(fetched) == 0 {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return nil, fmt.Errorf("reading from Kafka: %w", err)
			}
			fetched = fetches.Records()
		}
		r := fetched[0]
		fetched = fetched[1:]
		return r, nil
	}
	return func(w *worker) error {
		r, err := next()
		if err != nil {
			return err
		}
		f, err := parse(r.Value)
		if err != nil {
			return fmt.Errorf("record %d of partition %d: %w", r.Offset, r.Partition, err)
		}
		found, err := w.detector.Detect(f)
		if err != nil {
			return err
		}
		entry, err := face.Files(face.Output{Frame: true}, found)
		for _, file := range entry.Files {
			name := fmt.Sprintf("%s/%d-%d", b.Output, r.Partition, r.Offset)
			w.writes.Go(func() error {
				if err := filesystem.Write(ctx, fsys, name+".tmp", file.Data); err != nil {
					return err
				}
				return filesystem.Rename(ctx, fsys, name+".tmp", name+".jpg")
			})
		}
		return err
	}, nil
}

// newDetector returns a detector that uses one thread.
func newDetector(preset string) (*face.Detector, error) {
	params, err := face.NewPreset(preset)
	if err != nil {
		return nil, err
	}
	params.Threads = 1
	return face.NewDetector(params)
}

// usual is the demo that runners are measured with.
func usual(frames int) video.DemoConfig {
	return video.DemoConfig{Frames: frames, Width: video.DemoWidth, Height: video.DemoHeight, Faces: video.MixedFaces}
}

// pictures returns a demo's frames, each byte multiplied by light, with JPEG files where
// that is the format.
func pictures(cfg video.DemoConfig, light float64, format string) ([]video.Picture, error) {
	demo, err := video.NewDemoOf(cfg)
	if err != nil {
		return nil, err
	}
	out := make([]video.Picture, cfg.Frames)
	for i := range out {
		out[i] = demo.Frame(i)
		for at, b := range out[i].BGR {
			out[i].BGR[at] = byte(min(float64(b)*light, math.MaxUint8))
		}
		if format == feed.JPEG {
			if out[i].JPEG, err = video.EncodeJPEG(out[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// input is a frame as a detector gets it, and where its faces are.
type input struct {
	frame frame.Frame
	faces []record.Box
}

func inputs(pictures []video.Picture) (out []input, err error) {
	for _, p := range pictures {
		value := p.BGR
		if p.JPEG != nil {
			value = p.JPEG
		}
		f, err := parse(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		out = append(out, input{f, p.Faces})
	}
	return out, nil
}

// parse returns the frame in a record's value.
func parse(value []byte) (frame.Frame, error) {
	f, reject := frame.Parse(frame.Config{Width: video.DemoWidth, Height: video.DemoHeight}, &kafka.Record{Value: &value})
	if reject != nil {
		return f, fmt.Errorf("this is no frame: %s", reject.Detail)
	}
	return f, nil
}
