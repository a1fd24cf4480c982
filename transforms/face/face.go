// Package face finds faces in frames with a cascade classifier of OpenCV, and
// renders the pictures that are kept. It is the only package that uses cgo.
package face

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"facestream/transforms/frame"
)

// Box is where a face is, in pixels; X and Y are those of its upper left corner.
type Box struct {
	X, Y, Width, Height int32
}

// Face is one face of a frame.
type Face struct {
	Box Box
	// Blur is the variance of the Laplacian of the grey picture within the box:
	// the lower, the less sharp. 0 is one even grey.
	Blur float64
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

// Params says how faces are found. NewParams gives the defaults, which are
// those of OpenCV's detectMultiScale.
type Params struct {
	// Cascade is the gzip-compressed XML file of a cascade classifier, as
	// NewParams gives it. It travels inside the pipeline. Required.
	Cascade []byte
	// ScaleFactor is by how much the search window grows from one pass over the
	// picture to the next: from MinScaleFactor to MaxScaleFactor. Default 1.1.
	ScaleFactor float64
	// MinNeighbors is how many overlapping hits make a face. Default 3.
	MinNeighbors int
	// MinFace is the side of the smallest face that is looked for, in pixels.
	// Default 0: the cascade's own smallest, about 20.
	MinFace int
	// Threads is how many threads OpenCV takes for one frame. It holds for the
	// whole process. Default 0: one for each core.
	Threads int
}

// The range of Params.ScaleFactor. OpenCV takes anything above 1, but the
// number of passes grows without bound on the way there.
const (
	MinScaleFactor = 1.01
	MaxScaleFactor = 10
)

// maxThreads is far more than any machine that this runs on has cores.
const maxThreads = 1024

// NewParams gives the default parameters with the cascade of the file. A file
// that is missing or that OpenCV cannot load is an error.
func NewParams(file string) (Params, error) {
	xml, err := os.ReadFile(file)
	if err != nil {
		return Params{}, fmt.Errorf("reading the cascade: %w", err)
	}
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return Params{}, err
	}
	if _, err := zip.Write(xml); err != nil {
		return Params{}, fmt.Errorf("compressing %s: %w", file, err)
	}
	if err := zip.Close(); err != nil {
		return Params{}, fmt.Errorf("compressing %s: %w", file, err)
	}
	p := Params{Cascade: b.Bytes(), ScaleFactor: 1.1, MinNeighbors: 3}
	if err := p.Validate(); err != nil {
		return Params{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// Validate says what is wrong with the parameters. It loads the cascade.
func (p Params) Validate() error {
	switch {
	case !(p.ScaleFactor >= MinScaleFactor && p.ScaleFactor <= MaxScaleFactor): // NaN is neither
		return fmt.Errorf("scale factor %v: it must be from %v to %v", p.ScaleFactor, MinScaleFactor, MaxScaleFactor)
	case p.MinNeighbors < 0 || p.MinNeighbors > frame.MaxSide:
		return fmt.Errorf("%d neighbours: there must be from 0 to %d", p.MinNeighbors, frame.MaxSide)
	case p.MinFace < 0 || p.MinFace > frame.MaxSide:
		return fmt.Errorf("smallest face of %d pixels: it must be from 0 (the cascade's own) to %d", p.MinFace, frame.MaxSide)
	case p.Threads < 0 || p.Threads > maxThreads:
		return fmt.Errorf("%d threads: there must be from 0 (one for each core) to %d", p.Threads, maxThreads)
	}
	c, err := classifiers.lease(p.Cascade)
	if err != nil {
		return err
	}
	classifiers.giveBack(c)
	return nil
}

// defaultCascade is OpenCV's own cascade for faces seen from the front, and
// cascadeDirs are where installers put it.
const defaultCascade = "haarcascade_frontalface_alt.xml"

var cascadeDirs = []string{
	"/usr/share/opencv4/haarcascades",
	"/usr/local/share/opencv4/haarcascades",
	"/usr/share/opencv/haarcascades",
	"/opt/homebrew/share/opencv4/haarcascades",
}

// DefaultCascade returns the path of haarcascade_frontalface_alt.xml as it was
// installed with OpenCV.
func DefaultCascade() (path string, err error) {
	for _, dir := range cascadeDirs {
		path := filepath.Join(dir, defaultCascade)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("no %s in %s: install OpenCV's data (Debian: opencv-data), or name a cascade file",
		defaultCascade, strings.Join(cascadeDirs, ", "))
}
