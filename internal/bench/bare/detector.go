package bare

import (
	"context"
	"sync/atomic"

	"facestream/transforms/face"
)

// measureDetector has each worker look for faces in frames that are in memory.
func measureDetector(ctx context.Context, c Config) (Result, error) {
	all, err := frames(c.Format, min(c.Frames, Distinct))
	if err != nil {
		return Result{}, err
	}
	var next atomic.Int64
	return work(ctx, c, func(d *face.Detector) (worker, error) {
		return worker{step: func() error {
			_, err := d.Detect(all[int(next.Add(1)-1)%len(all)])
			return err
		}}, nil
	})
}
