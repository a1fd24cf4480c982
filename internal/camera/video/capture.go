package video

/*
#cgo pkg-config: opencv4
#cgo CXXFLAGS: -std=c++11 -I${SRCDIR}/../../cxx
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unsafe"

	"facestream/internal/cli"
	"facestream/internal/cxx"
	"facestream/transforms/frame"

	"gocv.io/x/gocv"
)

// orientationMeta is CAP_PROP_ORIENTATION_META, which gocv 0.31 does not name.
const orientationMeta gocv.VideoCaptureProperties = 48

// maxMillis is what a time.Duration holds, in milliseconds.
const maxMillis = float64(math.MaxInt64 / time.Millisecond)

// capture is one opened video. It serves one goroutine at a time.
type capture struct {
	name    string // for error messages
	handle  unsafe.Pointer
	packets bool     // pictures are read as JPEGs, not decoded
	mat     gocv.Mat // the picture that was read last
	count   int      // of pictures read
}

// openCapture opens a file, URL or device through one of OpenCV's readers. FFmpeg
// gives up opening, and later each picture, after the limit, if that is not 0.
// The name is how errors call the video.
func openCapture(where string, reader gocv.VideoCaptureAPI, limit time.Duration, packets bool, name string) (*capture, error) {
	text := C.CString(where)
	defer C.free(unsafe.Pointer(text))
	c := &capture{name: name, packets: packets}
	raw := C.int(0)
	if packets {
		raw = 1
	}
	if err := cxx.Error(unsafe.Pointer(C.video_open(text, C.int(reader), C.int(limit.Milliseconds()), raw, &c.handle))); err != nil {
		return nil, errors.New(cli.Redact(err.Error()))
	}
	c.mat = gocv.NewMat()
	return c, nil
}

// read returns the next picture, upright, and io.EOF when there is none.
func (c *capture) read() (Picture, error) {
	name := fmt.Sprintf("frame %d of %s", c.count, c.name)
	if err := cxx.Error(unsafe.Pointer(C.video_read(c.handle, unsafe.Pointer(c.mat.Ptr())))); err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if c.mat.Empty() {
		return Picture{}, io.EOF
	}
	c.count++
	if c.packets {
		return open(name, c.mat.ToBytes())
	}
	if err := frame.CheckSize(c.mat.Cols(), c.mat.Rows()); err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if c.mat.Type() != gocv.MatTypeCV8UC3 {
		return Picture{}, fmt.Errorf("reading %s: its pixels are not 8 bit blue, green and red", name)
	}
	if flag, ok := turns[c.rotation()]; ok {
		gocv.Rotate(c.mat, &c.mat, flag)
	}
	return Picture{Name: name, Width: c.mat.Cols(), Height: c.mat.Rows(), BGR: c.mat.ToBytes()}, nil // a copy
}

// turns are what makes a picture upright, by the degrees that a file says.
var turns = map[int]gocv.RotateFlag{
	90: gocv.Rotate90CounterClockwise, 180: gocv.Rotate180Clockwise, 270: gocv.Rotate90Clockwise,
}

// rotation returns by how many degrees the video has to be turned counterclockwise, as
// the file says. So FFmpeg has it, and OpenCV 4.6 takes it for clockwise.
func (c *capture) rotation() int { return int(c.get(orientationMeta)) }

// position returns how long after the video's beginning the picture that was
// read last comes, and 0 where the video does not say so.
func (c *capture) position() time.Duration {
	ms := c.get(gocv.VideoCapturePosMsec)
	if c.packets { // of which OpenCV does not say when they are due
		ms = float64(c.count-1) / c.get(gocv.VideoCaptureFPS) * 1000
	}
	if !(ms > 0 && ms < maxMillis) { // not NaN either
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// get returns one of OpenCV's properties, and 0 if it has none of that name.
func (c *capture) get(property gocv.VideoCaptureProperties) float64 {
	var value C.double
	if cxx.Error(unsafe.Pointer(C.video_get(c.handle, C.int(property), &value))) != nil {
		return 0
	}
	return float64(value)
}

// close ends the decoder.
func (c *capture) close() error {
	return errors.Join(c.mat.Close(), cxx.Error(unsafe.Pointer(C.video_close(c.handle))))
}
