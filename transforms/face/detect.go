package face

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"facestream/transforms/frame"
	"facestream/transforms/parallel"
)

func init() {
	register.DoFn2x1[frame.Frame, func(Detection), error](&detectFn{})
	register.Emitter1[Detection]()
}

// Detect looks for faces in every frame of a PCollection<frame.Frame>, Params.Parallel
// of a bundle at a time. It returns a PCollection<Detection>, one element for each
// frame, also for one without a face. The parameters must be valid (Params.Validate).
//
// An error fails the bundle and names the record. frame.Decode has checked the frames,
// so an error means that OpenCV does not work on that machine.
func Detect(s beam.Scope, p Params, frames beam.PCollection) beam.PCollection {
	s = s.Scope("face.Detect")
	return beam.ParDo(s, &detectFn{Params: p}, frames)
}

type detectFn struct {
	Params Params

	detectors chan *Detector // those that nobody uses
	work      *parallel.Work[Detection]
}

func (fn *detectFn) StartBundle(_ context.Context, _ func(Detection)) error {
	n := max(1, fn.Params.Parallel)
	// Detectors of a bundle that failed may still be at work: they are not used again.
	fn.detectors, fn.work = make(chan *Detector, n), parallel.New[Detection](n)
	for range n {
		d, err := NewDetector(fn.Params)
		if err != nil {
			return err
		}
		fn.detectors <- d
	}
	return nil
}

func (fn *detectFn) ProcessElement(f frame.Frame, emit func(Detection)) error {
	detectors := fn.detectors
	return fn.work.Begin(func() (Detection, error) {
		d := <-detectors
		defer func() { detectors <- d }()
		found, err := d.Detect(f)
		if err != nil {
			return Detection{}, recordError(f, err)
		}
		if len(found.Faces) == 0 {
			found.Frame.Data = nil
		}
		return found, nil
	}, emit)
}

func (fn *detectFn) FinishBundle(_ context.Context, emit func(Detection)) error {
	if err := fn.work.Finish(emit); err != nil {
		return err
	}
	for range cap(fn.detectors) {
		(<-fn.detectors).Close()
	}
	return nil
}

// recordError names the record that err is about.
func recordError(f frame.Frame, err error) error {
	return fmt.Errorf("%s: %w", f.ID, err)
}
