package face

import (
	"crypto/sha256"
	"fmt"
	"image"
	"time"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

// Detector finds faces, one frame at a time. It may not be used by two
// goroutines at once; a Detector for each is right.
type Detector struct {
	params           Params
	frontal, profile *model  // cascades; nil without
	network          *model  // prepared for the size of the last frame; nil before the first one
	known            network // what Params.Model is
	sum              [sha256.Size]byte
}

// NewDetector leases cascades from the pool of the process; a network is leased when the
// size of the first frame is known. The parameters must be valid.
func NewDetector(p Params) (d *Detector, err error) {
	d = &Detector{params: p}
	if len(p.Model) > 0 {
		d.known, d.sum, err = knownModel(p.Model)
		return d, err
	}
	if d.frontal, err = models.lease(cascadeKey(p.Cascade), p.Cascade, loadCascade); err != nil {
		return nil, err
	}
	if len(p.Profile) > 0 {
		if d.profile, err = models.lease(cascadeKey(p.Profile), p.Profile, loadCascade); err != nil {
			d.Close()
			return nil, fmt.Errorf("the cascade of profiles: %w", err)
		}
	}
	return d, nil
}

// Close returns the models to the pool. The Detector cannot be used any more. One
// that is dropped without Close only costs the next one the loading of its models.
func (d *Detector) Close() {
	for _, m := range []**model{&d.frontal, &d.profile, &d.network} {
		if *m != nil {
			models.release(*m)
			*m = nil
		}
	}
}

// Detect returns the faces in a frame, in pixels of the whole picture. They are sorted
// from top to bottom, then from left to right. With a cascade their boxes are those that
// OpenCV's detectMultiScale finds in the grey picture, or in what Params make of it.
//
// cvtColor makes a raw frame in colour grey. TurboJPEG decodes a JPEG as grey, OpenCV a
// PNG, and Go a PNG that OpenCV refuses. OpenCV turns a picture upright by its EXIF
// orientation, Go does not.
//
// An error of a frame of frame.Decode is one for which there is a Reject, or means that
// OpenCV does not work here.
func (d *Detector) Detect(f frame.Frame) (Detection, error) {
	began := time.Now()
	find := d.byCascade
	if len(d.params.Model) > 0 {
		find = d.byNetwork
	}
	faces, size, err := find(f)
	return Detection{
		Frame: f, Width: int32(size.X), Height: int32(size.Y), Faces: faces,
		Millis: float64(time.Since(began)) / float64(time.Millisecond),
	}, err
}

// blur returns Face.Blur. The box is within the picture and not empty.
func blur(grey gocv.Mat, b record.Box) float64 {
	region := grey.Region(image.Rect(int(b.X), int(b.Y), int(b.X+b.Width), int(b.Y+b.Height)))
	defer region.Close()
	edges, mean, deviation := gocv.NewMat(), gocv.NewMat(), gocv.NewMat()
	defer edges.Close()
	defer mean.Close()
	defer deviation.Close()
	gocv.Laplacian(region, &edges, gocv.MatTypeCV64F, 1, 1, 0, gocv.BorderDefault)
	gocv.MeanStdDev(edges, &mean, &deviation)
	d := deviation.GetDoubleAt(0, 0)
	return d * d
}
