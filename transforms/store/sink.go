package store

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/parallel"
)

// writers is how many files one bundle writes at a time. Most of the time that a small
// file takes is waiting for the NameNode and for the DataNode's report. BenchmarkSink
// measures 1, 4 and 16.
const writers = 4

// sink is what a DoFn that stores files holds for a bundle. T describes what was
// stored.
type sink[T any] struct {
	fs     filesystem.Interface
	writes *parallel.Work[T]
}

func (s *sink[T]) open(ctx context.Context, cfg Config) (err error) {
	s.writes = parallel.New[T](writers)
	s.fs, err = filesystem.New(ctx, cfg.Root)
	return err
}

// close waits for what is under way.
func (s *sink[T]) close(emit func(T)) error {
	if err := s.writes.Finish(emit); err != nil {
		return err
	}
	return s.fs.Close()
}
