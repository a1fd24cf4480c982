package testkit

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal, and what programs write to it.
type Terminal struct {
	*os.File // of the programs' side

	mu   sync.Mutex
	text strings.Builder
}

// NewTerminal opens a pseudo-terminal of so many columns.
func NewTerminal(t testing.TB, columns uint16) *Terminal {
	t.Helper()
	other := Value(os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0))(t)
	Must(t, unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0))
	n := Value(unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN))(t)
	own := Value(os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0))(t)
	terminal := &Terminal{File: own}
	terminal.Resize(t, columns)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, 4096)
		for {
			n, err := other.Read(buffer)
			if err != nil { // the other side is closed
				return
			}
			terminal.mu.Lock()
			terminal.text.Write(buffer[:n])
			terminal.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		own.Close()
		<-ended
		other.Close()
	})
	return terminal
}

// Resize gives the terminal another width.
func (t *Terminal) Resize(tb testing.TB, columns uint16) {
	tb.Helper()
	Must(tb, unix.IoctlSetWinsize(int(t.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
}

// Lines returns what a person sees: the lines that stay, and behind them the one that the
// cursor is in.
func (t *Terminal) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(t.text.String(), "\r\n")
	for i, line := range lines {
		lines[i] = line[strings.LastIndex(line, "\r\x1b[K")+1:]
		lines[i] = strings.TrimPrefix(lines[i], "\x1b[K")
	}
	return lines
}
