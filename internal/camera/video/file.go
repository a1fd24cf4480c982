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

// OpenFile returns the frames of a video file that OpenCV can decode, upright and at the
// video's own size. Motion JPEG in AVI, which has an even pace, is not decoded. The file
// may have any name.
func OpenFile(path string) (Source, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the video: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("opening the video: %s is not a file", show(path))
	case isPicture(path):
		return nil, fmt.Errorf("%s is one picture, not a video: give the folder that it is in", show(path))
	}
	for _, packets := range []bool{true, false} {
		if packets && !isRIFF(path) {
			continue
		}
		// Only FFmpeg: OpenCV's other readers take a name with digits for the first
		// of a series of pictures, and write pages about a file that is no video.
		c, err := openCapture("file:"+path, gocv.VideoCaptureFFmpeg, 0, packets, show(path))
		if err != nil {
			if packets {
				continue
			}
			return nil, fmt.Errorf("%s is not a video that OpenCV can open: %w", show(path), err)
		}
		f := &file{capture: c}
		if f.advance(); f.err == nil && packets && f.plain() || !packets && !errors.Is(f.err, io.EOF) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is a video, but its first frame cannot be decoded", show(path))
}

// isRIFF reports whether a file begins as an AVI does.
func isRIFF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, len("RIFF"))
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == "RIFF"
}

// plain reports whether the video's JPEGs are its pictures: not fields of half the height,
// and not to be turned.
func (f *file) plain() bool {
	return f.next.Height == int(f.capture.get(gocv.VideoCaptureFrameHeight)) && f.capture.rotation() == 0
}

// Next returns the frame that was read before, and reads one ahead.
func (f *file) Next() (Picture, error) {
	p, err := f.next, f.err
	if _, unusable := errors.AsType[Unusable](err); err == nil || unusable {
		f.advance()
	}
	return p, err
}

// advance reads the next frame. Time never goes back, also where a video says so.
func (f *file) advance() {
	last := f.next.At
	f.next, f.err = f.capture.read()
	f.next.At = max(last, f.capture.position())
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
