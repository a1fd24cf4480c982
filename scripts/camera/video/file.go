package video

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gocv.io/x/gocv"
)

// file gives the frames of a video file.
type file struct {
	path    string
	capture *gocv.VideoCapture
	mat     gocv.Mat // the next frame, or empty at the end
	next    int
}

// OpenFile returns the frames of a video file that OpenCV can decode, at the
// video's own size.
func OpenFile(path string) (Source, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the video: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("opening the video: %s is not a file", path)
	case isPicture(path):
		return nil, fmt.Errorf("%s is one picture, not a video: give the folder that it is in", path)
	}
	// Only FFmpeg: OpenCV's other readers take a name with digits for the first
	// of a series of pictures, and write pages about a file that is no video.
	capture, err := gocv.VideoCaptureFileWithAPI(path, gocv.VideoCaptureFFmpeg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is not a video that OpenCV can open", path), capture.Close())
	}
	f := &file{path: path, capture: capture, mat: gocv.NewMat()}
	if !f.capture.Read(&f.mat) {
		return nil, errors.Join(fmt.Errorf("%s is a video, but its first frame cannot be decoded", path), f.Close())
	}
	return f, nil
}

// Next returns the frame that was read before, and reads one ahead.
func (f *file) Next() (Picture, error) {
	if f.mat.Empty() {
		return Picture{}, io.EOF
	}
	p := Picture{Name: fmt.Sprintf("frame %d of %s", f.next, f.path), Width: f.mat.Cols(), Height: f.mat.Rows()}
	if err := checkSize(p.Width, p.Height); err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", p.Name, err)
	}
	if f.mat.Type() != gocv.MatTypeCV8UC3 {
		return Picture{}, fmt.Errorf("reading %s: its pixels are not 8 bit blue, green and red", p.Name)
	}
	p.BGR = f.mat.ToBytes() // a copy
	f.next++
	if !f.capture.Read(&f.mat) {
		f.mat.Close()
		f.mat = gocv.NewMat()
	}
	return p, nil
}

// Close ends the decoder.
func (f *file) Close() error {
	return errors.Join(f.mat.Close(), f.capture.Close())
}
