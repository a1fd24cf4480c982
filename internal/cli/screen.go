package cli

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	eraseLine    = "\r\x1b[K"
	defaultWidth = 80
)

// Screen is a terminal whose last line is a status that is renewed. What is written to
// it scrolls by above.
type Screen struct {
	out    file
	mu     sync.Mutex
	status string
}

type file interface {
	io.Writer
	Fd() uintptr
}

// NewScreen returns nil unless out is a terminal that can move its cursor.
func NewScreen(out io.Writer) *Screen {
	file, ok := out.(file)
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &Screen{out: file}
}

// Write writes whole lines.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == "" {
		return s.out.Write(p)
	}
	if _, err := io.WriteString(s.out, eraseLine+string(p)+s.fitting()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetStatus shows a text of ASCII in place of the one before; an empty one removes it.
func (s *Screen) SetStatus(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == "" && text == "" {
		return
	}
	s.status = text
	_, _ = io.WriteString(s.out, eraseLine+s.fitting()) // nobody may look any more
}

// fitting is as much of the status as is not wrapped, whatever became of the window.
func (s *Screen) fitting() string {
	width := defaultWidth
	if size, err := unix.IoctlGetWinsize(int(s.out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		width = int(size.Col)
	}
	return s.status[:min(len(s.status), width-1)]
}
