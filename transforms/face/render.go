package face

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"reflect"
	"strconv"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

func init() {
	beam.RegisterType(reflect.TypeFor[renderFn]())
}

// jpegQuality is that of every JPEG that is made here, of 100.
const jpegQuality = 95

// Render turns a PCollection<Detection> into a PCollection<store.Entry>, one
// element for each, with the files and events that the output asks for. A frame
// without faces, or that is Cooled, has none. An Entry has the slots of l in which
// the frame was kept. The output must be valid (Output.Validate). An error fails
// the bundle and names the record.
func Render(s beam.Scope, o Output, l Sampling, detections beam.PCollection) beam.PCollection {
	s = s.Scope("face.Render")
	l.Frames.Taken = nil // which are of no use here
	return beam.ParDo(s, &renderFn{Output: o, Sampling: l}, detections)
}

type renderFn struct {
	Output   Output
	Sampling Sampling
}

func (fn *renderFn) ProcessElement(d Detection) (store.Entry, error) {
	e, err := Files(fn.Output, d)
	e.Slots = fn.Sampling.slots(d)
	return e, err
}

// Files returns the files, or the row with the same pictures, and the events of one frame,
// as Render does:
//
//   - the frame: of a JPEG the very bytes that came in, of another a JPEG of
//     quality 95, grey if the frame is;
//   - the frame in colour with a box, a number and the landmarks of each face, as JPEG;
//   - each face with a margin, cut off where the picture ends, as JPEG;
//   - an Event for each face.
//
// All but the first are upright if EXIF data say which way is up.
func Files(o Output, d Detection) (store.Entry, error) {
	f := d.Frame
	e := store.Entry{Tally: store.Tally{
		ID: f.ID, TimestampMillis: f.TimestampMillis, Size: f.Size, Camera: f.Camera, DetectMillis: d.Millis, Faces: int32(len(d.Faces)), Cooled: d.Cooled,
	}}
	if len(d.Faces) == 0 || d.Cooled {
		return e, nil
	}
	row := rowOf(o, d)
	var err error
	if o.Frame {
		row.Picture, err = jpegOf(f)
	}
	if err == nil && (o.Annotated || o.Crops) {
		err = drawInto(row, o, d)
	}
	if row.Complete(); err == nil && o.Events {
		e.Events, err = EventsOf(row)
	}
	if err != nil {
		return store.Entry{}, fmt.Errorf("%s: %w", f.ID, err)
	}
	if o.Rows {
		e.Row = row
	} else {
		e.Files = store.FilesOf(row)
	}
	return e, nil
}

// drawInto makes the pictures of a row that need the frame's pixels.
func drawInto(row *table.Row, o Output, d Detection) error {
	picture, err := nativeMat(d.Frame)
	if err != nil {
		return err
	}
	defer picture.Close()
	if o.Annotated {
		m := annotated(picture, d.Faces)
		defer m.Close()
		if row.Annotated, err = encode(m); err != nil {
			return err
		}
	}
	if o.Crops {
		for i := range row.Faces {
			if row.Faces[i].Crop, err = crop(picture, row.Faces[i].Box, o.CropMargin); err != nil {
				return fmt.Errorf("face %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// Crop cuts a box with a margin out of a stored picture, as the crops of Files are.
func Crop(picture []byte, box record.Box, margin float64) ([]byte, error) {
	f, err := frame.Open(picture)
	if err != nil {
		return nil, err
	}
	if reject := Check(frame.Config{}, f); reject != nil {
		return nil, errors.New(reject.Detail)
	}
	m, err := nativeMat(f)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return crop(m, box, margin)
}

// crop cuts a box with a margin out of a picture.
func crop(picture gocv.Mat, box record.Box, margin float64) ([]byte, error) {
	area := withMargin(box, margin, picture.Cols(), picture.Rows())
	if area.Empty() { // which no detection gives
		return nil, fmt.Errorf("the box %v is not in the picture of %dx%d pixels", box, picture.Cols(), picture.Rows())
	}
	m := picture.Region(area)
	defer m.Close()
	return encode(m)
}

// withMargin returns a box with a margin, which is a part of its sides, as far as
// it is within a picture.
func withMargin(b record.Box, margin float64, width, height int) image.Rectangle {
	around := image.Pt(int(math.Round(margin*float64(b.Width))), int(math.Round(margin*float64(b.Height))))
	area := b.Rect()
	return image.Rectangle{Min: area.Min.Sub(around), Max: area.Max.Add(around)}.Intersect(image.Rect(0, 0, width, height))
}

// The lines of an annotated picture, for every so many pixels of its width.
const (
	pixelsPerThickness = 320
	pixelsPerScale     = 640
)

// annotated returns a copy of a picture with a box, a number and the landmarks of each face.
func annotated(picture gocv.Mat, faces []Face) gocv.Mat {
	green := color.RGBA{G: 255, A: 255}
	m := inColour(picture)
	thickness := max(1, m.Cols()/pixelsPerThickness)
	scale := max(0.5, float64(m.Cols())/pixelsPerScale)
	for i, f := range faces {
		area := f.Box.Rect()
		gocv.Rectangle(&m, area, green, thickness)
		if f.Landmarks != nil {
			for _, p := range f.Landmarks.Points() {
				gocv.Circle(&m, image.Pt(int(p.X), int(p.Y)), 2*thickness, green, -1)
			}
		}
		gocv.PutText(&m, strconv.Itoa(i+1), area.Min.Add(image.Pt(2*thickness, int(25*scale))), gocv.FontHersheySimplex, scale, green, thickness)
	}
	return m
}

// jpegOf returns the frame as a JPEG file.
func jpegOf(f frame.Frame) ([]byte, error) {
	if f.Format == frame.JPEG {
		return f.Data, nil
	}
	m, err := nativeMat(f)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return encode(m)
}

// encode returns a picture as a JPEG file.
func encode(m gocv.Mat) ([]byte, error) {
	return Encode(m, gocv.JPEGFileExt, gocv.IMWriteJpegQuality, jpegQuality)
}

// Encode returns a picture as a file, with parameters of OpenCV's imencode.
func Encode(m gocv.Mat, kind gocv.FileExt, params ...int) ([]byte, error) {
	file, err := gocv.IMEncodeWithParams(kind, m, params)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s file: %w", kind, err)
	}
	defer file.Close()
	data := bytes.Clone(file.GetBytes())
	if len(data) == 0 {
		return nil, fmt.Errorf("encoding a %s file: OpenCV gives no bytes", kind)
	}
	return data, nil
}
