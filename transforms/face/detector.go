package face

import (
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
	params     Params
	classifier *classifier
	profile    *classifier // nil without Params.Profile
}

// NewDetector leases classifiers from the pool of the process. The parameters
// must be valid.
func NewDetector(p Params) (*Detector, error) {
	c, err := classifiers.lease(p.Cascade)
	if err != nil {
		return nil, err
	}
	d := &Detector{params: p, classifier: c}
	if len(p.Profile) > 0 {
		if d.profile, err = classifiers.lease(p.Profile); err != nil {
			d.Close()
			return nil, fmt.Errorf("the cascade of profiles: %w", err)
		}
	}
	return d, nil
}

// Close returns the classifiers to the pool. The Detector cannot be used any more. One
// that is dropped without Close only costs the next one the loading of its cascades.
func (d *Detector) Close() {
	classifiers.release(d.classifier)
	if d.profile != nil {
		classifiers.release(d.profile)
	}
	d.classifier, d.profile = nil, nil
}

// Detect returns the boxes that OpenCV's detectMultiScale finds in the grey picture,
// or in what Params make of it, in pixels of the whole picture. They are sorted from
// top to bottom, then from left to right.
//
// cvtColor makes a raw frame in colour grey. TurboJPEG decodes a JPEG as grey, OpenCV a
// PNG, and Go a PNG that OpenCV refuses. OpenCV turns a picture upright by its EXIF
// orientation, Go does not.
//
// An error of a frame of frame.Decode is one for which there is a Reject, or means that
// OpenCV does not work here.
func (d *Detector) Detect(f frame.Frame) (Detection, error) {
	began := time.Now()
	if err := lockThreads(d.params.Threads); err != nil {
		return Detection{}, err
	}
	defer threads.RUnlock()
	grey, err := greyMat(f)
	if err != nil {
		return Detection{}, err
	}
	defer grey.Close()
	boxes, err := d.find(grey)
	if err != nil {
		return Detection{}, fmt.Errorf("detecting faces: %w", err)
	}
	found := Detection{Frame: f, Width: int32(grey.Cols()), Height: int32(grey.Rows())}
	for _, b := range boxes {
		found.Faces = append(found.Faces, Face{Box: b, Blur: blur(grey, b)})
	}
	found.Millis = float64(time.Since(began)) / float64(time.Millisecond)
	return found, nil
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
