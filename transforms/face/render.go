package face

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"gocv.io/x/gocv"

	"facestream/transforms/frame"
	"facestream/transforms/store"
)

func init() {
	register.DoFn1x2[Detection, store.Entry, error](&renderFn{})
}

// jpegQuality is that of the JPEG that a raw or PNG frame is stored as, of 100.
const jpegQuality = 95

// Render turns a PCollection<Detection> into a PCollection<store.Entry>, one
// element for each. A frame with faces becomes one file, named by store.Name: a
// JPEG frame the very bytes that came in, a raw or PNG frame a JPEG of quality 95,
// grey if the frame is. A frame without faces, or that is Cooled, becomes no file.
// An Entry has the slots of l in which the frame was kept. An error fails the
// bundle and names the record.
func Render(s beam.Scope, l Less, detections beam.PCollection) beam.PCollection {
	s = s.Scope("face.Render")
	l.Sampling.Taken, l.Stored = nil, nil // which are of no use here
	return beam.ParDo(s, &renderFn{Less: l}, detections)
}

type renderFn struct {
	Less Less
}

func (fn *renderFn) ProcessElement(d Detection) (store.Entry, error) {
	e, err := Files(d)
	e.Slots = fn.Less.slots(d)
	return e, err
}

// Files gives the files of one frame, as Render does.
func Files(d Detection) (store.Entry, error) {
	f := d.Frame
	e := store.Entry{Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, Size: f.Size, Faces: int32(len(d.Faces)), Cooled: d.Cooled}
	if len(d.Faces) == 0 || d.Cooled {
		return e, nil
	}
	data, err := jpegOf(f)
	if err != nil {
		return store.Entry{}, recordError(f, err)
	}
	name := store.Name{Camera: f.Camera, TimestampMillis: f.TimestampMillis, Topic: f.Topic, Partition: f.Partition, Offset: f.Offset}
	e.Files = []store.File{{Name: name.Path(), Data: data}}
	return e, nil
}

// jpegOf returns the frame as a JPEG file.
func jpegOf(f frame.Frame) ([]byte, error) {
	if f.Format == frame.JPEG {
		return f.Data, nil
	}
	m, err := ownMat(f)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	file, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, m, []int{gocv.IMWriteJpegQuality, jpegQuality})
	if err != nil {
		return nil, fmt.Errorf("encoding a JPEG: %w", err)
	}
	defer file.Close()
	data := bytes.Clone(file.GetBytes())
	if len(data) == 0 {
		return nil, errors.New("encoding a JPEG: OpenCV gives no bytes")
	}
	return data, nil
}
