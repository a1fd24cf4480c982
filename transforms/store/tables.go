package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"facestream/transforms/store/table"
)

const (
	blockBytes = 128 << 10 // of HDFS that are read at a time
	keptBlocks = 8         // of a file

	// A table is appended to while it has fewer bytes than smallTable, or than appendTimes
	// those that are added: so each byte is copied a few times at most, and the number of
	// tables follows from bytes and hours, not from windows.
	smallTable  = 32 << 20
	appendTimes = 4
	joinTables  = 64 // at a time
)

// OpenTable is a table that is being read. It is to be closed.
type OpenTable struct {
	*table.File
	io.Closer
}

// OpenTable opens a table by its name below the root.
func (c Config) OpenTable(ctx context.Context, name string) (*OpenTable, error) {
	in, err := c.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	t := &OpenTable{Closer: in}
	size, err := in.Seek(0, io.SeekEnd) // of this file: a run may replace it meanwhile
	if err == nil {
		var r io.ReaderAt
		if r, err = randomAccess(in, size); err == nil {
			t.File, err = table.Open(r, size)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the table %s: %w", c.path(name), err), in.Close())
	}
	return t, nil
}

func randomAccess(in io.ReadSeeker, size int64) (io.ReaderAt, error) {
	if r, ok := in.(io.ReaderAt); ok {
		return r, nil
	}
	kept, err := lru.New[int64, []byte](keptBlocks)
	return &blocks{in: in, at: size, size: size, kept: kept}, err
}

// blocks reads a file of HDFS in large pieces, and keeps some: rows are read from many
// places near to one another, and to seek means a new connection to a DataNode.
type blocks struct {
	mu       sync.Mutex
	in       io.ReadSeeker
	at, size int64
	kept     *lru.Cache[int64, []byte] // by their offsets
}

func (b *blocks) ReadAt(p []byte, at int64) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) && at+int64(n) < b.size {
		data, err := b.read(at + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read returns what there is from an offset to the end of its block.
func (b *blocks) read(at int64) ([]byte, error) {
	first := at / blockBytes * blockBytes
	data, found := b.kept.Get(first)
	if !found {
		if b.at != first {
			if _, err := b.in.Seek(first, io.SeekStart); err != nil {
				return nil, err
			}
		}
		data = make([]byte, min(blockBytes, b.size-first))
		n, err := io.ReadFull(b.in, data)
		if b.at = first + int64(n); err != nil {
			return nil, err
		}
		b.kept.Add(first, data)
	}
	return data[at-first:], nil
}

// ReadPicture reads a picture by the name that it has as a file: that file, or a row of a
// table.
func ReadPicture(ctx context.Context, cfg Config, name string) ([]byte, error) {
	data, err := cfg.Read(ctx, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	missing := err
	// What is published meanwhile is found at its new place, so that one comes last.
	for _, glob := range []string{ledgerFolder + "/*/*" + tableExtension, TableFolder(name) + "/*" + tableExtension} {
		tables, err := cfg.Glob(ctx, glob)
		if err != nil {
			return nil, err
		}
		for _, of := range tables {
			if data, err := cfg.pictureIn(ctx, of, name); data != nil || ignoreGone(err) != nil {
				return data, err
			}
		}
	}
	return nil, missing
}

// TableFolder is that of the tables which may have a picture, by the hour in its name:
//
//	_pictures/<yyyy-mm-dd>/<hh>
//	_pictures/undated
func TableFolder(name string) string {
	_, hour, _ := strings.Cut(path.Dir(name), "/")
	if strings.HasPrefix(hour, undatedFolder+"/") {
		return tableFolder + "/" + undatedFolder
	}
	day, hour := path.Split(hour)
	return tableFolder + "/" + strings.ReplaceAll(strings.TrimSuffix(day, "/"), "/", "-") + "/" + hour
}

// pictureIn returns a picture that is in a table, or nil.
func (c Config) pictureIn(ctx context.Context, of, name string) (data []byte, err error) {
	t, err := c.OpenTable(ctx, of)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	for row, err := range t.Rows(math.MaxInt64) {
		if err != nil {
			return nil, fmt.Errorf("reading the table %s: %w", c.path(of), err)
		}
		for _, p := range PicturesOf(&row) {
			if p.Name == name {
				return p.Read(t.File, row.Nth)
			}
		}
	}
	return nil, nil
}

// publishTables adds the rows of staged tables to published ones, or makes others. Each
// is replaced in one step, and found to be done by how many of its rows count.
func (b *Book) publishTables(ctx context.Context, published, staged []Table) ([]Table, error) {
	published, staged = slices.Clone(published), slices.Clone(staged)
	slices.SortFunc(staged, func(s, t Table) int { return strings.Compare(s.File, t.File) })
	for len(staged) > 0 {
		folder, bytes, n := path.Dir(staged[0].File), int64(0), 0
		for n < min(len(staged), joinTables) && path.Dir(staged[n].File) == folder && (n == 0 || b.fits(bytes+staged[n].Bytes)) {
			bytes += staged[n].Bytes
			n++
		}
		into := len(published) // a new one
		for i, t := range published {
			if path.Dir(t.File) == folder {
				into = i // the last one, if any
			}
		}
		if into < len(published) {
			if t := published[into]; !b.fits(t.Bytes+bytes) || t.Bytes >= max(smallTable, appendTimes*bytes) {
				into = len(published)
			}
		}
		if into == len(published) {
			published = append(published, Table{File: staged[0].File})
		}
		var err error
		if published[into], err = b.join(ctx, published[into], staged[:n]); err != nil {
			return nil, fmt.Errorf("gathering %d tables into %s: %w", n, published[into].File, err)
		}
		staged = staged[n:]
	}
	return slices.DeleteFunc(published, func(t Table) bool { return t.Rows == 0 }), nil
}

func (b *Book) fits(bytes int64) bool { return b.cfg.SegmentBytes == 0 || bytes <= b.cfg.SegmentBytes }

// join writes the rows of a table that count and those of staged ones as one table. What is
// missing is left out, and verify reports it.
func (b *Book) join(ctx context.Context, t Table, staged []Table) (Table, error) {
	var files []*table.File
	var rows []int64
	out := Table{File: t.File}
	for i, one := range slices.Insert(slices.Clone(staged), 0, t) {
		name := b.staged(one.File)
		if i == 0 {
			name = t.File
		}
		if one.Rows == 0 {
			continue
		}
		in, err := b.cfg.OpenTable(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return t, err
		}
		defer in.Close()
		one.Rows = min(one.Rows, in.NumRows()) // a purge that was killed has left fewer than its ledger says
		files, rows = append(files, in.File), append(rows, one.Rows)
		out.Rows += one.Rows
	}
	if out.Rows == 0 {
		return out, nil
	}
	var err error
	out.Bytes, err = b.cfg.putFrom(ctx, t.File, func(w io.Writer) error { return table.Join(w, files, rows) })
	return out, err
}
