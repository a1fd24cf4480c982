package testkit

import (
	"strings"
	"sync"
)

// Notes collects what is said to a person, from any goroutine.
type Notes struct {
	mu    sync.Mutex
	lines []string
}

// Add takes a line.
func (n *Notes) Add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *Notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}
