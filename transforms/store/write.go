package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/record"
	"facestream/transforms/opaque"
	"facestream/transforms/parallel"
	"facestream/transforms/store/table"
)

func init() {
	beam.RegisterType(reflect.TypeFor[writeFn]())
	opaque.Register[Entry]()
	opaque.Register[Written]()
}

// writers is how many files one bundle writes at a time. Most of the time that a small
// file takes is waiting for the NameNode and for the DataNode's report.
const writers = 4

// File is one file to be stored.
type File struct {
	Name string // path below the root, as Name.Path gives it
	Data []byte
}

// Tally is what the ledger counts of one record, beside its files.
type Tally struct {
	record.ID
	TimestampMillis int64 // of the record; the latest picture is chosen by it
	Size            int64 // bytes of the record's value
	Camera          string
	Rejected        string  // the reason why the record gave no frame; empty for a frame
	DetectMillis    float64 // how long detection took
	Faces           int32
	Cooled          bool     // it has faces and no files: they were stored before
	Events          []string // JSON objects of one line, one for each face
	Slots           []Slot   // in which it is the one that was kept; none without max_fps and cooldown
}

// Entry holds all files of one frame, or a row with the same pictures, or the files about
// a reject; a frame without a face has none. There is one Entry for every record, so that
// counting entries counts records.
type Entry struct {
	Tally
	Files []File
	Row   *table.Row // for WriteRows
}

// Written says what is now in the file system for one record. There is one
// Written for every Entry.
type Written struct {
	Tally
	Files       int32   // of a row, its pictures
	Bytes       int64   // of the files
	FirstMillis int64   // when the first file got its final name, since 1970; 0 without files
	Picture     string  // the first file's name below the root; empty without files
	Tables      []Table // with the first row of each
}

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

// watchers are called by stages in this process, by Config.Run.
var watchers sync.Map

// Watch calls seen with the ledger of each record that a stage in this process has stored
// or rejected for the run, as soon as it has and at every attempt; without offsets. Stages
// in other processes are not seen. Calls come from several goroutines at a time.
func Watch(cfg Config, seen func(Ledger)) (stop func()) {
	watchers.Store(cfg.Run, seen)
	return func() { watchers.Delete(cfg.Run) }
}

func tell(run string, l Ledger) {
	if seen, ok := watchers.Load(run); ok {
		seen.(func(Ledger))(l.Counts())
	}
}
