package face

import (
	"context"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/transforms/frame"
	"facestream/transforms/parallel"
)

func init() {
	beam.RegisterType(reflect.TypeFor[detectFn]())
}

// Detect looks for faces in every frame of a PCollection<frame.Frame>, Params.Parallel
// of a bundle at a time. It returns a PCollection<Detection>, also of frames without a
// face, and a PCollection<frame.Reject> of those that turn out to be damaged: each
// frame becomes one element of one of them. The parameters must be valid
// (Params.Validate).
//
// An error fails the bundle and names the record. It means that OpenCV does not work on
// that machine.
func Detect(s beam.Scope, cfg frame.Config, p Params, frames beam.PCollection) (detections, rejects beam.PCollection) {
	s = s.Scope("face.Detect")
	return beam.ParDo2(s, &detectFn{Config: cfg, Params: p}, frames)
}

type detectFn struct {
	Config frame.Config
	Params Params

	detectors chan *Detector // those that nobody uses
	work      *parallel.Work[outcome]
}

// outcome is what comes of a frame.
type outcome struct {
	Detection
	reject *frame.Reject // or nil
}

func (fn *detectFn) StartBundle(_ context.Context, _ func(Detection), _ func(frame.Reject)) error {
	if err := OneThread(); err != nil {
		return err
	}
	n := max(1, fn.Params.Parallel)
	// Detectors of a bundle that failed may still be at work: they are not used again.
	fn.detectors, fn.work = make(chan *Detector, n), parallel.New[outcome](n)
	if fn.Params.InOrder {
		fn.work = parallel.InOrder[outcome](n)
	}
	for range n {
		d, err := NewDetector(fn.Params)
		if err != nil {
			return err
		}
		fn.detectors <- d
	}
	return nil
}

func (fn *detectFn) ProcessElement(ctx context.Context, f frame.Frame, detections func(Detection), rejects func(frame.Reject)) error {
	detectors, emit := fn.detectors, emitOutcome(ctx, detections, rejects)
	fn.work.Join(ctx, emit)
	return fn.work.Begin(func() (outcome, error) {
		d := <-detectors
		defer func() { detectors <- d }()
		found, err := d.Detect(f)
		if err != nil {
			if reject := Reject(fn.Config, f, err); reject != nil {
				return outcome{reject: reject}, nil
			}
			return outcome{}, fmt.Errorf("%s: %w", f.ID, err)
		}
		found.Frame.Headers = nil // which are for a Reject
		if len(found.Faces) == 0 {
			found.Frame.Data = nil
		}
		return outcome{Detection: found}, nil
	}, emit)
}

// emitOutcome emits and counts what comes of a frame.
func emitOutcome(ctx context.Context, detections func(Detection), rejects func(frame.Reject)) func(outcome) {
	return func(o outcome) {
		if o.reject != nil {
			frame.Count(ctx, o.reject.Reason)
			rejects(*o.reject)
			return
		}
		frame.Count(ctx, frame.CountDecoded)
		detections(o.Detection)
	}
}

func (fn *detectFn) FinishBundle(ctx context.Context, detections func(Detection), rejects func(frame.Reject)) error {
	if err := fn.work.Finish(emitOutcome(ctx, detections, rejects)); err != nil {
		return err
	}
	for range cap(fn.detectors) {
		(<-fn.detectors).Close()
	}
	return nil
}
