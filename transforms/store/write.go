package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/opaque"
	"facestream/transforms/parallel"
)

func init() {
	beam.RegisterType(reflect.TypeFor[writeFn]())
	opaque.Register[Entry]()
	opaque.Register[Written]()
}

// writers is how many files one bundle writes at a time. Most of the time that a small
// file takes is waiting for the NameNode and for the DataNode's report. BenchmarkSink
// measures 1, 4 and 16.
const writers = 4

// Write stores the files of PCollection<Entry> and returns a
// PCollection<Written> with one element for each Entry, once all its files have
// their final names. A file of that name is replaced. An error names the record
// and the file, and fails the bundle.
//
// Several files are written at a time, so what is still under way when a bundle
// ends is waited for, and emitted, in FinishBundle. Every element is in the
// global window, where that makes no difference.
func Write(s beam.Scope, cfg Config, entries beam.PCollection) beam.PCollection {
	s = s.Scope("store.Write")
	filesystem.ValidateScheme(cfg.Root)
	return beam.ParDo(s, &writeFn{Config: cfg}, entries)
}

type writeFn struct {
	Config Config

	writes *parallel.Work[Written]
}

func (fn *writeFn) StartBundle(func(Written)) { fn.writes = parallel.New[Written](writers) }

func (fn *writeFn) ProcessElement(ctx context.Context, e Entry, emit func(Written)) error {
	return fn.writes.Begin(func() (Written, error) { return fn.write(ctx, e) }, emit)
}

func (fn *writeFn) write(ctx context.Context, e Entry) (Written, error) {
	w := Written{Tally: e.Tally}
	for _, f := range e.Files {
		if err := fn.Config.put(ctx, f.Name, f.Data); err != nil {
			return Written{}, fmt.Errorf("%s: %w", e.ID, err)
		}
		if w.Files == 0 {
			w.FirstMillis, w.Picture = time.Now().UnixMilli(), f.Name
		}
		w.Files++
		w.Bytes += int64(len(f.Data))
	}
	tell(fn.Config.Run, ledgerOfWritten(w))
	return w, nil
}

func (fn *writeFn) FinishBundle(emit func(Written)) error { return fn.writes.Finish(emit) }

// Forget removes the files about a record, pictures and those of a reject, as far as they are
// there. Its events and rows go with their window.
func Forget(ctx context.Context, cfg Config, n Name) error {
	names := []string{n.Path(), n.AnnotatedPath(), n.RejectPath(), n.KeptPath()}
	for face := 1; ; face++ {
		name := n.FacePath(face)
		_, err := cfg.Size(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return cfg.remove(ctx, names...)
		}
		if err != nil {
			return err
		}
		names = append(names, name)
	}
}
