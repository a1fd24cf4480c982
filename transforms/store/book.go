package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

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
	Purged    int64        `json:"purged,omitempty"` // of how many of its records the events were purged
	Tables    []Table      `json:"tables,omitempty"` // of pictures that are rows
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

	shelf
	cfg      Config
	run      Run
	dir      string // below the root
	topics   []string
	at       map[record.TopicPartition]int64
	carry    Carry
	gathered time.Time
}

// OpenBook reads where the group of a run stands in topics, by its own book and by the
// others of this output. It completes what an earlier run has left undone.
func OpenBook(ctx context.Context, cfg Config, run Run, topics []string, partitions []record.TopicPartition) (*Book, error) {
	b := &Book{cfg: cfg, run: run, dir: bookFolder(run.Group, topics), topics: topics, at: map[record.TopicPartition]int64{}, carry: Carry{}, gathered: time.Now()}
	if err := b.open(ctx, partitions); err != nil {
		return nil, fmt.Errorf("opening the group's ledgers: %w", err)
	}
	return b, nil
}

func (b *Book) open(ctx context.Context, partitions []record.TopicPartition) error {
	own, err := readShelf(ctx, b.cfg, b.dir)
	if err != nil {
		return err
	}
	for _, name := range own.unreadable {
		b.Notes = append(b.Notes, fmt.Sprintf("%s cannot be read and is set aside with the extension %s; verify tells what is missing", b.cfg.path(name), unreadableExtension))
		if err := b.cfg.rename(ctx, name, name+unreadableExtension); err != nil {
			return err
		}
	}
	if err := b.cfg.remove(ctx, own.done...); err != nil {
		return err
	}
	b.shelf = own
	if err := b.follow(own); err != nil {
		return err
	}
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
			if err := b.follow(other); err != nil {
				return err
			}
		}
	}
	if b.last().Number == 0 {
		if err := b.readFlat(ctx, partitions); err != nil {
			return err
		}
	}
	// Only what is read matters.
	for p := range b.at {
		if !slices.Contains(b.topics, p.Topic) {
			delete(b.at, p)
			delete(b.carry, p)
		}
	}
	return nil
}

// follow goes on from the positions of a book of this group.
func (b *Book) follow(s shelf) error {
	last := s.last()
	if last.Run.Group == b.run.Group {
		b.advance(last.Positions, last.Run)
	}
	return last.Run.SameTopics(b.run.TopicIDs)
}

// SameTopics returns an error that wraps record.ErrTopicAnew if the run has read other topics
// than those with these ids, of the same names.
func (r Run) SameTopics(ids map[string]string) error {
	for _, topic := range slices.Sorted(maps.Keys(ids)) { // for the same error each time
		if before, id := r.TopicIDs[topic], ids[topic]; before != "" && before != id {
			return fmt.Errorf("topic %s %w since group %s read it: it had the id %s, and has %s; its records would have the names of those before, so use another output, and another group, too, unless Kafka was moved with its records and the group's offsets", topic, record.ErrTopicAnew, r.Group, before, id)
		}
	}
	return nil
}

// CheckTopics is Run.SameTopics of every book, whatever its group.
func CheckTopics(ctx context.Context, cfg Config, ids map[string]string) error {
	folders, err := bookFolders(ctx, cfg)
	if err != nil {
		return err
	}
	for _, dir := range folders {
		s, err := readShelf(ctx, cfg, dir)
		if err == nil {
			err = s.last().Run.SameTopics(ids)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// advance goes on from positions that are further than what is known. With other settings,
// slots have another length and faces are others.
func (b *Book) advance(positions []Position, run Run) {
	for _, p := range positions {
		if at, known := b.at[p.TopicPartition]; known && at >= p.Offset {
			continue
		}
		b.at[p.TopicPartition] = p.Offset
		if run.SettingsSHA256 == b.run.SettingsSHA256 && len(p.Slots) > 0 {
			b.carry[p.TopicPartition] = p.Slots
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
			if _, err := b.cfg.Size(ctx, eventsPath(windowOf(file))); errors.Is(err, fs.ErrNotExist) {
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

// Has reports whether a file is one of the book.
func (b *Book) Has(f BookFile) bool { return f.Book == b.dir }

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

// Keep makes a window count: it stages the window's events and tables and then keeps its
// ledger, in which next are the positions behind the window. A *WrongError says that the ledger is
// not that of a window that was read once: then nothing was kept.
func (b *Book) Keep(ctx context.Context, name string, l Ledger, next []record.ID) (Ledger, error) {
	l.Run, l.Number = b.run, b.last().Number+1
	carry := b.carry.After(l)
	for i := range l.Partitions {
		l.Partitions[i].Slots = nil
	}
	l.Positions = nil
	for _, id := range next {
		l.Positions = append(l.Positions, Position{id, carry[id.TopicPartition]})
	}
	if err := b.check(ctx, name, &l); err != nil {
		return Ledger{}, err
	}
	if l.Sum().Events > 0 {
		if err := b.cfg.rename(ctx, pending(b.cfg, name+eventsExtension), b.staged(name+eventsExtension)); err != nil {
			return Ledger{}, fmt.Errorf("staging the window's events: %w", err)
		}
	}
	for _, t := range l.Tables {
		if err := b.cfg.rename(ctx, pending(b.cfg, path.Base(t.File)), b.staged(t.File)); err != nil {
			return Ledger{}, fmt.Errorf("staging the window's pictures: %w", err)
		}
	}
	if err := putLedger(ctx, b.cfg, b.dir+"/"+name+ledgerExtension, l); err != nil {
		return Ledger{}, err
	}
	// If this fails, End removes the file.
	_ = b.cfg.remove(ctx, append(b.leftovers(ctx, name), pending(b.cfg, name+ledgerExtension))...)
	b.windows, b.carry = append(b.windows, window{name, l}), carry
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
	if s := l.Run.Stored(); s.Rows {
		var rows, pictures int64
		for _, t := range l.Tables {
			rows += t.Rows
		}
		for _, p := range l.Partitions {
			pictures += record.Count(p.Pictures)
		}
		if rows != pictures {
			return &WrongError{fmt.Sprintf("its tables have %d rows, and %d records have pictures", rows, pictures)}
		}
	}
	var data []byte
	var err error
	if l.Sum().Events > 0 {
		if data, err = b.cfg.Read(ctx, pending(b.cfg, name+eventsExtension)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// Gather adds the windows to their hours' files, and publishes their events and tables.
// Whenever it ends, each event and row is published at most once, and what is done is found
// to be done.
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
			if err := b.cfg.putJSON(ctx, archived(b.dir, next.Hour), next, json.Marshal); err != nil {
				return err
			}
		}
		next = Hour{Hour: hour}
	}
	next.Ledgers = slices.Clone(next.Ledgers)
	var events bytes.Buffer
	var done []string
	var staged []Table
	for _, w := range windows {
		done = append(done, b.dir+"/"+w.name+ledgerExtension)
		next.add(w.ledger)
		for _, t := range w.ledger.Tables {
			staged, done = append(staged, t), append(done, b.staged(t.File))
		}
		if w.ledger.Sum().Events == 0 {
			continue
		}
		if !b.cfg.HoldEvents {
			done = append(done, b.staged(w.name+eventsExtension))
		}
		data, err := b.cfg.Read(ctx, b.staged(w.name+eventsExtension))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // verify reports missing ones
			return err
		}
		events.Write(data)
	}
	var err error
	if next.Events, err = b.publish(ctx, next.Events, windows[0].name, events.Bytes()); err != nil {
		return err
	}
	if next.Tables, err = b.publishTables(ctx, next.Tables, staged); err != nil {
		return err
	}
	if err := b.cfg.putJSON(ctx, b.dir+"/"+hourFile, next, json.Marshal); err != nil {
		return err
	}
	b.hour, b.windows = next, b.windows[len(windows):]
	for _, w := range windows {
		if b.cfg.HoldEvents && w.ledger.Sum().Events > 0 {
			b.held = append(b.held, w.name)
		}
	}
	return b.cfg.remove(ctx, done...)
}

// Held returns the windows whose staged events are there with Config.HoldEvents, in order.
func (b *Book) Held() []string {
	all := slices.Clone(b.held)
	for _, w := range b.windows {
		if w.ledger.Sum().Events > 0 {
			all = append(all, w.name)
		}
	}
	slices.Sort(all)
	return all
}

// Release removes the staged events of those windows that are gathered.
func (b *Book) Release(ctx context.Context, windows []string) error {
	var names, held []string
	for _, w := range b.held {
		if slices.Contains(windows, w) {
			names = append(names, b.staged(w+eventsExtension))
		} else {
			held = append(held, w)
		}
	}
	if err := b.cfg.remove(ctx, names...); err != nil {
		return err
	}
	b.held = held
	return nil
}

// StagedEvents returns the events of a window, a line each, as long as they are staged.
func StagedEvents(ctx context.Context, cfg Config, group string, topics []string, window string) ([]byte, error) {
	return cfg.Read(ctx, bookFolder(group, topics)+"/"+window+eventsExtension)
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
	merged.Run, merged.Number, merged.Positions, merged.Tables = l.Run, l.Number, nil, nil
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
		data, err := b.cfg.Read(ctx, files[n-1].File)
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

// staged is the name of a file of a window that is kept and not gathered.
func (b *Book) staged(name string) string { return b.dir + "/" + path.Base(name) }

// leftovers returns the tables of a window that a bundle wrote which was done again.
func (b *Book) leftovers(ctx context.Context, window string) []string {
	if !b.run.Stored().Rows {
		return nil
	}
	names, _ := b.cfg.Glob(ctx, pending(b.cfg, window+tableMark+"*"+tableExtension)) // if this fails, End removes them
	return names
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
