package video

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gocv.io/x/gocv"

	"facestream/internal/wait"
)

const (
	streamLimit    = 10 * time.Second // for opening, and for each picture
	reconnectFirst = 500 * time.Millisecond
	reconnectMost  = 15 * time.Second // between two attempts
	backlog        = 16               // pictures that wait for whoever takes them
)

// errNoPicture is all that OpenCV says of a broken connection, of one on which
// nothing came within the limit, and of a server that has no more to send.
var errNoPicture = errors.New("no picture comes")

// Live is a source that gives pictures when they are taken. Its pictures that
// nobody takes in time make room for newer ones. It may be closed at any time,
// which ends a Next that waits.
type Live interface {
	Source
	Dropped() int64 // how many nobody took in time
}

// stream is a Live source that is opened again when it is lost.
type stream struct {
	where, name string // what OpenCV opens, and how errors call it
	reader      gocv.VideoCaptureAPI
	limit       time.Duration
	note        func(string)

	ctx      context.Context // of everything that Next waits for
	cancel   context.CancelFunc
	pictures chan Picture
	dropped  atomic.Int64
	done     chan struct{} // closed when the decoder has ended
}

// schemes are what a network camera is reached by.
var schemes = []string{"rtsp", "rtsps", "http", "https"}

// ParseURL parses the address of a network camera. Its error does not hold the
// address, and so no password.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	var bad *url.Error
	switch {
	case errors.As(err, &bad):
		return nil, bad.Err
	case err != nil:
		return nil, err
	case !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("a stream's address must begin with %s://", strings.Join(schemes, "://, "))
	case u.Hostname() == "":
		return nil, errors.New("the stream's address has no host")
	}
	return u, nil
}

// OpenURL returns the pictures of a network camera. Once it has given a picture,
// its loss is no error: it is opened again, first after half a second, then ever
// more seldom, until ctx is cancelled or it is closed. Note gets a sentence at
// each loss and each return. RTSP comes over TCP.
func OpenURL(ctx context.Context, address string, note func(string)) (Live, error) {
	u, err := ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("opening the stream: %w", err)
	}
	return openStream(ctx, &stream{where: address, name: u.Redacted(), reader: gocv.VideoCaptureFFmpeg, limit: streamLimit, note: note})
}

// OpenDevice does the same with a camera of this machine, such as /dev/video0.
func OpenDevice(ctx context.Context, path string, note func(string)) (Live, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the camera: %w", err)
	case info.Mode()&os.ModeCharDevice == 0:
		return nil, fmt.Errorf("opening the camera: %s is not a device", path)
	}
	return openStream(ctx, &stream{where: path, name: path, reader: gocv.VideoCaptureV4L2, note: note})
}

// openStream waits for the first picture.
func openStream(ctx context.Context, s *stream) (Live, error) {
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.pictures, s.done = make(chan Picture, backlog), make(chan struct{})
	opened := make(chan error, 1)
	go s.run(opened)
	select {
	case err := <-opened:
		if err != nil {
			s.cancel()
			return nil, fmt.Errorf("opening %s: %w", s.name, err)
		}
		return s, nil
	case <-ctx.Done():
		s.cancel()
		return nil, ctx.Err()
	}
}

// Next waits for the next picture.
func (s *stream) Next() (Picture, error) {
	select {
	case p := <-s.pictures:
		return p, nil
	case <-s.ctx.Done():
		return Picture{}, s.ctx.Err()
	}
}

// Dropped counts the pictures that nobody took in time.
func (s *stream) Dropped() int64 { return s.dropped.Load() }

// Close ends the stream. It does not wait for what OpenCV is doing, which may
// take as long as the limit.
func (s *stream) Close() error {
	s.cancel()
	return nil
}

// run plays the stream until it is closed. Opened gets the outcome of the first
// attempt, which is the only one if it fails.
func (s *stream) run(opened chan<- error) {
	defer close(s.done)
	capture, err := s.open()
	opened <- err
	for err == nil {
		lost := s.play(capture)
		closing := capture.close()
		if s.ctx.Err() != nil {
			return
		}
		if closing != nil {
			lost = fmt.Errorf("%w, and closing it: %w", lost, closing)
		}
		s.note(fmt.Sprintf("%s is lost (%v): opening it again", s.name, lost))
		if capture, err = s.reopen(); err == nil {
			s.note(s.name + " is there again")
		}
	}
}

// open opens the stream and passes its first picture on.
func (s *stream) open() (*capture, error) {
	c, err := openCapture(s.where, s.reader, s.limit, s.name)
	if err != nil {
		return nil, err
	}
	if err := s.pass(c); err != nil {
		_ = c.close() // the cause is the other
		return nil, fmt.Errorf("it can be opened, but not its first picture: %w", err)
	}
	return c, nil
}

// reopen tries to open the stream until it is closed, which is its only error.
func (s *stream) reopen() (*capture, error) {
	for pause := reconnectFirst; ; pause = min(2*pause, reconnectMost) {
		if err := wait.Sleep(s.ctx, pause); err != nil {
			return nil, err
		}
		if c, err := s.open(); err == nil {
			return c, nil
		}
	}
}

// play passes pictures on until there are no more, and returns why.
func (s *stream) play(c *capture) error {
	for s.ctx.Err() == nil {
		if err := s.pass(c); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// pass reads one picture and puts it where Next finds it.
func (s *stream) pass(c *capture) error {
	p, err := c.read()
	switch {
	case errors.Is(err, io.EOF):
		return errNoPicture
	case err != nil:
		return err
	}
	p.Taken = time.Now()
	for {
		select {
		case s.pictures <- p:
			return nil
		default:
		}
		select {
		case <-s.pictures:
			s.dropped.Add(1)
		default: // taken meanwhile
		}
	}
}
