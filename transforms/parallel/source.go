package parallel

import (
	"context"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
)

// Source is a DoFn that stays in one element for long, and emits from time to time. While
// it waits, no other function of its bundle runs, and what is done would wait, too. So it
// emits that when Done says so. It and its bundle are one goroutine.
type Source struct {
	bundle *metrics.Store
	done   chan struct{}
	emit   []func() error
}

var (
	mu sync.Mutex
	// sources are those of the bundles of this process. Of all that Beam gives to the
	// functions of a bundle, only the store of metrics is the same for all of them, and of
	// no other bundle.
	sources = map[*metrics.Store]*Source{}
)

// NewSource returns the source of the bundle that ctx is of. The caller closes it before
// the element ends.
func NewSource(ctx context.Context) *Source {
	s := &Source{bundle: metrics.GetStore(ctx), done: make(chan struct{}, 1)}
	mu.Lock()
	defer mu.Unlock()
	sources[s.bundle] = s
	return s
}

// Done has an element when Emit may have something to do.
func (s *Source) Done() <-chan struct{} { return s.done }

func (s *Source) notify() {
	if s == nil {
		return
	}
	select {
	case s.done <- struct{}{}:
	default: // it knows already
	}
}

// Emit emits what is done of the bundle's work.
func (s *Source) Emit() error {
	for _, emit := range s.emit {
		if err := emit(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends it. What is under way is left to the work itself.
func (s *Source) Close() {
	mu.Lock()
	defer mu.Unlock()
	delete(sources, s.bundle)
}
