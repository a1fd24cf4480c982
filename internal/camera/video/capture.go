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

	"facestream/internal/cxx"
	"facestream/transforms/frame"

	"gocv.io/x/gocv"
)

// maxMillis is what a time.Duration holds, in milliseconds.
const maxMillis = float64(math.MaxInt64 / time.Millisecond)

// capture is one opened video. It serves one goroutine at a time.
type capture struct {
	name   string // for error messages
	handle unsafe.Pointer
	mat    gocv.Mat // the picture that was read last
	count  int      // of pictures read
}

// openCapture opens a file, URL or device through one of OpenCV's readers. FFmpeg
// gives up opening, and later each picture, after the limit, if that is not 0.
// The name is how errors call the video.
func openCapture(where string, reader gocv.VideoCaptureAPI, limit time.Duration, name string) (*capture, error) {
	text := C.CString(where)
	defer C.free(unsafe.Pointer(text))
	c := &capture{name: name}
	if err := cxx.Error(unsafe.Pointer(C.video_open(text, C.int(reader), C.int(limit.Milliseconds()), &c.handle))); err != nil {
		return nil, err
	}
	c.mat = gocv.NewMat()
	return c, nil
}

// read returns the next picture, and io.EOF when there is none.
func (c *capture) read() (Picture, error) {
	p := Picture{Name: fmt.Sprintf("frame %d of %s", c.count, c.name)}
	if err := cxx.Error(unsafe.Pointer(C.video_read(c.handle, unsafe.Pointer(c.mat.Ptr())))); err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", p.Name, err)
	}
	if c.mat.Empty() {
		return Picture{}, io.EOF
	}
	p.Width, p.Height = c.mat.Cols(), c.mat.Rows()
	if err := frame.CheckSize(p.Width, p.Height); err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", p.Name, err)
	}
	if c.mat.Type() != gocv.MatTypeCV8UC3 {
		return Picture{}, fmt.Errorf("reading %s: its pixels are not 8 bit blue, green and red", p.Name)
	}
	p.BGR = c.mat.ToBytes() // a copy
	c.count++
	return p, nil
}

// position returns how long after the video's beginning the picture that was
// read last comes, and 0 where the video does not say so.
func (c *capture) position() time.Duration {
	var position C.double
	err := cxx.Error(unsafe.Pointer(C.video_position(c.handle, &position)))
	ms := float64(position)
	if err != nil || !(ms > 0 && ms < maxMillis) { // not NaN either
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// close ends the decoder.
func (c *capture) close() error {
	return errors.Join(c.mat.Close(), cxx.Error(unsafe.Pointer(C.video_close(c.handle))))
}
