package face

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"image"
	"math"
	"slices"
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
	region := grey.Region(b.Rect())
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

// byCascade returns the faces in a frame, sorted as Detect's, and the size of the upright
// picture.
func (d *Detector) byCascade(f frame.Frame) (faces []Face, size image.Point, err error) {
	grey, err := greyMat(f)
	if err != nil {
		return nil, size, err
	}
	defer grey.Close()
	boxes, err := d.find(grey)
	if err != nil {
		return nil, size, fmt.Errorf("detecting faces: %w", err)
	}
	for _, b := range boxes {
		faces = append(faces, Face{Box: b, Blur: blur(grey, b)})
	}
	return faces, image.Pt(grey.Cols(), grey.Rows()), nil
}

// find returns the boxes in a grey picture that is not empty, sorted as
// Detect's.
func (d *Detector) find(grey gocv.Mat) ([]record.Box, error) {
	whole := image.Pt(grey.Cols(), grey.Rows())
	p := d.params
	if p.Downscale > 1 {
		small := shrunk(grey, p.Downscale)
		defer small.Close()
		grey = small
		p.MinFace = int(float64(p.MinFace) / p.Downscale)
	}
	if p.Equalize {
		even := gocv.NewMat()
		defer even.Close()
		gocv.EqualizeHist(grey, &even)
		grey = even
	}
	boxes, err := d.frontal.detect(grey, p)
	if err == nil && d.profile != nil {
		var sides []record.Box
		sides, err = d.detectProfiles(grey, p)
		boxes = suppressBoxes(boxes, sides)
	}
	if err != nil {
		return nil, err
	}
	if p.Downscale > 1 {
		boxes = enlarged(boxes, image.Pt(grey.Cols(), grey.Rows()), whole, d.params.MinFace)
	}
	// Threads find them in any order.
	slices.SortFunc(boxes, byPlace)
	return boxes, nil
}

// byPlace orders boxes from top to bottom, then from left to right.
func byPlace(a, b record.Box) int {
	return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X), cmp.Compare(a.Width, b.Width), cmp.Compare(a.Height, b.Height))
}

// detectProfiles returns the boxes of faces that are seen from either side, in no order:
// the cascade knows one side only.
func (d *Detector) detectProfiles(grey gocv.Mat, p Params) ([]record.Box, error) {
	boxes, err := d.profile.detect(grey, p)
	if err != nil {
		return nil, err
	}
	mirrored := gocv.NewMat()
	defer mirrored.Close()
	gocv.Flip(grey, &mirrored, 1)
	others, err := d.profile.detect(mirrored, p)
	for _, b := range others {
		b.X = int32(grey.Cols()) - b.X - b.Width
		boxes = append(boxes, b)
	}
	return boxes, err
}

// shrunk returns a picture made smaller by a factor, of a pixel at least.
func shrunk(grey gocv.Mat, factor float64) gocv.Mat {
	small := gocv.NewMat()
	gocv.Resize(grey, &small, image.Pt(shrunkSide(grey.Cols(), factor), shrunkSide(grey.Rows(), factor)), 0, 0, gocv.InterpolationArea)
	return small
}

func shrunkSide(pixels int, factor float64) int {
	return max(1, int(math.Round(float64(pixels)/factor)))
}

// enlarged returns the boxes of a picture that was shrunk as those of the whole
// one, cut off where it ends, without those of a side below minFace.
func enlarged(boxes []record.Box, small, whole image.Point, minFace int) []record.Box {
	scale := func(at int32, small, whole int) int32 {
		return int32(max(0, min(math.Round(float64(at)*float64(whole)/float64(small)), float64(whole))))
	}
	var kept []record.Box
	for _, b := range boxes {
		x, y := scale(b.X, small.X, whole.X), scale(b.Y, small.Y, whole.Y)
		b = record.Box{X: x, Y: y, Width: scale(b.X+b.Width, small.X, whole.X) - x, Height: scale(b.Y+b.Height, small.Y, whole.Y) - y}
		if smallest := int32(max(1, minFace)); b.Width >= smallest && b.Height >= smallest {
			kept = append(kept, b)
		}
	}
	return kept
}

// maxIoU is by how much two boxes may overlap and still be two faces.
const maxIoU = 0.3

// suppress returns what comes first of those whose boxes overlap by more than maxIoU
// (non-maximum suppression).
func suppress[T any](best []T, box func(T) record.Box) (kept []T) {
	for _, one := range best {
		if !slices.ContainsFunc(kept, func(k T) bool { return box(one).IoU(box(k)) > maxIoU }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// suppressBoxes does so with the boxes of cascades. Frontal boxes are better than others,
// larger ones than smaller ones, upper ones than lower ones.
func suppressBoxes(frontal, others []record.Box) []record.Box {
	for _, boxes := range [][]record.Box{frontal, others} {
		slices.SortFunc(boxes, func(a, b record.Box) int { return cmp.Or(cmp.Compare(b.Area(), a.Area()), byPlace(a, b)) })
	}
	return suppress(slices.Concat(frontal, others), func(b record.Box) record.Box { return b })
}
