package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"path"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/parallel"
	"facestream/transforms/store/table"
)

func init() {
	beam.RegisterType(reflect.TypeFor[rowsFn]())
}

// How pictures are stored, as --store says it.
const (
	Files   = "files"
	Parquet = "parquet"
)

// Stores are all of these.
var Stores = []string{Files, Parquet}

const (
	// tableFolder holds pictures as rows, below the root.
	tableFolder    = "_pictures"
	tableExtension = ".parquet"
	tableHour      = "2006-01-02/15"
	tableMark      = "+" // behind the window in a table's name

	// tableBytes of pictures make a table of a worker. It holds them in memory, and once
	// more while it writes them and gathers the next.
	tableBytes = 8 << 20
	tableRows  = 10_000 // at most, with small pictures
)

// Table is a file of pictures as rows. Its name is that which it has once it is published;
// before, its base is the name of a file in the run's temporary folder, and then in that
// of the book.
type Table struct {
	File  string `json:"file"`  // below the root
	Rows  int64  `json:"rows"`  // that count, the first ones
	Bytes int64  `json:"bytes"` // of the file
}

// Hour returns the hour of the records in a table; those of an undated one have none.
func (t Table) Hour() (hour time.Time, dated bool) {
	hour, err := time.Parse(tableFolder+"/"+tableHour, path.Dir(t.File))
	return hour, err == nil
}

// WriteRows is Write for entries with rows: it stores them as tables of the window, for
// Book.Keep. A table has rows of one bundle and one hour, and up to tableBytes of
// pictures. What a bundle holds is written at its end.
func WriteRows(s beam.Scope, cfg Config, window string, entries beam.PCollection) beam.PCollection {
	s = s.Scope("store.WriteRows")
	filesystem.ValidateScheme(cfg.Root)
	return beam.ParDo(s, &rowsFn{Config: cfg, Window: window}, entries)
}

type rowsFn struct {
	Config Config
	Window string

	writes *parallel.Work[[]Written]
	held   []Entry
	bytes  int64
}

func (fn *rowsFn) StartBundle(func(Written)) {
	fn.writes, fn.held, fn.bytes = parallel.New[[]Written](1), nil, 0
}

func (fn *rowsFn) ProcessElement(ctx context.Context, e Entry, emit func(Written)) error {
	if e.Row == nil {
		w := Written{Tally: e.Tally}
		tell(fn.Config.Run, ledgerOfWritten(w))
		emit(w)
		return nil
	}
	e.Row.Complete()
	fn.held = append(fn.held, e)
	for _, p := range PicturesOf(e.Row) {
		fn.bytes += p.Bytes
	}
	if fn.bytes < tableBytes && len(fn.held) < tableRows {
		return nil
	}
	return fn.flush(ctx, emit)
}

func (fn *rowsFn) FinishBundle(ctx context.Context, emit func(Written)) error {
	if err := fn.flush(ctx, emit); err != nil {
		return err
	}
	return fn.writes.Finish(each(emit))
}

func each[T any](emit func(T)) func([]T) {
	return func(all []T) {
		for _, one := range all {
			emit(one)
		}
	}
}

func (fn *rowsFn) flush(ctx context.Context, emit func(Written)) error {
	folders := map[string][]Entry{}
	for _, e := range fn.held {
		folder := TableFolder(NameOf(e.Row).Path())
		folders[folder] = append(folders[folder], e)
	}
	fn.held, fn.bytes = nil, 0
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		entries := folders[folder]
		if err := fn.writes.Begin(func() ([]Written, error) { return fn.write(ctx, folder, entries) }, each(emit)); err != nil {
			return err
		}
	}
	return nil
}

func (fn *rowsFn) write(ctx context.Context, folder string, entries []Entry) ([]Written, error) {
	rows := make([]table.Row, len(entries))
	for i, e := range entries {
		rows[i] = *e.Row
	}
	t := Table{File: path.Join(folder, fn.Window+tableMark+rand.Text()+tableExtension), Rows: int64(len(rows))}
	var err error
	if t.Bytes, err = fn.Config.putFrom(ctx, pending(fn.Config, path.Base(t.File)), func(w io.Writer) error { return table.Write(w, rows) }); err != nil {
		return nil, fmt.Errorf("%s and %d other records: %w", entries[0].ID, len(entries)-1, err)
	}
	now := time.Now().UnixMilli()
	written := make([]Written, len(entries))
	for i, e := range entries {
		pictures := PicturesOf(e.Row)
		written[i] = Written{Tally: e.Tally, Files: int32(len(pictures)), FirstMillis: now, Picture: pictures[0].Name}
		for _, p := range pictures {
			written[i].Bytes += p.Bytes
		}
		tell(fn.Config.Run, ledgerOfWritten(written[i]))
	}
	written[0].Tables = []Table{t}
	return written, nil
}

// Picture is one of a row.
type Picture struct {
	Name  string // that it has as a file
	Kind  Kind
	Face  int // the number of the face that it shows, from 1, if it is a KindFace
	Bytes int64
	Data  []byte // nil of a row that was read without its pictures
}

// Read reads the picture from a row of a table.
func (p Picture) Read(t *table.File, row int64) ([]byte, error) {
	switch p.Kind {
	case KindPicture:
		return t.Picture(row)
	case KindAnnotated:
		return t.Annotated(row)
	}
	crops, err := t.Crops(row)
	if err == nil && len(crops) < p.Face {
		err = fmt.Errorf("row %d has %d crops, and not %d", row, len(crops), p.Face)
	}
	if err != nil {
		return nil, err
	}
	return crops[p.Face-1], nil
}

// ParsePicture is the way back from the name of a picture below the root. base is what the
// names of all pictures of the record begin with.
func ParsePicture(name string) (p Picture, base string, ok bool) {
	kind, _ := KindOf(name)
	if kind != KindPicture && kind != KindAnnotated && kind != KindFace {
		return p, "", false
	}
	base, _, face := cutExtension(name)
	return Picture{Name: name, Kind: kind, Face: face}, base, true
}

// NameOf returns what the names of a row's pictures say.
func NameOf(row *table.Row) Name {
	return Name{ID: row.ID, Camera: row.Camera, TimestampMillis: row.TimestampMillis}
}

// PicturesOf returns what pictures a row has, in the order in which they would be files.
func PicturesOf(row *table.Row) (all []Picture) {
	name := NameOf(row)
	add := func(path string, kind Kind, face int, bytes int32, data []byte) {
		if bytes > 0 {
			all = append(all, Picture{path, kind, face, int64(bytes), data})
		}
	}
	add(name.Path(), KindPicture, 0, row.PictureBytes, row.Picture)
	add(name.AnnotatedPath(), KindAnnotated, 0, row.AnnotatedBytes, row.Annotated)
	for i, f := range row.Faces {
		add(name.FacePath(i+1), KindFace, i+1, f.CropBytes, f.Crop)
	}
	return all
}

// FilesOf returns the pictures of a row as files.
func FilesOf(row *table.Row) (files []File) {
	for _, p := range PicturesOf(row) {
		files = append(files, File{p.Name, p.Data})
	}
	return files
}
