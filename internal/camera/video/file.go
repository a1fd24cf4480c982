package video

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gocv.io/x/gocv"
)

// file is a Source of the frames of a video file.
type file struct {
	capture *capture
	next    Picture // read ahead
	err     error   // why there is no next
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
	capture, err := openCapture(path, gocv.VideoCaptureFFmpeg, 0, path)
	if err != nil {
		return nil, fmt.Errorf("%s is not a video that OpenCV can open: %w", path, err)
	}
	f := &file{capture: capture}
	if f.advance(); errors.Is(f.err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("%s is a video, but its first frame cannot be decoded", path), f.Close())
	}
	return f, nil
}

// Next returns the frame that was read before, and reads one ahead.
func (f *file) Next() (Picture, error) {
	p, err := f.next, f.err
	if err == nil {
		f.advance()
	}
	return p, err
}

// advance reads the next frame. Time never goes back, also where a video says so.
func (f *file) advance() {
	last := f.next.At
	if f.next, f.err = f.capture.read(); f.err == nil {
		f.next.At = max(last, f.capture.position())
	}
}

// Close ends the decoder.
func (f *file) Close() error { return f.capture.close() }

// loop is a Source that plays a video again and again.
type loop struct {
	open     func() (Source, error)
	source   Source
	at, step time.Duration // of the last picture, and since the one before it
	base     time.Duration // where the video began this time
	given    int           // of its pictures, this time
}

// Loop returns the video that open opens, which begins anew at its end.
func Loop(open func() (Source, error)) (Source, error) {
	source, err := open()
	if err != nil {
		return nil, err
	}
	return &loop{open: open, source: source}, nil
}

// Next returns the next picture, or the first after the last.
func (l *loop) Next() (Picture, error) {
	p, err := l.source.Next()
	if errors.Is(err, io.EOF) && l.given > 0 { // else it would go on for ever
		if p, err = l.rewind(); err != nil {
			return Picture{}, err
		}
	}
	if err != nil {
		return Picture{}, err
	}
	p.At += l.base
	l.given++
	l.at, l.step = p.At, p.At-l.at
	return p, nil
}

// rewind opens the video again and returns its first picture, which comes as
// long after the last as that came after the one before it.
func (l *loop) rewind() (Picture, error) {
	if err := l.source.Close(); err != nil {
		return Picture{}, fmt.Errorf("closing the video at its end: %w", err)
	}
	source, err := l.open()
	if err != nil {
		l.source = nil
		return Picture{}, err
	}
	l.source, l.base, l.given = source, l.at+l.step, 0
	return source.Next()
}

// Close closes the video.
func (l *loop) Close() error {
	if l.source == nil {
		return nil
	}
	return l.source.Close()
}
