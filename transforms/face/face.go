// Package face finds faces in frames with a cascade classifier or a network, which OpenCV
// runs, and renders the pictures that are kept. It is the only transform that uses cgo.
package face

import (
	"fmt"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

// Face is one face of a frame.
type Face struct {
	Box record.Box
	// Blur is the variance of the Laplacian of the grey picture within the box:
	// the lower, the less sharp. 0 is one even grey.
	Blur float64
	// Score is how sure a network is, above 0 to 1 in steps of 0.001. 0 of a cascade.
	Score     float64
	Landmarks *record.Landmarks // nil of a cascade
}

// Detection is what was found in one frame. Faces are sorted from top to
// bottom, then from left to right, so that they are the same at every attempt.
// The frame of a Detection without faces, or that is Cooled, has no Data: nobody
// needs it further down, and it would be most of what is passed on.
type Detection struct {
	Frame         frame.Frame
	Width, Height int32 // pixels of the picture that the boxes are in, which is upright
	Faces         []Face
	Millis        float64 // how long detection took, from the frame's bytes on; the only thing that differs between attempts
	Cooled        bool    // Cooldown has found that its faces are stored already
}

// Params says how faces are found: with a cascade or, if there is a Model, with a network.
// NewPreset gives them.
type Params struct {
	// Cascade is the gzip-compressed XML file of a cascade classifier, as
	// ReadCascade gives it. It travels inside the pipeline. Required without Model.
	Cascade []byte
	// ScaleFactor is by how much the search window grows from one pass over the
	// picture to the next: from MinScaleFactor to MaxScaleFactor. Default 1.1.
	ScaleFactor float64
	// MinNeighbors is how many overlapping hits make a face. Default 3.
	MinNeighbors int
	// MinFace is the side of the smallest face that is looked for, in pixels of
	// the whole picture. Default 0: the cascade's own, about 20 times Downscale.
	MinFace int
	// Downscale is by how much the picture is shrunk (INTER_AREA) before faces
	// are looked for: from 1, which is not at all, to MaxDownscale. Boxes are
	// those of the whole picture. Default 1.
	Downscale float64
	// Equalize has equalizeHist even out the light of the picture, once it is
	// shrunk, before faces are looked for.
	Equalize bool
	// Profile is a cascade for faces seen from one side, as ReadCascade gives it;
	// it is tried on the picture and on its mirror image. Of boxes that overlap
	// one is then kept. Optional.
	Profile []byte
	// Model is the ONNX file of a network, as ReadModel gives it. It travels inside the
	// pipeline. The next two are for it, and all before it for cascades.
	Model []byte
	// DetectWidth is how many pixels the longer side of a picture may have: a larger
	// picture is shrunk to it, and boxes are those of the whole one. From
	// MinDetectWidth to MaxDetectWidth.
	DetectWidth int
	// MinScore is the lowest Face.Score of what is a face, from MinMinScore to 1.
	MinScore float64
	// Parallel is how many frames of a bundle Detect looks at, at a time, with one thread of
	// OpenCV each. Default 0: one.
	Parallel int
	// InOrder has Detect emit detections in the order of their frames.
	InOrder bool
}

// The range of Params.ScaleFactor. OpenCV takes anything above 1, but the
// number of passes grows without bound on the way there.
const (
	MinScaleFactor = 1.01
	MaxScaleFactor = 10
)

// MaxDownscale leaves a face of 200 pixels the 20 that a cascade needs.
const MaxDownscale = 10

// The range of Params.DetectWidth. A network's memory grows with its square.
const (
	MinDetectWidth = 64
	MaxDetectWidth = 1920
)

// MinMinScore is that of Params.MinScore. What scores less is noise.
const MinMinScore = 0.1

// maxParallel is far more than any machine that this runs on has cores.
const maxParallel = 1024

// Validate returns an error that says what is wrong with the parameters, if anything.
// It loads the models.
func (p Params) Validate() error {
	check := p.validateCascade
	if len(p.Model) > 0 {
		check = p.validateNetwork
	}
	if p.Parallel < 0 || p.Parallel > maxParallel {
		return fmt.Errorf("%d frames at a time: there must be from 0 (one) to %d", p.Parallel, maxParallel)
	}
	if err := check(); err != nil {
		return err
	}
	d, err := NewDetector(p)
	if err != nil {
		return err
	}
	defer d.Close()
	if len(p.Model) > 0 { // OpenCV has not seen it yet
		_, err = d.Detect(frame.Frame{Format: frame.Grey, Width: 1, Height: 1, Data: []byte{0}})
	}
	return err
}

func (p Params) validateCascade() error {
	switch {
	case !(p.ScaleFactor >= MinScaleFactor && p.ScaleFactor <= MaxScaleFactor): // NaN is neither
		return fmt.Errorf("scale factor %v: it must be from %v to %v", p.ScaleFactor, MinScaleFactor, MaxScaleFactor)
	case p.MinNeighbors < 0 || p.MinNeighbors > frame.MaxSide:
		return fmt.Errorf("%d neighbours: there must be from 0 to %d", p.MinNeighbors, frame.MaxSide)
	case p.MinFace < 0 || p.MinFace > frame.MaxSide:
		return fmt.Errorf("smallest face of %d pixels: it must be from 0 (the cascade's own) to %d", p.MinFace, frame.MaxSide)
	case !(p.Downscale >= 1 && p.Downscale <= MaxDownscale):
		return fmt.Errorf("downscale %v: it must be from 1 (the picture as it is) to %v", p.Downscale, MaxDownscale)
	}
	return nil
}

func (p Params) validateNetwork() error {
	switch {
	case p.DetectWidth < MinDetectWidth || p.DetectWidth > MaxDetectWidth:
		return fmt.Errorf("detect width %d: it must be from %d to %d pixels", p.DetectWidth, MinDetectWidth, MaxDetectWidth)
	case !(p.MinScore >= MinMinScore && p.MinScore <= 1): // NaN is neither
		return fmt.Errorf("smallest score %v: it must be from %v to 1", p.MinScore, MinMinScore)
	}
	return nil
}
