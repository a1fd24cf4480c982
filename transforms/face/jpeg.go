package face

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"gocv.io/x/gocv"

	"facestream/internal/cxx"
	"facestream/transforms/frame"
)

// corruptJPEG is what TurboJPEG has to say against a JPEG.
type corruptJPEG struct{ error }

// Reject returns the Reject that an error of Detector.Detect stands for, and nil if
// the frame is not to blame for it.
func Reject(cfg frame.Config, f frame.Frame, err error) *frame.Reject {
	if corrupt, ok := errors.AsType[corruptJPEG](err); ok {
		return f.Reject(cfg, frame.CorruptJPEG, "decoding the JPEG: "+corrupt.Error())
	}
	return nil
}

// Check returns the Reject that Detect would give for a frame, if any.
func Check(cfg frame.Config, f frame.Frame) *frame.Reject {
	m, err := greyMat(f)
	if err != nil {
		return Reject(cfg, f, err)
	}
	m.Close()
	return nil
}

// Pixels returns a JPEG or a PNG of three colours or four, upright: Width*Height*3 bytes,
// rows top down, pixels blue, green, red.
func Pixels(f frame.Frame) (bgr []byte, width, height int, err error) {
	m, err := decodeFile(f, gocv.IMReadColor)
	if err != nil {
		return nil, 0, 0, err
	}
	defer m.Close()
	return m.ToBytes(), m.Cols(), m.Rows(), nil
}

// exifMark is how the segment of a JPEG begins that may say which way is up, by a number
// behind a tag. Of the eight numbers 1 stands for a picture that is upright.
const (
	exifMark     = "Exif\x00"
	exifTag      = 0x0112
	exifValueAt  = 8 // bytes behind the tag's beginning
	exifUpright  = 1
	orientations = 8
)

// mayBeTurned reports whether a JPEG may say that it is not upright. OpenCV reads the
// tag, and this only spares it the decoding of a picture that has none.
func mayBeTurned(data []byte) bool {
	if !bytes.Contains(data, []byte(exifMark)) {
		return false
	}
	for _, order := range []binary.ByteOrder{binary.BigEndian, binary.LittleEndian} {
		tag := make([]byte, 2)
		order.PutUint16(tag, exifTag)
		for rest := data; ; rest = rest[len(tag):] {
			at := bytes.Index(rest, tag)
			if at < 0 || len(rest) < at+exifValueAt+len(tag) {
				break
			}
			rest = rest[at:]
			if n := order.Uint16(rest[exifValueAt:]); n > exifUpright && n <= orientations {
				return true
			}
		}
	}
	return false
}

// jpegEnd is the marker of a JPEG's end, which many embedded cameras leave out.
var jpegEnd = []byte{0xFF, 0xD9}

// complete returns the file with the marker of its end, if it is a JPEG. One that is cut
// short anywhere else has other faults, too.
func complete(f frame.Frame) []byte {
	if f.Format != frame.JPEG || bytes.HasSuffix(f.Data, jpegEnd) {
		return f.Data
	}
	return slices.Concat(f.Data, jpegEnd)
}

// decodeJPEG returns a JPEG as grey as OpenCV decodes it, whose pixels are TurboJPEG's, or
// in blue, green and red. It has so many eighths of its size (1, 2, 4 or 8), or all if EXIF
// data say which way is up. The error is a corruptJPEG if a part is missing or contradicts
// another.
func decodeJPEG(f frame.Frame, flag gocv.IMReadFlag, eighths int) (gocv.Mat, error) {
	if !frame.HasMagic(frame.JPEG, f.Data) || frame.CheckSize(int(f.Width), int(f.Height)) != nil {
		return gocv.Mat{}, fmt.Errorf("the frame is said to be a JPEG of %dx%d pixels and is none", f.Width, f.Height)
	}
	data := complete(f)
	var colour C.int
	if flag == gocv.IMReadColor {
		colour = 1
	}
	m := gocv.NewMat()
	var fault *C.char
	err := cxx.Error(unsafe.Pointer(C.face_decode_jpeg(unsafe.Pointer(&data[0]), C.size_t(len(data)),
		C.int(f.Width), C.int(f.Height), colour, C.int(eighths), unsafe.Pointer(m.Ptr()), &fault)))
	if corrupt := cxx.Error(unsafe.Pointer(fault)); corrupt != nil {
		err = corruptJPEG{corrupt}
	}
	if err != nil {
		m.Close()
		return gocv.Mat{}, fmt.Errorf("decoding the JPEG: %w", err)
	}
	if !mayBeTurned(f.Data) {
		return m, nil
	}
	upright, err := gocv.IMDecode(data, flag)
	if err != nil || upright.Empty() {
		return m, nil
	}
	m.Close()
	return upright, nil
}
