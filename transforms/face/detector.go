package face

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"slices"

	"gocv.io/x/gocv"

	"facestream/transforms/frame"
)

// Detector finds faces, one frame at a time. It may not be used by two
// goroutines at once; a Detector for each is right.
type Detector struct {
	params     Params
	classifier *classifier
}

// NewDetector leases a classifier from the pool of the process. The parameters
// must be valid.
func NewDetector(p Params) (*Detector, error) {
	c, err := classifiers.lease(p.Cascade)
	if err != nil {
		return nil, err
	}
	return &Detector{params: p, classifier: c}, nil
}

// Close gives the classifier back. The Detector is of no use any more. One that
// is dropped without Close costs no more than a new classifier for the next.
func (d *Detector) Close() {
	classifiers.giveBack(d.classifier)
	d.classifier = nil
}

// Detect returns the boxes that OpenCV's detectMultiScale finds in the grey
// picture, sorted from top to bottom, then from left to right. A raw frame in
// colour is made grey by cvtColor, a grey one is taken as it is, a JPEG is decoded
// as grey by OpenCV, or by Go if OpenCV refuses it. If a JPEG says by EXIF which way is up, boxes are those of the
// upright picture, as viewers show it. A frame that frame.Decode gives is no
// error; an error means that OpenCV does not work here.
func (d *Detector) Detect(f frame.Frame) ([]Box, error) {
	if err := lockThreads(d.params.Threads); err != nil {
		return nil, err
	}
	defer threads.RUnlock()
	grey, err := greyMat(f)
	if err != nil {
		return nil, err
	}
	defer grey.Close()
	boxes, err := d.classifier.detect(grey, d.params)
	if err != nil {
		return nil, fmt.Errorf("detecting faces: %w", err)
	}
	// Threads find them in any order.
	slices.SortFunc(boxes, func(a, b Box) int {
		return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X), cmp.Compare(a.Width, b.Width), cmp.Compare(a.Height, b.Height))
	})
	return boxes, nil
}

// greyMat returns the frame as a grey picture; the caller closes it.
func greyMat(f frame.Frame) (gocv.Mat, error) {
	switch f.Format {
	case frame.JPEG:
		if !bytes.HasPrefix(f.Data, []byte{0xFF, 0xD8, 0xFF}) {
			return gocv.Mat{}, errors.New("the frame is said to be a JPEG and is none")
		}
		grey, err := gocv.IMDecode(f.Data, gocv.IMReadGrayScale)
		if err != nil {
			return gocv.Mat{}, fmt.Errorf("decoding the JPEG: %w", err)
		}
		if grey.Empty() {
			grey.Close()
			return greyByGo(f)
		}
		return grey, nil
	case frame.BGR:
		return converted(f, gocv.ColorBGRToGray)
	case frame.RGB:
		return converted(f, gocv.ColorRGBToGray)
	case frame.Grey:
		return rawMat(f)
	}
	return gocv.Mat{}, unknownFormat(f)
}

func unknownFormat(f frame.Frame) error {
	return fmt.Errorf("the frame has the unknown format %q", f.Format)
}

// greyByGo decodes a JPEG that OpenCV refuses. There are damaged ones that Go
// decodes all the same, and one of them must not fail a bundle for ever.
func greyByGo(f frame.Frame) (gocv.Mat, error) {
	img, err := jpeg.Decode(bytes.NewReader(f.Data))
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("decoding the JPEG: %w", err)
	}
	grey := image.NewGray(img.Bounds())
	draw.Draw(grey, grey.Rect, img, img.Bounds().Min, draw.Src)
	size := grey.Rect.Size()
	return gocv.NewMatFromBytes(size.Y, size.X, gocv.MatTypeCV8UC1, grey.Pix)
}

// rawMat returns a raw frame as a Mat that shares its bytes; the caller closes
// it before it lets go of the frame. OpenCV checks nothing here.
func rawMat(f frame.Frame) (gocv.Mat, error) {
	width, height, size := int(f.Width), int(f.Height), frame.BytesPerPixel(f.Format)
	if width < 1 || width > frame.MaxSide || height < 1 || height > frame.MaxSide || len(f.Data) != width*height*size {
		return gocv.Mat{}, fmt.Errorf("a raw frame of %dx%d pixels cannot have %d bytes", width, height, len(f.Data))
	}
	kind := gocv.MatTypeCV8UC3
	if size == 1 {
		kind = gocv.MatTypeCV8UC1
	}
	return gocv.NewMatFromBytes(height, width, kind, f.Data)
}

// converted returns a raw frame in other colours; the caller closes it.
func converted(f frame.Frame, code gocv.ColorConversionCode) (gocv.Mat, error) {
	raw, err := rawMat(f)
	if err != nil {
		return gocv.Mat{}, err
	}
	defer raw.Close()
	m := gocv.NewMat()
	gocv.CvtColor(raw, &m, code)
	return m, nil
}
