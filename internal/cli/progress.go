package cli

import (
	"fmt"
	"io"
	"time"
)

// progressEvery is how often long work says how far it is.
const progressEvery = 2 * time.Second

// Progress tells a person that something goes on.
type Progress struct {
	out  io.Writer
	last time.Time
}

// NewProgress returns a Progress of work that begins now.
func NewProgress(out io.Writer) *Progress { return &Progress{out, time.Now()} }

// Say prints a line, unless one was printed just now.
func (p *Progress) Say(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		fmt.Fprintf(p.out, format+"\n", args...)
	}
}
