package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/record"
)

const (
	dayLayout = "2006/01/02"
	// purgeBatch is about how many files are marked before they are removed.
	purgeBatch = 1 << 17
	// purgeGroup and purgeTopic are those of a purge's lease. No topic has this name.
	purgeGroup, purgeTopic = "purge", "/"
)

// Selection says which records are purged: those of which all of it is true. Zero values
// leave nothing out.
type Selection struct {
	Camera   *string   // as records name it
	From, To time.Time // of records whose hour begins and ends within
	// Aged makes To an age: a record without a time is as old as its files, and ledgers
	// go, too, when nothing of their records is left.
	Aged    bool
	Records Marks
	// KeepEvents keeps the events and ledgers of what is removed.
	KeepEvents bool
}

// hour reports whether the records of an hour are selected.
func (s Selection) hour(begin time.Time, length time.Duration) bool {
	return !begin.Before(s.From) && (s.To.IsZero() || !begin.Add(length).After(s.To))
}

func (s Selection) camera(name string) bool {
	return s.Camera == nil || escape(*s.Camera) == escape(name)
}

func (s Selection) record(id record.ID) bool { return s.Records == nil || s.Records.Has(id) }

// Freed counts what was removed.
type Freed struct {
	Pictures, Rejects, Events, Hours, Bytes int64 // Pictures: of any kind. Hours: with ledgers.
	// Left says what is to be purged once more, and when.
	Left []string
}

func (f Freed) String() string {
	return fmt.Sprintf("%d pictures, %d files about rejects, %d events, the ledgers of %d hours: %.1f MB", f.Pictures, f.Rejects, f.Events, f.Hours, float64(f.Bytes)/1e6)
}

// Purge removes pictures, rejects, events and ledgers, and first notes which, so that it is
// known what is not missing: it may be killed at any time, and is completed by doing it
// again. Of runs at work it touches nothing that they still change, but their own book,
// which is nil outside of a run. With dry it changes nothing.
func Purge(ctx context.Context, cfg Config, s Selection, own *Book, dry bool, progress func(Freed)) (freed Freed, err error) {
	p := &purge{cfg: cfg, Selection: s, own: own, dry: dry, progress: progress, over: map[string]bool{}}
	err = cfg.with(ctx, func(fsys filesystem.Interface) error {
		_, err := lastModified(ctx, fsys, cfg.Root)
		return err
	})
	if err != nil {
		return freed, fmt.Errorf("looking for an output to purge: %w", err)
	}
	if !dry {
		var lease *Lease
		if lease, ctx, err = Acquire(ctx, cfg, purgeGroup, []string{purgeTopic}); err != nil {
			return freed, err
		}
		defer lease.Release(ctx)
		if own == nil {
			defer func() { err = errors.Join(err, End(context.WithoutCancel(ctx), cfg)) }()
		}
	}
	if err = p.purge(ctx); err != nil {
		err = fmt.Errorf("purging: %w", err)
	}
	return p.freed, err
}

type purge struct {
	cfg Config
	Selection
	own      *Book
	dry      bool
	progress func(Freed)
	fsys     filesystem.Interface
	purged   Purged
	changed  bool            // since purged was saved
	over     map[string]bool // hours of ledgers that are gone, or looked at for good
	freed    Freed
}

func (p *purge) purge(ctx context.Context) (err error) {
	if p.fsys, err = filesystem.New(ctx, p.cfg.Root); err != nil {
		return err
	}
	defer p.fsys.Close()
	if p.purged, err = ReadPurged(ctx, p.cfg); err != nil {
		return err
	}
	if !p.dry {
		if err := p.bury(ctx); err != nil { // of one that was killed
			return err
		}
	}
	days, err := p.days(ctx)
	if err != nil {
		return err
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		if err := p.removeFolders(ctx, days[day]); err != nil {
			return err
		}
		// The ledgers of a day make the notes of what was purged short.
		if d, err := time.Parse(dayLayout, day); err == nil && p.Aged {
			if err := p.ledgers(ctx, d.AddDate(0, 0, 1)); err != nil {
				return err
			}
		}
	}
	if err := p.ledgers(ctx, time.Time{}); err != nil {
		return err
	}
	if p.dry {
		return nil
	}
	if err := p.removeLatest(ctx); err != nil {
		return err
	}
	if p.own != nil {
		p.purged.Retained, p.changed = time.Now().UTC(), true
	}
	return p.save(ctx)
}

// save writes what is purged. It must be there before anything is removed.
func (p *purge) save(ctx context.Context) error {
	if p.dry || !p.changed {
		return nil
	}
	data, err := json.Marshal(p.purged)
	if err == nil {
		err = p.cfg.put(ctx, PurgedFile, append(data, '\n'))
	}
	p.changed = err != nil
	return err
}

// mark notes records of which everything goes, but maybe the events.
func (p *purge) mark(ids []record.ID) {
	p.changed = p.purged.Files.addRecords(ids) || p.changed
	if !p.KeepEvents {
		p.changed = p.purged.Events.addRecords(ids) || p.changed
	}
}

// folder is one whose files may be selected: a day, an hour, or one of undated records.
type folder struct {
	name  string
	files []purgedName // those that are
	keep  bool         // it has others
}

type purgedName struct {
	name string
	kind Kind
	id   record.ID
	size int64
}

// days returns the folders of a day, for all cameras and their rejects. Undated ones come
// under a name of their own.
func (p *purge) days(ctx context.Context) (map[string][]string, error) {
	days := map[string][]string{}
	for _, tree := range []string{"", rejectFolder + "/"} {
		cameras, err := p.cfg.list(ctx, tree+"*")
		if err != nil {
			return nil, err
		}
		for _, camera := range cameras {
			name := strings.TrimPrefix(camera, tree)
			if _, ok := unescape(name); !ok || p.Camera != nil && name != escape(*p.Camera) {
				continue
			}
			folders, err := p.cfg.list(ctx, camera+"/*/*/*")
			if err != nil {
				return nil, err
			}
			for _, f := range folders {
				below := strings.TrimPrefix(f, camera+"/")
				units, err := p.units(ctx, f, below)
				if err != nil {
					return nil, err
				}
				if strings.HasPrefix(below, undatedFolder) {
					below = undatedFolder
				}
				days[below] = append(days[below], units...)
			}
		}
	}
	return days, nil
}

// units returns what of a day is selected by its time: all of it, or some of its hours.
func (p *purge) units(ctx context.Context, dir, below string) ([]string, error) {
	day, err := time.Parse(dayLayout, below)
	switch {
	case strings.HasPrefix(below, undatedFolder+"/") && p.Aged:
		at, err := lastModified(ctx, p.fsys, join(p.cfg.Root, dir))
		if err != nil || !at.Before(p.To) {
			return nil, ignoreGone(err)
		}
		return []string{dir}, nil
	case strings.HasPrefix(below, undatedFolder+"/") && p.From.IsZero() && p.To.IsZero():
		return []string{dir}, nil
	case err != nil: // it is no day
		return nil, nil
	case p.hour(day, 24*time.Hour):
		return []string{dir}, nil
	case day.Add(24*time.Hour).Before(p.From) || !p.To.IsZero() && !day.Before(p.To):
		return nil, nil
	}
	hours, err := p.cfg.list(ctx, dir+"/*")
	return slices.DeleteFunc(hours, func(name string) bool {
		hour, err := time.Parse(hourLayout, below+"/"+path.Base(name))
		return err != nil || !p.hour(hour, time.Hour)
	}), err
}

// look lists a folder.
func (p *purge) look(ctx context.Context, f *folder, below string) error {
	f.files, f.keep = nil, false
	err := List(ctx, Config{Root: join(p.cfg.Root, f.name)}, func(name string, size int64, _ time.Time) error {
		kind, id := KindOf(path.Join(below, name))
		if kind >= KindPicture && kind <= KindKept && (below == "." || p.record(id)) {
			f.files = append(f.files, purgedName{f.name + "/" + name, kind, id, size})
		} else {
			f.keep = true
		}
		return nil
	})
	return ignoreGone(err)
}

// removeFolders removes what of some folders is selected.
func (p *purge) removeFolders(ctx context.Context, names []string) error {
	var batch []folder
	files := 0
	for i, name := range names {
		f := folder{name: name}
		if err := p.look(ctx, &f, name); err != nil {
			return err
		}
		batch = append(batch, f)
		if files += len(f.files); files < purgeBatch && i < len(names)-1 {
			continue
		}
		if err := p.remove(ctx, batch); err != nil {
			return err
		}
		batch, files = nil, 0
	}
	return nil
}

// remove removes the files of some folders. A folder of which nothing is kept goes as a
// whole: first out of the way, so that no run puts a file into it unseen.
func (p *purge) remove(ctx context.Context, batch []folder) error {
	var ids []record.ID
	for _, f := range batch {
		for _, file := range f.files {
			ids = append(ids, file.id)
			p.count(file)
		}
	}
	p.mark(ids)
	p.progress(p.freed)
	if p.dry {
		return ctx.Err()
	}
	if err := p.save(ctx); err != nil {
		return err
	}
	for _, f := range batch {
		switch {
		case f.keep:
			for _, file := range f.files {
				if err := ignoreGone(remove(ctx, p.fsys, join(p.cfg.Root, file.name))); err != nil {
					return err
				}
			}
		case len(f.files) > 0:
			to := join(p.cfg.Root, path.Join(purgedFolder, rand.Text(), f.name))
			if err := ignoreGone(inFolder(ctx, p.fsys, to, func() error { return filesystem.Rename(ctx, p.fsys, join(p.cfg.Root, f.name), to) })); err != nil {
				return err
			}
		}
	}
	if err := p.bury(ctx); err != nil {
		return err
	}
	for _, f := range batch {
		// Folders that are not empty stay.
		for dir := f.name; dir != "."; dir = path.Dir(dir) {
			if err := remove(ctx, p.fsys, join(p.cfg.Root, dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
	}
	return ctx.Err()
}

// bury removes what lies out of the way, once all of it is noted.
func (p *purge) bury(ctx context.Context) error {
	dirs, err := p.cfg.list(ctx, purgedFolder+"/*")
	if err != nil {
		return err
	}
	dirs = slices.DeleteFunc(dirs, func(name string) bool { return name == PurgedFile })
	var late []record.ID
	for _, dir := range dirs {
		f := folder{name: dir}
		if err := p.look(ctx, &f, "."); err != nil {
			return err
		}
		for _, file := range f.files {
			if !p.purged.Files.Has(file.id) {
				late = append(late, file.id)
				p.count(file)
			}
		}
	}
	p.mark(late)
	if err := p.save(ctx); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := removeAll(ctx, p.fsys, join(p.cfg.Root, dir)); err != nil {
			return err
		}
	}
	return nil
}

func (p *purge) count(f purgedName) {
	p.freed.Bytes += f.size
	if f.kind == KindReject || f.kind == KindKept {
		p.freed.Rejects++
	} else {
		p.freed.Pictures++
	}
}

// ledgers removes what is selected of the events and tables of all books, and ledgers of
// which nothing is left.
// Before the last call, which has no end, it only looks for hours that go as a whole.
func (p *purge) ledgers(ctx context.Context, end time.Time) error {
	books, err := bookFolders(ctx, p.cfg)
	if err != nil {
		return err
	}
	for _, dir := range books {
		hours, err := p.cfg.list(ctx, dir+"/*/*"+ledgerExtension)
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
			if err := ignoreGone(err); err != nil && !unreadable(err) { // verify reports those
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
			return p.putHour(ctx, name, h)
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
		if err := ignoreGone(remove(ctx, p.fsys, join(p.cfg.Root, file))); err != nil {
			return err
		}
		_ = remove(ctx, p.fsys, join(p.cfg.Root, path.Dir(file))) // if that was the last one
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
		last := all.Ledgers[len(all.Ledgers)-1]
		var topics []string
		positions := s.hour.Positions
		if len(s.windows) > 0 {
			positions = last.Positions
		}
		for _, at := range positions {
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
	if err := p.putHour(ctx, b.dir+"/"+hourFile, h); err != nil {
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
	data, err := p.cfg.read(ctx, e.File)
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
	err = ignoreGone(remove(ctx, p.fsys, join(p.cfg.Root, e.File)))
	_ = remove(ctx, p.fsys, join(p.cfg.Root, path.Dir(e.File)))
	return 0, err
}

// event reports whether an event goes.
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

// removeLatest removes the copy of a picture that was purged.
func (p *purge) removeLatest(ctx context.Context) error {
	about, err := p.cfg.read(ctx, latestAbout)
	var latest Latest
	if err != nil || json.Unmarshal(about, &latest) != nil {
		return ignoreGone(err)
	}
	if _, id := KindOf(latest.Picture); !p.purged.Files.Has(id) {
		return nil
	}
	return ignoreGone(remove(ctx, p.fsys, join(p.cfg.Root, latestFile)))
}

func (p *purge) putHour(ctx context.Context, name string, h Hour) error {
	return (&Book{cfg: p.cfg}).putHour(ctx, name, h)
}

// removeAll removes a folder with all that is in it.
func removeAll(ctx context.Context, fsys filesystem.Interface, dir string) error {
	if r, ok := fsys.(interface {
		RemoveAll(ctx context.Context, dir string) error
	}); ok {
		return r.RemoveAll(ctx, dir)
	}
	if !strings.Contains(dir, "://") {
		return os.RemoveAll(dir)
	}
	return errors.New("this file system cannot remove folders")
}
