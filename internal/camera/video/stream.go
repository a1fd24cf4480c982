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

	"facestream/internal/cli"
	"facestream/internal/wait"
)

const (
	streamLimit    = 10 * time.Second // for opening, and for each picture
	reconnectFirst = 500 * time.Millisecond
	reconnectMost  = 15 * time.Second // between two attempts
	backlog        = 16               // pictures that wait for whoever takes them
)

// errNoPicture is what is known of a broken connection, of one on which nothing came
// within the limit, and of a server that has no more to send.
var errNoPicture = errors.New("no picture comes")

// Live is a source that gives pictures when they are taken. Its pictures that
// nobody takes in time make room for newer ones. It may be closed at any time,
// which ends a Next that waits.
type Live interface {
	Source
	Dropped() int64 // how many nobody took in time
}

// player gives the pictures of one connection, and io.EOF when no more come.
type player interface {
	read() (Picture, error)
	close() error
}

// stream is a Live source that is opened again when it is lost.
type stream struct {
	name    string // how errors call it
	connect func(*stream) (player, error)
	giveUp  time.Duration // after so long without a picture; 0 stands for never
	note    func(string)

	ctx      context.Context // of everything that Next waits for
	cancel   context.CancelFunc
	pictures chan Picture
	dropped  atomic.Int64
	unusable bool          // whoever watches knows that there are such pictures
	done     chan struct{} // closed when the decoder has ended
	err      error         // why, once it is closed
}

// schemes are what a network camera is reached by.
var schemes = []string{"rtsp", "rtsps", "http", "https"}

// escapes is what an address can have in a password, and must not have as it is.
const escapes = "in a password write %23 for #, %2F for /, %3F for ?, %40 for @, %25 for %, %20 for a space; an @ behind the host is %40, too"

// ParseURL parses the address of a network camera. Its error holds no part of the address
// but the scheme, since any other may be of a password.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case !slices.Contains(schemes, strings.ToLower(cli.Scheme(address))):
		return nil, fmt.Errorf("a stream's address must begin with %s://", strings.Join(schemes, "://, "))
	case err != nil:
		return nil, fmt.Errorf("it must be SCHEME://USER:PASSWORD@HOST:PORT/PATH; %s", escapes)
	case cli.AmbiguousAddress(address):
		return nil, fmt.Errorf("it has a #, a space, or an @ behind the host, so that it is unclear where a password ends; %s", escapes)
	case u.Hostname() == "":
		return nil, errors.New("the stream's address has no host")
	}
	return u, nil
}

// OpenURL returns the pictures of a network camera. Once it has given a picture,
// its loss is no error: it is opened again, first after half a second, then ever
// more seldom, until ctx is cancelled, it is closed, or it was away for as long as
// giveUp, if that is not 0. Note gets a sentence at each loss and each return. RTSP
// comes over TCP. Motion JPEG over HTTP is not decoded.
func OpenURL(ctx context.Context, address string, giveUp time.Duration, note func(string)) (Live, error) {
	u, err := ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("opening the stream: %w", err)
	}
	name := cli.Address(address)
	return openStream(ctx, &stream{name: name, giveUp: giveUp, note: note, connect: func(s *stream) (player, error) {
		if strings.HasPrefix(strings.ToLower(u.Scheme), "http") {
			m, err := openMJPEG(s, u, streamLimit)
			if err != nil || m != nil {
				return m, err
			}
		}
		return openCapture(address, gocv.VideoCaptureFFmpeg, streamLimit, false, name)
	}})
}

// OpenDevice does the same with a camera of this machine, such as /dev/video0.
func OpenDevice(ctx context.Context, path string, giveUp time.Duration, note func(string)) (Live, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening the camera: %w", err)
	case info.Mode()&os.ModeCharDevice == 0:
		return nil, fmt.Errorf("opening the camera: %s is not a device", path)
	}
	return openStream(ctx, &stream{name: path, giveUp: giveUp, note: note, connect: func(*stream) (player, error) {
		return openCapture(path, gocv.VideoCaptureV4L2, 0, false, path)
	}})
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
	case <-s.done:
	}
	select {
	case p := <-s.pictures:
		return p, nil
	default:
		return Picture{}, s.err
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
	p, err := s.open()
	opened <- err
	for err == nil {
		lost := s.play(p)
		since := time.Now()
		closing := p.close()
		if s.err = s.ctx.Err(); s.err != nil {
			return
		}
		if closing != nil {
			lost = fmt.Errorf("%w, and closing it: %w", lost, closing)
		}
		s.note(fmt.Sprintf("%s is lost (%v): opening it again", s.name, lost))
		if p, err = s.reopen(since); err == nil {
			s.note(s.name + " is there again")
		}
	}
	s.err = err
}

// open opens the stream and passes its first picture on.
func (s *stream) open() (player, error) {
	p, err := s.connect(s)
	if err != nil {
		return nil, err
	}
	if err := s.pass(p); err != nil {
		_ = p.close() // the cause is the other
		return nil, fmt.Errorf("it can be opened, but not its first picture: %w", err)
	}
	return p, nil
}

// reopen tries to open the stream until it is closed, or was away for too long.
func (s *stream) reopen(since time.Time) (player, error) {
	for pause := reconnectFirst; ; pause = min(2*pause, reconnectMost) {
		if s.giveUp > 0 {
			pause = min(pause, max(0, time.Until(since.Add(s.giveUp))))
		}
		if err := wait.Sleep(s.ctx, pause); err != nil {
			return nil, err
		}
		p, err := s.open()
		if err == nil {
			return p, nil
		}
		if s.giveUp > 0 && time.Since(since) >= s.giveUp {
			return nil, fmt.Errorf("%s was away for %v: %w", s.name, s.giveUp, err)
		}
	}
}

// play passes pictures on until there are no more, and returns why.
func (s *stream) play(from player) error {
	for s.ctx.Err() == nil {
		if err := s.pass(from); err != nil {
			return err
		}
	}
	return s.ctx.Err()
}

// pass reads one picture and puts it where Next finds it.
func (s *stream) pass(from player) error {
	p, err := from.read()
	switch {
	case errors.Is(err, io.EOF):
		return errNoPicture
	case err != nil:
		return err
	case p.Taken.IsZero():
		p.Taken = time.Now()
	}
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

// skip counts a picture that came and that nobody can use, and says so of the first.
func (s *stream) skip(err error) {
	if s.dropped.Add(1); !s.unusable {
		s.unusable = true
		s.note(err.Error() + ": such pictures are dropped")
	}
}
