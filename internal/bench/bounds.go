package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/proc"
	"facestream/internal/record"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

const (
	warmUp     = 4          // frames that each worker does before it is measured
	fetchBytes = 2 << 20    // that one fetch of one partition may bring, as in the pipeline
	writers    = 4          // files that each worker writes side by side, as in the pipeline
	period     = 60         // frames of the demo that show every mix of faces
	distinct   = 4 * period // frames that are made; a topic repeats them
)

// worker is a goroutine with a detector, as each slot of a runner is.
type worker struct {
	detector *face.Detector
	writes   errgroup.Group
}

// step does a frame.
type step func(*worker) error

// bare measures a bound of what a runner can do: the frames a second of as many workers
// as it has slots, without the first frames.
func (b *bench) bare(ctx context.Context, o combination, frames int, do step) (rate float64, err error) {
	workers := make([]*worker, o.Slots)
	for i := range workers {
		detector, err := b.newDetector(o.Preset, 0)
		if err != nil {
			return 0, err
		}
		defer detector.Close()
		workers[i] = &worker{detector: detector}
	}
	err = o.bind(func() error {
		if err := work(ctx, workers, o.Slots*warmUp, do); err != nil {
			return err
		}
		began := time.Now()
		err := work(ctx, workers, frames, do)
		rate = float64(frames) / time.Since(began).Seconds()
		return err
	})
	return rate, err
}

// work has the workers do n frames together.
func work(ctx context.Context, workers []*worker, n int, do step) error {
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range workers {
		g.Go(func() error {
			w.writes.SetLimit(writers)
			for done.Add(1) <= int64(n) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(w); err != nil {
					return err
				}
			}
			return w.writes.Wait()
		})
	}
	return g.Wait()
}

// bind runs do, with this program and those that it starts meanwhile on as many
// processors as the runner has slots. Only Prism, which has none, needs that.
func (o combination) bind(do func() error) error {
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	if o.Runner != runners.Prism || o.Slots >= all.Count() {
		return do()
	}
	for cpu := 0; some.Count() < o.Slots; cpu++ {
		if all.IsSet(cpu) {
			some.Set(cpu)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.Slots))
	return errors.Join(bindThreads(&some), do(), bindThreads(&all))
}

// bindThreads binds all threads of this program, from which others inherit it.
func bindThreads(to *unix.CPUSet) error {
	for range 2 { // one may have begun meanwhile
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err == nil {
				err = unix.SchedSetaffinity(id, to)
			}
			if err != nil && !proc.Gone(err) {
				return fmt.Errorf("binding thread %s to processors: %w", t.Name(), err)
			}
		}
	}
	return nil
}

// bareDetector returns a step that looks for faces in a frame that is in memory.
func bareDetector(format string, frames int) (step, error) {
	pictures, err := pictures(usual(min(frames, distinct)), 1, format)
	if err != nil {
		return nil, err
	}
	all, err := inputs(pictures)
	var next atomic.Int64
	return func(w *worker) error {
		_, err := w.detector.Detect(all[int(next.Add(1))%len(all)].frame)
		return err
	}, err
}

// barePlumbing returns a step that takes a record from Kafka, looks for faces, and writes
// a frame that has any to HDFS: under another name first, as package store does.
func (b *bench) barePlumbing(ctx context.Context, topic string) (do step, end func(), err error) {
	output := b.Folder(b.newGroup())
	fsys := hdfs.New(ctx)
	folders := fsys.(interface {
		MkdirAll(ctx context.Context, dir string) error
	})
	if err := folders.MkdirAll(ctx, output); err != nil {
		return nil, nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Broker), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(fetchBytes))
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	return func(w *worker) error {
		mu.Lock()
		fetches := client.PollRecords(ctx, 1)
		for fetches.Empty() && fetches.Err() == nil {
			fetches = client.PollRecords(ctx, 1)
		}
		mu.Unlock()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading from Kafka: %w", err)
		}
		r := fetches.Records()[0]
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
			name := fmt.Sprintf("%s/%d-%d", output, r.Partition, r.Offset)
			w.writes.Go(func() error {
				if err := filesystem.Write(ctx, fsys, name+".tmp", file.Data); err != nil {
					return err
				}
				return filesystem.Rename(ctx, fsys, name+".tmp", name+".jpg")
			})
		}
		return err
	}, client.Close, nil
}

// newDetector returns a detector of one thread. minScore is that of the preset if it is 0.
func (b *bench) newDetector(preset string, minScore float64) (*face.Detector, error) {
	params, err := face.NewPreset(preset, b.modelOf(preset))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", preset, err)
	}
	if err := face.OneThread(); err != nil {
		return nil, err
	}
	params.MinScore = cmp.Or(minScore, params.MinScore)
	return face.NewDetector(params)
}

// modelOf returns the model that was given for a preset without one of its own.
func (b *bench) modelOf(preset string) string {
	if _, err := face.PresetFile(preset); err == nil {
		return ""
	}
	return b.model
}

// usual is the demo that runners are measured with.
func usual(frames int) video.DemoConfig {
	return video.DemoConfig{Frames: frames, Width: video.DemoWidth, Height: video.DemoHeight, Faces: video.MixedFaces}
}

// pictures returns a demo's frames, each byte multiplied by light, as JPEG if that is the format.
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
			if out[i].JPEG, err = video.EncodeJPEG(out[i], 0); err != nil {
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
