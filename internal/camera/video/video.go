// Package video gives pictures to send: the demo with faces at known places, a
// video file, a folder of pictures, a network camera, or a camera of this machine.
package video

import (
	"errors"
	"fmt"
	"time"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

// JPEGQuality is that of a usual network camera.
const JPEGQuality = 90

const (
	pngCompression = 1 // of 9: more takes much longer and gains little with pictures of a camera
	bytesPerPixel  = 3
)

// Picture is one picture of a video.
type Picture struct {
	Name          string       // where it comes from, for error messages
	Width, Height int          // pixels
	BGR           []byte       // Width*Height*3 bytes: rows top down, pixels blue, green, red
	JPEG          []byte       // the file that the picture came from, where that can be sent as it is; else nil
	Faces         []record.Box // where the faces are, where the source knows it

	At    time.Duration // since the beginning of a video file
	Taken time.Time     // when a live source gave it; else zero
}

// Source is a video. Next returns the pictures one after another and io.EOF
// after the last. What it returned stays valid. Neither method may be called
// by two goroutines at once.
type Source interface {
	Next() (Picture, error)
	Close() error
}

// Check reports whether the picture can be sent: its size is within the limits of
// package frame, and it has exactly the pixels that its size says.
func (p Picture) Check() error {
	if err := frame.CheckSize(p.Width, p.Height); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	if want := p.Width * p.Height * bytesPerPixel; len(p.BGR) != want {
		return fmt.Errorf("%s: %d bytes, but %dx%d pixels take %d", p.Name, len(p.BGR), p.Width, p.Height, want)
	}
	return nil
}

// EncodeJPEG returns the picture as a JPEG file: the source's own bytes where
// it has them, else newly encoded at JPEGQuality.
func EncodeJPEG(p Picture) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.JPEG != nil {
		return p.JPEG, nil
	}
	return EncodeJPEGAt(p, JPEGQuality)
}

// EncodeJPEGAt returns the picture newly encoded as a JPEG file of a quality of
// 1 to 100.
func EncodeJPEGAt(p Picture, quality int) ([]byte, error) {
	return encode(p, gocv.JPEGFileExt, []int{gocv.IMWriteJpegQuality, quality})
}

// EncodePNG returns the picture newly encoded as a PNG file of three bytes a
// pixel.
func EncodePNG(p Picture) ([]byte, error) {
	return encode(p, gocv.PNGFileExt, []int{gocv.IMWritePngCompression, pngCompression})
}

// encode returns the picture as a file of the kind.
func encode(p Picture, kind gocv.FileExt, params []int) ([]byte, error) {
	// OpenCV trusts the size and would read past the end.
	if err := p.Check(); err != nil {
		return nil, err
	}
	mat, err := gocv.NewMatFromBytes(p.Height, p.Width, gocv.MatTypeCV8UC3, p.BGR)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", p.Name, err)
	}
	defer mat.Close()
	buf, err := gocv.IMEncodeWithParams(kind, mat, params)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", p.Name, err)
	}
	defer buf.Close()
	if buf.Len() == 0 {
		return nil, errors.New("encoding " + p.Name + ": OpenCV gave no bytes")
	}
	return append([]byte(nil), buf.GetBytes()...), nil
}

// OpenCVVersion is the version of OpenCV that this program was compiled with.
func OpenCVVersion() string { return gocv.OpenCVVersion() }
