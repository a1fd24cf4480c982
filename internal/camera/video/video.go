// Package video gives pictures to send: the demo with faces at known places, a
// video file, a folder of pictures, a network camera, or a camera of this machine.
package video

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/frame"
)

// JPEGQuality is that of a usual network camera.
const JPEGQuality = 90

const (
	pngCompression = 1 // of 9: more takes much longer and gains little with pictures of a camera
	bytesPerPixel  = 3
)

// Picture is one picture of a video. It has pixels, a file, or both.
type Picture struct {
	Name          string       // where it comes from, for error messages
	Width, Height int          // pixels
	BGR           []byte       // Width*Height*3 bytes: rows top down, pixels blue, green, red; upright
	JPEG          []byte       // the file that the picture came as, where the job reads it; else nil
	Faces         []record.Box // where the faces are, where the source knows it

	At    time.Duration // since the beginning of a video file
	Taken time.Time     // when a live source gave it; else zero
}

// Unusable is the error of a picture that cannot be read. Those after it may be.
type Unusable struct{ Err error }

func (u Unusable) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u Unusable) Unwrap() error { return u.Err }

// Source is a video. Next returns the pictures one after another and io.EOF
// after the last; after an Unusable it may be called again. What it returned stays
// valid. Neither method may be called by two goroutines at once.
type Source interface {
	Next() (Picture, error)
	Close() error
}

// open returns a JPEG that the job reads, as far as its header says.
func open(name string, data []byte) (Picture, error) {
	f, err := frame.Open(data)
	if err == nil && f.Format != frame.JPEG {
		err = fmt.Errorf("it is a %s, not a JPEG", f.Format)
	}
	if err != nil {
		return Picture{}, Unusable{Err: fmt.Errorf("reading %s: %w", name, err)}
	}
	return Picture{Name: name, Width: int(f.Width), Height: int(f.Height), JPEG: data}, nil
}

// Decoded returns the picture with its pixels, whose size is within the limits of
// package frame. They are upright, so that the width of a file may be their height.
func (p Picture) Decoded() (Picture, error) {
	if p.BGR == nil && p.JPEG != nil {
		f, err := frame.Open(p.JPEG)
		if reject := face.Check(frame.Config{}, f); err == nil && reject != nil {
			err = errors.New(reject.Detail)
		}
		if err == nil {
			p.BGR, p.Width, p.Height, err = face.Pixels(f)
		}
		if err != nil {
			return Picture{}, Unusable{Err: fmt.Errorf("%s: %w", p.Name, err)}
		}
	}
	if err := frame.CheckSize(p.Width, p.Height); err != nil {
		return Picture{}, Unusable{Err: fmt.Errorf("%s: %w", p.Name, err)}
	}
	if want := p.Width * p.Height * bytesPerPixel; len(p.BGR) != want {
		return Picture{}, fmt.Errorf("%s: %d bytes, but %dx%d pixels take %d", p.Name, len(p.BGR), p.Width, p.Height, want)
	}
	return p, nil
}

// EncodeJPEG returns the picture as a JPEG file, newly encoded at a quality of 1 to 100; 0
// stands for the source's own bytes, and JPEGQuality where it has none.
func EncodeJPEG(p Picture, quality int) ([]byte, error) {
	if quality == 0 && p.JPEG != nil {
		return p.JPEG, nil
	}
	return encode(p, gocv.JPEGFileExt, gocv.IMWriteJpegQuality, cmp.Or(quality, JPEGQuality))
}

// EncodePNG returns the picture newly encoded as a PNG file of three bytes a
// pixel.
func EncodePNG(p Picture) ([]byte, error) {
	return encode(p, gocv.PNGFileExt, gocv.IMWritePngCompression, pngCompression)
}

// encode returns the picture as a file of the kind.
func encode(p Picture, kind gocv.FileExt, params ...int) ([]byte, error) {
	// OpenCV trusts the size and would read past the end.
	p, err := p.Decoded()
	if err != nil {
		return nil, err
	}
	mat, err := gocv.NewMatFromBytes(p.Height, p.Width, gocv.MatTypeCV8UC3, p.BGR)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	defer mat.Close()
	data, err := face.Encode(mat, kind, params...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return data, nil
}

// show returns a file's name for a message, in one line.
func show(path string) string {
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}
