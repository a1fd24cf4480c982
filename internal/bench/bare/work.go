package bare

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"facestream/transforms/face"
)

// warmUp is how many frames each worker does before it is measured.
const warmUp = 4

// worker does one frame at a time.
type worker struct {
	step   func() error
	finish func() error // waits for what is under way; nil if there is nothing
	stages *Stages      // in milliseconds, all frames together; nil if there are none
}

// work measures c.Workers workers, each with a detector of its own that uses one
// thread, while they do c.Frames frames together.
func work(ctx context.Context, c Config, newWorker func(*face.Detector) (worker, error)) (Result, error) {
	params, err := face.NewPreset(c.Preset)
	if err != nil {
		return Result{}, err
	}
	params.Threads = 1
	workers := make([]worker, c.Workers)
	for i := range workers {
		detector, err := face.NewDetector(params)
		if err != nil {
			return Result{}, err
		}
		defer detector.Close()
		if workers[i], err = newWorker(detector); err != nil {
			return Result{}, err
		}
	}
	if err := together(ctx, workers, c.Workers*warmUp); err != nil {
		return Result{}, err
	}
	for _, w := range workers {
		if w.stages != nil {
			*w.stages = Stages{}
		}
	}
	began, cpu := time.Now(), cpuSeconds()
	if err := together(ctx, workers, c.Frames); err != nil {
		return Result{}, err
	}
	result := Result{Frames: c.Frames, Seconds: time.Since(began).Seconds(), CPUSeconds: cpuSeconds() - cpu}
	for _, w := range workers {
		if w.stages != nil {
			result.Stages.add(*w.stages, float64(c.Frames))
		}
	}
	return result, nil
}

// together has the workers do n frames.
func together(ctx context.Context, workers []worker, n int) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range workers {
		g.Go(func() error {
			for next.Add(1) <= int64(n) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := w.step(); err != nil {
					return err
				}
			}
			if w.finish == nil {
				return nil
			}
			return w.finish()
		})
	}
	return g.Wait()
}

// add adds the times of other, each divided by n.
func (s *Stages) add(other Stages, n float64) {
	s.Read += other.Read / n
	s.Decode += other.Decode / n
	s.Detect += other.Detect / n
	s.Encode += other.Encode / n
	s.Write += other.Write / n
}

// cpuSeconds is the processor time of this process until now.
func cpuSeconds() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it fails for wrong arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
