package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

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
	purged   Purged
	changed  bool            // since purged was saved
	over     map[string]bool // hours of ledgers that are gone, or looked at for good
	freed    Freed
}

func (p *purge) purge(ctx context.Context) (err error) {
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
	err := p.cfg.putJSON(ctx, PurgedFile, p.purged, json.Marshal)
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
	camera := "[^_]*" // escape gives none that begins so
	if p.Camera != nil {
		camera = escape(*p.Camera)
	}
	for _, tree := range []string{"", rejectFolder + "/"} {
		folders, err := p.cfg.Glob(ctx, tree+camera+"/*/*/*")
		if err != nil {
			return nil, err
		}
		for _, f := range folders {
			name, below, _ := strings.Cut(strings.TrimPrefix(f, tree), "/")
			if _, ok := unescape(name); !ok {
				continue
			}
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
	return days, nil
}

// units returns what of a day is selected by its time: all of it, or some of its hours.
func (p *purge) units(ctx context.Context, dir, below string) ([]string, error) {
	day, err := time.Parse(dayLayout, below)
	switch {
	case strings.HasPrefix(below, undatedFolder+"/") && p.Aged:
		at, err := p.cfg.Modified(ctx, dir)
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
	hours, err := p.cfg.Glob(ctx, dir+"/*")
	return slices.DeleteFunc(hours, func(name string) bool {
		hour, err := time.Parse(hourLayout, below+"/"+path.Base(name))
		return err != nil || !p.hour(hour, time.Hour)
	}), err
}

// next reports whether the run at work has still to read a record. What is there of it was left
// by an attempt that has died, and is stored again.
func (p *purge) next(id record.ID) bool {
	return p.own != nil && slices.ContainsFunc(p.own.topics, func(topic string) bool {
		return TopicInNames(topic) == id.Topic && id.Offset >= p.own.at[record.In(topic, id.Partition)]
	})
}

func (p *purge) look(ctx context.Context, f *folder, below string) error {
	f.files, f.keep = nil, false
	err := List(ctx, Config{Root: p.cfg.path(f.name)}, func(name string, size int64, _ time.Time) error {
		kind, id := KindOf(path.Join(below, name))
		if kind >= KindPicture && kind <= KindKept && (below == "." || p.record(id) && !p.next(id)) {
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
				if err := p.cfg.remove(ctx, file.name); err != nil {
					return err
				}
			}
		case len(f.files) > 0:
			if err := ignoreGone(p.cfg.rename(ctx, f.name, path.Join(purgedFolder, rand.Text(), f.name))); err != nil {
				return err
			}
		}
	}
	if err := p.bury(ctx); err != nil {
		return err
	}
	for _, f := range batch {
		p.removeEmpty(ctx, f.name)
	}
	return ctx.Err()
}

// removeEmpty removes a folder and those that it is in, as far as nothing else is there.
func (p *purge) removeEmpty(ctx context.Context, dir string) {
	for ; dir != "."; dir = path.Dir(dir) {
		if p.cfg.remove(ctx, dir) != nil {
			return
		}
	}
}

// bury removes what lies out of the way, once all of it is noted.
func (p *purge) bury(ctx context.Context) error {
	dirs, err := p.cfg.Glob(ctx, purgedFolder+"/*")
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
		if err := p.cfg.removeAll(ctx, dir); err != nil {
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

// removeLatest removes the copy of a picture that was purged.
func (p *purge) removeLatest(ctx context.Context) error {
	about, err := p.cfg.Read(ctx, latestAbout)
	var latest Latest
	if err != nil || json.Unmarshal(about, &latest) != nil {
		return ignoreGone(err)
	}
	if _, id := KindOf(latest.Picture); !p.purged.Files.Has(id) {
		return nil
	}
	return p.cfg.remove(ctx, latestFile)
}
