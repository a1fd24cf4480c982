package store

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// writers is how many files one bundle writes at a time. Most of a small file's
// time in HDFS is waiting, for the NameNode and for the DataNode's report.
// BenchmarkSink measures 1, 4 and 16.
const writers = 4

// sink is what a DoFn that stores files holds for a bundle: T says what was
// stored.
type sink[T any] struct {
	fs     filesystem.Interface
	writes *parallel[T]
}

func (s *sink[T]) open(ctx context.Context, cfg Config) (err error) {
	s.writes = newParallel[T](writers)
	s.fs, err = filesystem.New(ctx, cfg.Root)
	return err
}

// close waits for what is under way.
func (s *sink[T]) close(emit func(T)) error {
	if err := s.writes.finish(emit); err != nil {
		return err
	}
	return s.fs.Close()
}

// parallel does the work of a bundle's elements side by side, in goroutines. It
// is used by one goroutine, the bundle's, which alone may emit.
type parallel[T any] struct {
	results chan result[T]
	open    int // work that has begun and whose result was not taken
}

type result[T any] struct {
	value T
	err   error
}

// newParallel does up to n pieces of work at a time.
func newParallel[T any](n int) *parallel[T] {
	// With room for every result, work that nobody waits for any more, as after
	// an error, ends by itself.
	return &parallel[T]{results: make(chan result[T], n)}
}

// begin begins work, once there is room for it, and emits what is done by then.
func (p *parallel[T]) begin(work func() (T, error), emit func(T)) error {
	for p.open == cap(p.results) {
		if err := p.take(<-p.results, emit); err != nil {
			return err
		}
	}
	for {
		select {
		case r := <-p.results:
			if err := p.take(r, emit); err != nil {
				return err
			}
			continue
		default:
		}
		break
	}
	p.open++
	go func() {
		value, err := work()
		p.results <- result[T]{value, err}
	}()
	return nil
}

// finish waits for all work and emits what comes of it.
func (p *parallel[T]) finish(emit func(T)) error {
	for p.open > 0 {
		if err := p.take(<-p.results, emit); err != nil {
			return err
		}
	}
	return nil
}

func (p *parallel[T]) take(r result[T], emit func(T)) error {
	p.open--
	if r.err == nil {
		emit(r.value)
	}
	return r.err
}
