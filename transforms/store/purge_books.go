package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"facestream/internal/record"
)

// ledgers removes what is selected of the events and tables of all books, and ledgers of
// which nothing is left.
// Before the last call, which has no end, it only looks for hours that go as a whole.
func (p *purge) ledgers(ctx context.Context, end time.Time) error {
	books, err := bookFolders(ctx, p.cfg)
	if err != nil {
		return err
	}
	for _, dir := range books {
		hours, err := archivedHours(ctx, p.cfg, dir)
		if err != nil {
			return err
		}
		for _, name := range hours {
			if p.over[name] || !end.IsZero() && name >= archived(dir, end.Format(hourName)) {
				continue
			}
			var h Hour
			err := readJSON(ctx, p.cfg, name, &h)
			if err == nil {
				err = p.pastHour(ctx, name, h, end.IsZero())
			}
			if unreadable(err) {
				if end.IsZero() {
					p.leaveUnreadable(name)
				}
			} else if err := ignoreGone(err); err != nil {
				return err
			}
			p.progress(p.freed)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if end.IsZero() {
			if err := p.newestHour(ctx, dir); err != nil {
				return err
			}
		}
	}
	if !end.IsZero() {
		return nil
	}
	if rows, err := p.cfg.Glob(ctx, tableFolder+"/*"); err != nil {
		return err
	} else if len(books) == 0 && len(rows) > 0 {
		p.freed.Left = append(p.freed.Left, fmt.Sprintf("there is no ledger in %s, so the rows in %s stay", p.cfg.path(ledgerFolder), p.cfg.path(tableFolder)))
	}
	// Ledgers of older versions stay: they may be all that says where a group stands.
	if p.KeepEvents {
		return nil
	}
	flat, err := flatLedgers(ctx, p.cfg)
	for _, name := range flat {
		if err == nil {
			_, err = p.filter(ctx, EventsFile{eventsPath(windowOf(name)), math.MaxInt64}, false)
		}
	}
	return err
}

// leaveUnreadable says that nobody knows what there is to remove.
func (p *purge) leaveUnreadable(name string) {
	p.freed.Left = append(p.freed.Left, fmt.Sprintf("%s cannot be read, and what it lists stays; verify says which pictures and events are in no ledger", p.cfg.path(name)))
}

// pastHour removes what is selected of an hour that is over, and of its ledgers.
func (p *purge) pastHour(ctx context.Context, name string, h Hour, last bool) error {
	old := false
	if begin, err := time.Parse(hourName, h.Hour); err == nil && p.Aged {
		old = p.hour(begin, time.Hour) && !p.KeepEvents
	}
	before := slices.Clone(h.Events)
	fewer, err := p.filterTables(ctx, &h)
	if err != nil {
		return err
	}
	filtered := last && !p.empty(h) && p.touches(h, old) || old && p.empty(h) && h.Purged > 0
	if filtered {
		if err := p.filterAll(ctx, &h, old); err != nil {
			return err
		}
	}
	if !old || !p.empty(h) {
		if n := p.marked(h); !p.dry && (fewer || filtered && (h.Purged != n || !slices.Equal(h.Events, before))) {
			if filtered {
				h.Purged = n
			}
			return p.cfg.putJSON(ctx, name, h, json.Marshal)
		}
		return nil
	}
	p.over[name] = true
	p.freed.Hours++
	var files []string
	for _, e := range h.Events {
		files = append(files, e.File)
		if !filtered {
			p.freed.Bytes += e.Bytes
		}
	}
	for _, l := range h.Ledgers {
		if !filtered {
			p.freed.Events += l.Sum().Events
		}
		for _, part := range l.Partitions {
			all := slices.Concat(part.Offsets, part.Lost)
			if part.Read > 0 {
				all = append(all, record.Range{First: part.From, Last: part.LastOffset})
			}
			p.changed = p.purged.Files.add(part.TopicPartition, all...) || p.changed
			p.changed = p.purged.Events.add(part.TopicPartition, all...) || p.changed
		}
	}
	if p.dry {
		return nil
	}
	if err := p.save(ctx); err != nil {
		return err
	}
	for _, file := range append(files, name) {
		if err := p.cfg.remove(ctx, file); err != nil {
			return err
		}
		_ = p.cfg.remove(ctx, path.Dir(file)) // if that was the last one
	}
	return nil
}

// newestHour removes the selected events of the hour that a book has begun. Its ledgers
// stay: they say where the group stands.
func (p *purge) newestHour(ctx context.Context, dir string) error {
	s, err := readShelf(ctx, p.cfg, dir)
	if err != nil {
		return err
	}
	for _, name := range s.unreadable {
		if path.Dir(name) == dir { // of those before, ledgers tells
			p.leaveUnreadable(name)
		}
	}
	all := Hour{Ledgers: slices.Clone(s.hour.Ledgers), Purged: s.hour.Purged, Tables: slices.Clone(s.hour.Tables)}
	for _, w := range s.windows {
		all.Ledgers, all.Tables = append(all.Ledgers, w.ledger), append(all.Tables, w.ledger.Tables...)
	}
	tables := false
	for _, t := range all.Tables {
		of, err := p.ofTable(ctx, t)
		if tables = tables || of; err != nil {
			return err
		}
	}
	if len(all.Ledgers) == 0 || !tables && !p.touches(all, false) {
		return nil
	}
	if p.dry {
		if _, err := p.filterTables(ctx, &s.hour); err != nil {
			return err
		}
		return p.filterAll(ctx, &s.hour, false)
	}
	b := p.own
	if b == nil || b.dir != dir {
		last := s.last()
		var topics []string
		for _, at := range last.Positions {
			topics = append(topics, at.Topic)
		}
		topics = slices.Compact(slices.Sorted(slices.Values(topics)))
		lease, held, err := Acquire(ctx, p.cfg, last.Run.Group, topics)
		if errors.Is(err, ErrHeld) {
			p.freed.Left = append(p.freed.Left, fmt.Sprintf("a run of group %s is at work: what it found since %s:00 UTC stays; purge once more when it has found something in a later hour, or has ended",
				last.Run.Group, strings.Replace(s.hour.Hour, "T", " ", 1)))
			return nil
		}
		if err != nil {
			return err
		}
		defer lease.Release(ctx)
		if b, err = OpenBook(held, p.cfg, Run{Group: last.Run.Group}, topics, nil); err != nil {
			return err
		}
		ctx = held
	}
	if err := b.Gather(ctx); err != nil {
		return err
	}
	h := b.hour
	h.Events = slices.Clone(h.Events)
	if _, err := p.filterTables(ctx, &h); err != nil {
		return err
	}
	if err := p.filterAll(ctx, &h, false); err != nil {
		return err
	}
	if !p.KeepEvents {
		h.Purged = p.marked(h)
	}
	if err := p.cfg.putJSON(ctx, b.dir+"/"+hourFile, h, json.Marshal); err != nil {
		return err
	}
	b.hour = h
	return nil
}

// empty reports whether all that an hour's ledgers list was purged.
func (p *purge) empty(h Hour) bool {
	for _, l := range h.Ledgers {
		for _, part := range l.Partitions {
			if len(p.purged.Files.without(part.TopicPartition, slices.Concat(part.Pictures, part.Rejects)))+
				len(p.purged.Events.without(part.TopicPartition, part.Pictures)) > 0 {
				return false
			}
		}
	}
	return true
}

// marked returns of how many records of an hour the events were purged.
func (p *purge) marked(h Hour) (n int64) {
	for _, l := range h.Ledgers {
		for _, part := range l.Partitions {
			n += record.Count(part.Pictures) - record.Count(p.purged.Events.without(part.TopicPartition, part.Pictures))
		}
	}
	return n
}

// touches reports whether events of an hour may have to go. By age alone, those of later
// hours go with their pictures.
func (p *purge) touches(h Hour, old bool) bool {
	return !p.KeepEvents && (!p.Aged || p.Camera != nil || p.Records != nil || old || p.marked(h) != h.Purged)
}

// filterAll removes the selected events of an hour. Those of an old one that have no time
// are as old as the hour.
func (p *purge) filterAll(ctx context.Context, h *Hour, old bool) error {
	if p.KeepEvents {
		return nil
	}
	var left []EventsFile
	for _, e := range h.Events {
		n, err := p.filter(ctx, e, old)
		if err != nil {
			return err
		}
		if e.Bytes = n; n > 0 {
			left = append(left, e)
		}
	}
	h.Events = left
	return nil
}

// filter removes the selected events of a file, and returns how many bytes are left.
func (p *purge) filter(ctx context.Context, e EventsFile, old bool) (left int64, err error) {
	data, err := p.cfg.Read(ctx, e.File)
	if err != nil {
		return 0, ignoreGone(err)
	}
	var kept bytes.Buffer
	var ids []record.ID
	for line := range strings.Lines(string(data[:min(int64(len(data)), e.Bytes)])) {
		var about struct {
			record.ID
			Camera          string `json:"camera"`
			TimestampMillis int64  `json:"timestamp_ms"`
		}
		if err := json.Unmarshal([]byte(line), &about); err != nil || !p.event(about.ID, about.Camera, about.TimestampMillis, old) {
			kept.WriteString(line) // verify reports one that cannot be read
			continue
		}
		ids = append(ids, about.ID)
	}
	p.freed.Events += int64(len(ids))
	p.freed.Bytes += int64(len(data) - kept.Len())
	p.mark(ids)
	if p.dry || len(ids) == 0 {
		return int64(kept.Len()), nil
	}
	if err := p.save(ctx); err != nil {
		return 0, err
	}
	if kept.Len() > 0 {
		return int64(kept.Len()), p.cfg.put(ctx, e.File, kept.Bytes())
	}
	err = p.cfg.remove(ctx, e.File)
	_ = p.cfg.remove(ctx, path.Dir(e.File))
	return 0, err
}

func (p *purge) event(id record.ID, camera string, millis int64, old bool) bool {
	switch {
	case p.purged.Events.Has(id):
		return true
	case !p.camera(camera) || !p.record(id):
		return false
	case record.Dated(millis):
		return p.hour(time.UnixMilli(millis).UTC().Truncate(time.Hour), time.Hour)
	}
	return old || p.From.IsZero() && p.To.IsZero()
}
