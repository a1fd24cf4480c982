package face

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"facestream/transforms/frame"
)

func init() {
	register.DoFn2x1[frame.Frame, func(Detection), error](&detectFn{})
	register.Emitter1[Detection]()
}

// Detect looks for faces in every frame of a PCollection<frame.Frame> and
// returns a PCollection<Detection>, one element for each frame, also for one
// without a face. The parameters must be valid (Params.Validate). An error
// fails the bundle and names the record: frames were checked before, so it
// means that OpenCV does not work on that machine, and no record is to blame.
func Detect(s beam.Scope, p Params, frames beam.PCollection) beam.PCollection {
	s = s.Scope("face.Detect")
	return beam.ParDo(s, &detectFn{Params: p}, frames)
}

type detectFn struct {
	Params Params

	detector *Detector
}

func (fn *detectFn) StartBundle(_ context.Context, _ func(Detection)) error {
	if fn.detector != nil {
		return nil // the last bundle failed
	}
	var err error
	fn.detector, err = NewDetector(fn.Params)
	return err
}

func (fn *detectFn) ProcessElement(f frame.Frame, emit func(Detection)) error {
	found, err := fn.detector.Detect(f)
	if err != nil {
		return recordError(f, err)
	}
	if len(found.Faces) == 0 {
		found.Frame.Data = nil
	}
	emit(found)
	return nil
}

func (fn *detectFn) FinishBundle(_ context.Context, _ func(Detection)) error {
	fn.detector.Close()
	fn.detector = nil
	return nil
}

// recordError names the record that err is about.
func recordError(f frame.Frame, err error) error {
	return fmt.Errorf("topic %s, partition %d, offset %d: %w", f.Topic, f.Partition, f.Offset, err)
}
