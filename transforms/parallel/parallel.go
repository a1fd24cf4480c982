// Package parallel does work of a DoFn's bundle side by side. What is done is
// emitted by the bundle's goroutine; what is still under way at the bundle's end,
// in FinishBundle.
package parallel

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
)

// Work does the work of a bundle's elements side by side, in goroutines. It
// is used by one goroutine, the bundle's, which alone may emit.
type Work[T any] struct {
	results chan result[T]
	open    int     // work that has begun and whose result was not taken
	source  *Source // of the bundle, or nil

	// For work in order. Nothing else is emitted before the next.
	begun, next int
	held        map[int]T // what is done behind the next
}

type result[T any] struct {
	nth   int
	value T
	err   error
}

// maxHeld is how many results wait for one before them, for each piece of work at a time.
const maxHeld = 8

// New does up to n pieces of work at a time.
func New[T any](n int) *Work[T] {
	// With room for every result, work that nobody waits for any more, as after
	// an error, ends by itself.
	return &Work[T]{results: make(chan result[T], n)}
}

// InOrder is New, but what is done is emitted in the order in which it began.
func InOrder[T any](n int) *Work[T] {
	p := New[T](n)
	p.held = map[int]T{}
	return p
}

// Begin begins work, once there is room for it, and then emits what was done by
// then, so that nothing waits for what an emit does. A panic of the work is an error: in
// a goroutine of its own it would end the process, and with it a driver.
func (p *Work[T]) Begin(work func() (T, error), emit func(T)) error {
	var ready []T
	for p.open == cap(p.results) || len(p.results) > 0 || len(p.held) >= maxHeld*cap(p.results) {
		values, err := p.take()
		if err != nil {
			return err
		}
		ready = append(ready, values...)
	}
	r, source := result[T]{nth: p.begun}, p.source
	p.open++
	p.begun++
	go func() {
		defer func() {
			if panicked := recover(); panicked != nil {
				r.err = fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
			}
			p.results <- r
			source.notify()
		}()
		r.value, r.err = work()
	}()
	for _, value := range ready {
		emit(value)
	}
	return nil
}

// Join has the bundle's Source, if it has one, emit what is done while it waits. Call it
// before Begin.
func (p *Work[T]) Join(ctx context.Context, emit func(T)) {
	mu.Lock()
	s := sources[metrics.GetStore(ctx)]
	mu.Unlock()
	if s == nil || s == p.source {
		return
	}
	p.source = s
	s.emit = append(s.emit, func() error {
		for len(p.results) > 0 {
			if err := p.emitNext(emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// Finish waits for all work and emits what comes of it.
func (p *Work[T]) Finish(emit func(T)) error {
	for p.open > 0 {
		if err := p.emitNext(emit); err != nil {
			return err
		}
	}
	return nil
}

func (p *Work[T]) emitNext(emit func(T)) error {
	values, err := p.take()
	if err != nil {
		return err
	}
	for _, value := range values {
		emit(value)
	}
	return nil
}

// take waits for work to end, and returns what may be emitted then.
func (p *Work[T]) take() (ready []T, err error) {
	r := <-p.results
	p.open--
	if p.held == nil || r.err != nil {
		return []T{r.value}, r.err
	}
	p.held[r.nth] = r.value
	for value, ok := p.held[p.next]; ok; value, ok = p.held[p.next] {
		ready = append(ready, value)
		delete(p.held, p.next)
		p.next++
	}
	return ready, nil
}

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
