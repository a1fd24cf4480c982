package view

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"

	"facestream/transforms/store"
)

const (
	cachedTables = 16
	cachedRows   = 200_000 // in all of these, at some 150 bytes each
)

// openTable is a table, and where its rows are.
type openTable struct {
	*store.OpenTable
	rows map[string]int64 // by the names of their pictures without what follows the record
}

// picture returns a picture by the name that it has as a file: that file, or what a row of
// a table has. What is not the name of a picture could lead out of the output.
func (ix *index) picture(ctx context.Context, name string) ([]byte, error) {
	if _, _, ok := store.ParsePicture(name); !ok {
		return nil, &httpError{http.StatusNotFound, "there is no such picture"}
	}
	data, missing := ix.read(ctx, name, maxPicture)
	if !errors.Is(missing, fs.ErrNotExist) {
		return data, missing
	}
	tables := ix.total().tables
	for _, t := range slices.Concat(tables[store.TableFolder(name)], tables[""]) { // of its hour, and of windows that are not gathered
		data, err := ix.pictureIn(ctx, t, name)
		if data != nil || err != nil && !errors.Is(err, fs.ErrNotExist) { // else a run has gathered it, or will name it
			return data, err
		}
	}
	return nil, missing
}

// pictureIn returns a picture of a table, or nil.
func (ix *index) pictureIn(ctx context.Context, t store.Table, name string) (data []byte, err error) {
	p, base, _ := store.ParsePicture(name) // which picture has accepted
	ix.opening.Lock()
	defer ix.opening.Unlock()
	const tries = 2 // an open file may have been replaced meanwhile
	for range tries {
		var in openTable
		if in, err = ix.openTable(ctx, t); err != nil {
			return nil, err
		}
		row, found := in.rows[base]
		if !found {
			return nil, nil
		}
		if data, err = p.Read(in.File, row); err == nil {
			return data, nil
		}
		ix.opened.Remove(t)
	}
	return nil, fmt.Errorf("reading %s: %w", t.File, err)
}

// openTable opens a table, or takes one that is open.
func (ix *index) openTable(ctx context.Context, t store.Table) (openTable, error) {
	if in, ok := ix.opened.Get(t); ok {
		return in, nil
	}
	in := openTable{rows: map[string]int64{}}
	var err error
	if in.OpenTable, err = ix.cfg.OpenTable(context.WithoutCancel(ctx), t.File); err != nil { // it stays open
		return in, err
	}
	for row, err := range in.Rows(t.Rows) {
		if err != nil {
			return in, errors.Join(fmt.Errorf("reading %s: %w", t.File, err), in.Close())
		}
		_, base, _ := store.ParsePicture(store.NameOf(&row).Path())
		in.rows[base] = row.Nth
	}
	ix.opened.Add(t, in)
	for ix.rows += len(in.rows); ix.rows > cachedRows && ix.opened.Len() > 1; {
		ix.opened.RemoveOldest()
	}
	return in, nil
}
