package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"time"

	"facestream/internal/record"
	"facestream/transforms/store/table"
)

// ofTable reports whether records of a table are selected by their time, which its folder
// tells. An undated one is as old as it was last written.
func (p *purge) ofTable(ctx context.Context, t Table) (bool, error) {
	hour, dated := t.Hour()
	switch {
	case dated:
		return p.hour(hour, time.Hour), nil
	case !p.Aged:
		return p.From.IsZero() && p.To.IsZero(), nil
	}
	at, err := p.cfg.Modified(ctx, t.File)
	return err == nil && at.Before(p.To), ignoreGone(err)
}

// filterTables removes what is selected of an hour's tables, and reports whether they are
// others now.
func (p *purge) filterTables(ctx context.Context, h *Hour) (changed bool, err error) {
	var left []Table
	for _, t := range h.Tables {
		of, err := p.ofTable(ctx, t)
		was := t
		if err == nil && of {
			t, err = p.filterTable(ctx, t)
		}
		if err != nil {
			return changed, err
		}
		if changed = changed || t != was; t.Rows > 0 {
			left = append(left, t)
		}
	}
	h.Tables = left
	return changed, nil
}

// filterTable removes the selected rows of a table; all at once if these are all, else by
// writing it anew without them.
func (p *purge) filterTable(ctx context.Context, t Table) (Table, error) {
	in, err := p.cfg.OpenTable(ctx, t.File)
	if errors.Is(err, fs.ErrNotExist) { // a purge was killed
		return Table{File: t.File}, nil
	}
	if err != nil {
		return t, err
	}
	defer in.Close()
	var kept []table.Row
	var ids []record.ID
	for row, err := range in.Rows(t.Rows) {
		if err != nil {
			return t, fmt.Errorf("reading the table %s: %w", t.File, err)
		}
		if p.camera(row.Camera) && p.record(row.ID) {
			ids = append(ids, row.ID)
			p.freed.Pictures += int64(len(PicturesOf(&row)))
		} else {
			kept = append(kept, row)
		}
	}
	t.Rows = int64(len(ids) + len(kept)) // a purge that was killed had written it anew
	p.mark(ids)
	p.progress(p.freed)
	if len(ids) == 0 || p.dry {
		return t, ctx.Err()
	}
	if err := p.save(ctx); err != nil {
		return t, err
	}
	old := t.Bytes
	if t.Rows, t.Bytes = int64(len(kept)), 0; t.Rows == 0 {
		err := p.cfg.remove(ctx, t.File)
		p.removeEmpty(ctx, path.Dir(t.File))
		p.freed.Bytes += old
		return t, err
	}
	t.Bytes, err = p.cfg.putFrom(ctx, t.File, func(w io.Writer) error { return table.WriteGroups(w, groupsOf(in.File, kept)) })
	p.freed.Bytes += old - t.Bytes
	return t, err
}

// groupsOf gives rows with their pictures, tableBytes at a time: a table may be larger than
// this machine's memory.
func groupsOf(from *table.File, rows []table.Row) iter.Seq2[[]table.Row, error] {
	return func(yield func([]table.Row, error) bool) {
		var group []table.Row
		bytes := int64(0)
		for i, row := range rows {
			for _, p := range PicturesOf(&row) {
				bytes += p.Bytes
			}
			row.Faces = slices.Clone(row.Faces)
			if err := from.AddPictures(&row); err != nil {
				yield(nil, fmt.Errorf("reading row %d: %w", row.Nth, err))
				return
			}
			group = append(group, row)
			if bytes < tableBytes && i < len(rows)-1 {
				continue
			}
			if !yield(group, nil) {
				return
			}
			group, bytes = nil, 0
		}
	}
}
