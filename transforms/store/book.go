package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/record"
)

const (
	// ledgerFolder has a folder for each book, below the root. Older versions kept the
	// ledgers of windows in it itself.
	ledgerFolder    = "_windows"
	ledgerExtension = ".json"
	// unreadableExtension is added to the name of a ledger that nobody can read.
	unreadableExtension = ".unreadable"
	hourFile            = "hour.json" // of the newest hour of a book

	hourOfWindow  = "20060102T15"       // how the name of a window begins
	hourName      = "2006-01-02T15"     // Hour.Hour
	noHour        = "1970-01-01T00"     // of a window whose name does not say it
	monthOfHour   = len("2006-01")      // how it begins
	gatherEvery   = time.Minute         // while records are waiting
	gatherIdle    = 10 * time.Second    // while none are
	gatherWindows = 64                  // at a time
	maxEventsPart = int64(64 * 1 << 20) // bytes, from which on another file is begun
)

// Position is where a group stands in a partition: the offset of the record that it reads
// next, and what it must know of those before for max_fps and cooldown.
type Position struct {
	record.ID
	Slots []Slot `json:"slots,omitempty"`
}

// Hour is what became of the windows of an hour. A book has a file for each.
type Hour struct {
	Hour      string       `json:"hour"`      // 2026-11-24T09, UTC
	Number    int64        `json:"number"`    // of its last window
	Positions []Position   `json:"positions"` // behind that
	Ledgers   []Ledger     `json:"ledgers"`   // one for each settings, merged from those of windows; the last window's comes last
	Events    []EventsFile `json:"events"`
}

// EventsFile is a file of events, and how many of its bytes count. What is behind these
// was written by a run that ended before it could count them, and will be written again.
type EventsFile struct {
	File  string `json:"file"` // below the root
	Bytes int64  `json:"bytes"`
}

// Book is what one group has read of one set of topics. A run reads and writes its own,
// and must be the only one that does: see Lease. Each window adds a ledger, and from time
// to time these are gathered into a file for each hour: their number must not follow from
// that of windows.
type Book struct {
	// Notes are sentences about what was wrong with the book, for the run to print.
	Notes []string

	cfg      Config
	run      Run
	dir      string // below the root
	hour     Hour   // the newest
	windows  []window
	number   int64 // of the last window
	at       map[record.TopicPartition]int64
	carry    Carry
	gathered time.Time
}

// window is one that is not gathered.
type window struct {
	name   string
	ledger Ledger
}

// OpenBook reads where the group of a run stands in topics, by its own book and by the
// others of this output. It completes what an earlier run has left undone.
func OpenBook(ctx context.Context, cfg Config, run Run, topics []string, partitions []record.TopicPartition) (*Book, error) {
	b := &Book{cfg: cfg, run: run, dir: bookFolder(run.Group, topics), at: map[record.TopicPartition]int64{}, gathered: time.Now()}
	if err := b.open(ctx, topics, partitions); err != nil {
		return nil, fmt.Errorf("opening the group's ledgers: %w", err)
	}
	return b, nil
}

func (b *Book) open(ctx context.Context, topics []string, partitions []record.TopicPartition) error {
	own, err := readShelf(ctx, b.cfg, b.dir)
	if err != nil {
		return err
	}
	for _, name := range own.unreadable {
		b.Notes = append(b.Notes, fmt.Sprintf("%s cannot be read and is set aside with the extension %s; verify tells what is missing", join(b.cfg.Root, name), unreadableExtension))
		if err := b.rename(ctx, name, name+unreadableExtension); err != nil {
			return err
		}
	}
	if err := b.remove(ctx, own.done); err != nil {
		return err
	}
	b.hour, b.windows = own.hour, own.windows
	b.follow(own)
	b.number = own.number()
	if err := b.Gather(ctx); err != nil {
		return err
	}
	folders, err := bookFolders(ctx, b.cfg)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if dir != b.dir {
			other, err := readShelf(ctx, b.cfg, dir)
			if err != nil {
				return err
			}
			b.follow(other)
		}
	}
	if b.number == 0 {
		if err := b.readFlat(ctx, partitions); err != nil {
			return err
		}
	}
	// Only what is read matters.
	reads := func(p record.TopicPartition) bool { return slices.Contains(topics, p.Topic) }
	for p := range b.at {
		if !reads(p) {
			delete(b.at, p)
		}
	}
	b.carry = slices.DeleteFunc(b.carry, func(p PartitionSlots) bool { return !reads(p.TopicPartition) })
	return nil
}

// follow goes on from the positions of a book of this group.
func (b *Book) follow(s shelf) {
	positions, run := s.hour.Positions, Run{}
	if n := len(s.hour.Ledgers); n > 0 {
		run = s.hour.Ledgers[n-1].Run
	}
	if n := len(s.windows); n > 0 {
		positions, run = s.windows[n-1].ledger.Positions, s.windows[n-1].ledger.Run
	}
	if run.Group == b.run.Group {
		b.advance(positions, run)
	}
}

// advance goes on from positions that are further than what is known. With other settings,
// slots have another length and faces are others.
func (b *Book) advance(positions []Position, run Run) {
	for _, p := range positions {
		if at, known := b.at[p.TopicPartition]; known && at >= p.Offset {
			continue
		}
		b.at[p.TopicPartition] = p.Offset
		b.carry = slices.DeleteFunc(b.carry, func(c PartitionSlots) bool { return c.TopicPartition == p.TopicPartition })
		if run.SettingsSHA256 == b.run.SettingsSHA256 && len(p.Slots) > 0 {
			b.carry = append(b.carry, PartitionSlots{p.TopicPartition, p.Slots})
		}
	}
}

// readFlat goes on from the ledgers of an older version, from the last one back until all
// partitions are known. A ledger whose events were not kept did not count.
func (b *Book) readFlat(ctx context.Context, partitions []record.TopicPartition) error {
	files, err := flatLedgers(ctx, b.cfg)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(slices.Clone(partitions), func(p record.TopicPartition) bool { _, known := b.at[p]; return known })
	for _, file := range slices.Backward(files) {
		if len(open) == 0 {
			break
		}
		l, err := readLedger(ctx, b.cfg, file)
		if err != nil && !unreadable(err) {
			return err
		}
		if err != nil || l.Run.Group != b.run.Group {
			continue
		}
		if l.Sum().Events > 0 {
			if _, err := b.cfg.size(ctx, eventsPath(windowOf(file))); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
		}
		for _, p := range l.Partitions {
			if p.Read > 0 {
				b.advance([]Position{{p.At(p.LastOffset + 1), p.Slots}}, l.Run)
			}
		}
		open = slices.DeleteFunc(open, func(p record.TopicPartition) bool { _, known := b.at[p]; return known })
	}
	return nil
}

// Positions returns where the group stands by this output, in order of partition.
func (b *Book) Positions() []record.ID {
	var all []record.ID
	for p, offset := range b.at {
		all = append(all, p.At(offset))
	}
	slices.SortFunc(all, record.ID.Compare)
	return all
}

// Carry returns what the next window must know of those before.
func (b *Book) Carry() Carry { return b.carry }

// Latest returns the latest picture of the newest hour and the windows behind it.
func (b *Book) Latest() (latest Latest) {
	ledgers := slices.Clone(b.hour.Ledgers)
	for _, w := range b.windows {
		ledgers = append(ledgers, w.ledger)
	}
	for _, l := range ledgers {
		if latest.Before(l.Latest) {
			latest = l.Latest
		}
	}
	return latest
}

// Keep makes a window count: it stages the window's events and then keeps its ledger, in
// which next are the positions behind the window. A *WrongError says that the ledger is
// not that of a window that was read once: then nothing was kept.
func (b *Book) Keep(ctx context.Context, name string, l Ledger, next []record.ID) (Ledger, error) {
	l.Run, l.Number = b.run, b.number+1
	carry := b.carry.After(l)
	for i := range l.Partitions {
		l.Partitions[i].Slots = nil
	}
	l.Positions = nil
	for _, id := range next {
		i := slices.IndexFunc(carry, func(c PartitionSlots) bool { return c.TopicPartition == id.TopicPartition })
		p := Position{ID: id}
		if i >= 0 {
			p.Slots = carry[i].Slots
		}
		l.Positions = append(l.Positions, p)
	}
	if err := b.check(ctx, name, &l); err != nil {
		return Ledger{}, err
	}
	if l.Sum().Events > 0 {
		if err := b.rename(ctx, pending(b.cfg, name+eventsExtension), b.staged(name)); err != nil {
			return Ledger{}, fmt.Errorf("staging the window's events: %w", err)
		}
	}
	if err := putLedger(ctx, b.cfg, b.dir+"/"+name+ledgerExtension, l); err != nil {
		return Ledger{}, err
	}
	// If this fails, End removes the file.
	_ = b.remove(ctx, []string{pending(b.cfg, name+ledgerExtension)})
	b.windows, b.number, b.carry = append(b.windows, window{name, l}), l.Number, carry
	for _, id := range next {
		b.at[id.TopicPartition] = id.Offset
	}
	return l, nil
}

// check checks a ledger against itself, against where the group stood, and against the
// events that were written; their bytes are those of the file. Spark may do a bundle again
// between counting and writing, and the time that detection took differs each time.
func (b *Book) check(ctx context.Context, name string, l *Ledger) error {
	for _, p := range l.Partitions {
		if at, known := b.at[p.TopicPartition]; known && p.Read > 0 && p.FirstOffset < at {
			return &WrongError{fmt.Sprintf("%s was read before, the group stands at offset %d", p.At(p.FirstOffset), at)}
		}
	}
	if wrong := l.Wrong(); len(wrong) > 0 {
		return &WrongError{strings.Join(wrong, "; ")}
	}
	var data []byte
	var err error
	if l.Sum().Events > 0 {
		if data, err = b.cfg.read(ctx, pending(b.cfg, name+eventsExtension)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the events that the window wrote: %w", err)
		}
	}
	return l.setEventBytes(data)
}

// Due reports whether it is time to gather.
func (b *Book) Due(idle bool) bool {
	since := time.Since(b.gathered)
	return len(b.windows) >= gatherWindows || len(b.windows) > 0 && (since >= gatherEvery || idle && since >= gatherIdle)
}

// Gather adds the windows to their hours' files, and publishes their events. Whenever it
// ends, each event is published at most once, and what is done is found to be done.
func (b *Book) Gather(ctx context.Context) error {
	for len(b.windows) > 0 {
		n := 1
		hour := b.hourOf(b.windows[0])
		for n < min(len(b.windows), gatherWindows) && b.hourOf(b.windows[n]) == hour {
			n++
		}
		if err := b.gather(ctx, hour, b.windows[:n]); err != nil {
			return fmt.Errorf("gathering ledgers and events: %w", err)
		}
	}
	b.gathered = time.Now()
	return nil
}

// hourOf returns the hour that a window is gathered into: never one before the newest,
// whatever became of the clock.
func (b *Book) hourOf(w window) string {
	t, err := time.Parse(hourOfWindow, w.name[:min(len(w.name), len(hourOfWindow))])
	if err != nil {
		return max(b.hour.Hour, noHour)
	}
	return max(b.hour.Hour, t.Format(hourName))
}

func (b *Book) gather(ctx context.Context, hour string, windows []window) error {
	next := b.hour
	if hour != next.Hour {
		if next.Number > 0 {
			if err := b.putHour(ctx, archived(b.dir, next.Hour), next); err != nil {
				return err
			}
		}
		next = Hour{Hour: hour}
	}
	next.Ledgers = slices.Clone(next.Ledgers)
	var events bytes.Buffer
	var done []string
	for _, w := range windows {
		done = append(done, b.dir+"/"+w.name+ledgerExtension)
		next.add(w.ledger)
		if w.ledger.Sum().Events == 0 {
			continue
		}
		done = append(done, b.staged(w.name))
		data, err := b.cfg.read(ctx, b.staged(w.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // verify reports missing ones
			return err
		}
		events.Write(data)
	}
	var err error
	if next.Events, err = b.publish(ctx, next.Events, windows[0].name, events.Bytes()); err != nil {
		return err
	}
	if err := b.putHour(ctx, b.dir+"/"+hourFile, next); err != nil {
		return err
	}
	b.hour, b.windows = next, b.windows[len(windows):]
	return b.remove(ctx, done)
}

// add merges the ledger of the next window.
func (h *Hour) add(l Ledger) {
	h.Number, h.Positions = l.Number, l.Positions
	i := slices.IndexFunc(h.Ledgers, func(other Ledger) bool { return other.Run.SettingsSHA256 == l.Run.SettingsSHA256 })
	merged := l
	if i >= 0 {
		merged = Merge(h.Ledgers[i], l)
		h.Ledgers = slices.Delete(h.Ledgers, i, i+1)
	}
	merged.Run, merged.Number, merged.Positions = l.Run, l.Number, nil
	h.Ledgers = append(h.Ledgers, merged)
}

// publish appends lines to the last of the files, or begins another one.
func (b *Book) publish(ctx context.Context, files []EventsFile, name string, lines []byte) ([]EventsFile, error) {
	if len(lines) == 0 {
		return files, nil
	}
	files = slices.Clone(files)
	var before []byte
	n := len(files)
	if n > 0 && files[n-1].Bytes < maxEventsPart {
		data, err := b.cfg.read(ctx, files[n-1].File)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if int64(len(data)) >= files[n-1].Bytes { // else somebody has changed it, and verify reports it
			before = data[:files[n-1].Bytes]
		}
	}
	if before == nil {
		files = append(files, EventsFile{File: eventsPath(name)})
		n++
	}
	files[n-1].Bytes = int64(len(before) + len(lines))
	return files, b.cfg.put(ctx, files[n-1].File, slices.Concat(before, lines))
}

func (b *Book) staged(name string) string { return b.dir + "/" + name + eventsExtension }

func (b *Book) putHour(ctx context.Context, name string, h Hour) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return b.cfg.put(ctx, name, append(data, '\n'))
}

func (b *Book) rename(ctx context.Context, from, to string) error {
	return b.cfg.with(ctx, func(fsys filesystem.Interface) error {
		to := join(b.cfg.Root, to)
		return inFolder(ctx, fsys, to, func() error { return filesystem.Rename(ctx, fsys, join(b.cfg.Root, from), to) })
	})
}

func (b *Book) remove(ctx context.Context, names []string) error {
	return b.cfg.with(ctx, func(fsys filesystem.Interface) error {
		for _, name := range names {
			if err := ignoreGone(remove(ctx, fsys, join(b.cfg.Root, name))); err != nil {
				return err
			}
		}
		return nil
	})
}

// A shelf is the files of a book.
type shelf struct {
	hour       Hour
	windows    []window // in order of number
	done       []string // files that are gathered, or that belong to no window
	unreadable []string
}

func (s shelf) number() int64 {
	if n := len(s.windows); n > 0 {
		return s.windows[n-1].ledger.Number
	}
	return s.hour.Number
}

// readShelf reads a book's newest hour and the windows behind it. If that hour cannot be
// read, it is the one before.
func readShelf(ctx context.Context, cfg Config, dir string) (s shelf, err error) {
	names, err := cfg.list(ctx, dir+"/*")
	if err != nil {
		return s, err
	}
	take := func(name string, into any) (ok bool, err error) {
		err = readJSON(ctx, cfg, name, into)
		if unreadable(err) {
			s.unreadable = append(s.unreadable, name)
			return false, nil
		}
		return err == nil, ignoreGone(err)
	}
	if slices.Contains(names, dir+"/"+hourFile) {
		ok, err := take(dir+"/"+hourFile, &s.hour)
		if err != nil {
			return s, err
		}
		for hours := []string(nil); !ok; hours = hours[:len(hours)-1] {
			s.hour = Hour{}
			if hours == nil {
				if hours, err = cfg.list(ctx, dir+"/*/*"+ledgerExtension); err != nil {
					return s, err
				}
			}
			if len(hours) == 0 {
				break
			}
			if ok, err = take(hours[len(hours)-1], &s.hour); err != nil {
				return s, err
			}
		}
	}
	for _, name := range names {
		if path.Ext(name) != ledgerExtension || path.Base(name) == hourFile {
			continue
		}
		var l Ledger
		read := len(s.unreadable)
		ok, err := take(name, &l)
		if err != nil {
			return s, err
		}
		if !ok && read == len(s.unreadable) { // it is gone: a run has gathered it
			return readShelf(ctx, cfg, dir)
		}
		if ok && l.Number > s.hour.Number {
			s.windows = append(s.windows, window{windowOf(name), l})
		} else if ok {
			s.done = append(s.done, name)
		}
	}
	slices.SortFunc(s.windows, func(a, b window) int { return cmp.Compare(a.ledger.Number, b.ledger.Number) })
	for _, name := range names {
		counts := func(w window) bool { return w.name == windowOf(name) }
		if path.Ext(name) != eventsExtension || slices.ContainsFunc(s.windows, counts) {
			continue
		}
		if slices.Contains(s.unreadable, dir+"/"+windowOf(name)+ledgerExtension) {
			s.unreadable = append(s.unreadable, name)
		} else {
			s.done = append(s.done, name)
		}
	}
	return s, nil
}

// BookFile is a file with ledgers of an output.
type BookFile struct {
	Name    string // below the root
	Book    string // the folder of its book, below the root; empty for a window of an older version
	Number  int64  // of its last window; 0 for those of an older version
	Ledgers []Ledger
	// Positions are those behind its last window; none for those of an older version.
	Positions []Position
	// Events are those of the ledgers. For a window that is not gathered, the file is not
	// published yet.
	Events []EventsFile
	Err    error // why it cannot be read; then there is nothing but its name
}

// Books calls visit with all ledgers of an output: those of older versions, then book by
// book the hours in order and the windows that are not gathered. A file that cannot be
// understood is no error of Books.
func Books(ctx context.Context, cfg Config, visit func(BookFile) error) error {
	flat, err := flatLedgers(ctx, cfg)
	if err != nil {
		return err
	}
	for _, name := range flat {
		l, err := readLedger(ctx, cfg, name)
		f := BookFile{Name: name, Ledgers: []Ledger{l}}
		if n := l.Sum(); n.Events > 0 {
			f.Events = []EventsFile{{eventsPath(windowOf(name)), n.EventBytes}}
		}
		if unreadable(err) {
			f, err = BookFile{Name: name, Err: err}, nil
		}
		if err == nil {
			err = visit(f)
		}
		if err != nil {
			return err
		}
	}
	folders, err := bookFolders(ctx, cfg)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		if err := readBook(ctx, cfg, dir, visit); err != nil {
			return err
		}
	}
	return nil
}

func readBook(ctx context.Context, cfg Config, dir string, visit func(BookFile) error) error {
	ofHour := func(name string, h Hour) BookFile {
		return BookFile{Name: name, Book: dir, Number: h.Number, Ledgers: h.Ledgers, Positions: h.Positions, Events: h.Events}
	}
	last := "" // that was visited
	visitHours := func(names []string) error {
		for _, name := range names {
			var h Hour
			err := readJSON(ctx, cfg, name, &h)
			f := ofHour(name, h)
			if unreadable(err) {
				f, err = BookFile{Name: name, Book: dir, Err: err}, nil
			}
			if err == nil {
				err = visit(f)
			}
			if err != nil {
				return err
			}
			last = name
		}
		return nil
	}
	// A run may go on, and these take the longest. The last one may be the newest hour's, too.
	hours, err := cfg.list(ctx, dir+"/*/*"+ledgerExtension)
	if err != nil {
		return err
	}
	if err := visitHours(hours[:max(0, len(hours)-1)]); err != nil {
		return err
	}
	newest, err := readShelf(ctx, cfg, dir)
	if err != nil {
		return err
	}
	aside, err := cfg.list(ctx, dir+"/*"+unreadableExtension)
	if err != nil {
		return err
	}
	for _, name := range append(aside, newest.unreadable...) {
		err := readJSON(ctx, cfg, name, new(Hour))
		if err == nil {
			err = errors.New("it was set aside, because it could not be read")
		}
		if err := visit(BookFile{Name: name, Book: dir, Err: err}); err != nil {
			return err
		}
	}
	if hours, err = cfg.list(ctx, dir+"/*/*"+ledgerExtension); err != nil {
		return err
	}
	hours = slices.DeleteFunc(hours, func(name string) bool {
		return name <= last || newest.hour.Number > 0 && name >= archived(dir, newest.hour.Hour) || slices.Contains(newest.unreadable, name)
	})
	if err := visitHours(hours); err != nil {
		return err
	}
	if newest.hour.Number > 0 {
		if err := visit(ofHour(dir+"/"+hourFile, newest.hour)); err != nil {
			return err
		}
	}
	for _, w := range newest.windows {
		f := BookFile{Name: dir + "/" + w.name + ledgerExtension, Book: dir, Number: w.ledger.Number, Ledgers: []Ledger{w.ledger}, Positions: w.ledger.Positions}
		if n := w.ledger.Sum(); n.Events > 0 {
			f.Events = []EventsFile{{dir + "/" + w.name + eventsExtension, n.EventBytes}}
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// bookFolder is the folder of a book below the root. Two groups, or two sets of topics,
// never share one.
func bookFolder(group string, topics []string) string {
	topics = slices.Sorted(slices.Values(topics))
	name := escape(group) + "+" + escape(strings.Join(topics, ","))
	if len(name) > maxPart {
		name = cut(name, group+"\x00"+strings.Join(topics, ","))
	}
	return ledgerFolder + "/" + name
}

// archived is the file of an hour that is over.
func archived(dir, hour string) string {
	return fmt.Sprintf("%s/%s/%s%s", dir, hour[:monthOfHour], strings.TrimPrefix(hour[monthOfHour:], "-"), ledgerExtension)
}

// bookFolders returns the folders of all books.
func bookFolders(ctx context.Context, cfg Config) ([]string, error) {
	names, err := cfg.list(ctx, ledgerFolder+"/*/*")
	for i := range names {
		names[i] = path.Dir(names[i])
	}
	return slices.Compact(names), err
}

// flatLedgers returns the files of windows of an older version, in order of time.
func flatLedgers(ctx context.Context, cfg Config) ([]string, error) {
	return cfg.list(ctx, ledgerFolder+"/*"+ledgerExtension)
}

// windowOf returns the name of a window by that of one of its files.
func windowOf(file string) string { return strings.TrimSuffix(path.Base(file), path.Ext(file)) }

// list returns the names below the root that match a pattern, in order.
func (c Config) list(ctx context.Context, glob string) (names []string, err error) {
	err = c.with(ctx, func(fsys filesystem.Interface) (err error) {
		names, err = fsys.List(ctx, join(c.Root, glob))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for ledgers: %w", err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], join(c.Root, ""))
	}
	slices.Sort(names)
	return names, nil
}

func (c Config) size(ctx context.Context, name string) (n int64, err error) {
	err = c.with(ctx, func(fsys filesystem.Interface) (err error) {
		n, err = fsys.Size(ctx, join(c.Root, name))
		return err
	})
	return n, err
}

// errMalformed is wrapped by the error of a file that is JSON and no ledger.
var errMalformed = errors.New("not a ledger")

// valid returns an error that wraps errMalformed if the numbers of a window or an hour
// cannot be those that a Book gives.
func valid(number int64, hour string) error {
	if _, err := time.Parse(hourName, hour); err != nil || number < 1 {
		return fmt.Errorf("%w: number %d, hour %q", errMalformed, number, hour)
	}
	return nil
}

// readJSON reads a file of a book. Of one that is not what it should be, the error is
// unreadable.
func readJSON(ctx context.Context, cfg Config, name string, into any) error {
	data, err := cfg.read(ctx, name)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err == nil && path.Dir(name) != ledgerFolder && !strings.HasPrefix(name, tmpDir) {
		switch v := into.(type) {
		case *Hour:
			err = valid(v.Number, v.Hour)
		case *Ledger:
			err = valid(v.Number, noHour)
		}
	}
	if err != nil {
		return fmt.Errorf("reading the ledger %s: %w", join(cfg.Root, name), err)
	}
	return nil
}

func unreadable(err error) bool {
	return errors.As(err, new(*json.SyntaxError)) || errors.As(err, new(*json.UnmarshalTypeError)) || errors.Is(err, errMalformed)
}
