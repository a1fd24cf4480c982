package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// book is what is known of the book whose ledgers are being added.
type book struct {
	name      string
	number    int64 // of the last window
	positions map[record.TopicPartition]int64
	torn      bool // a ledger cannot be read, so numbers are missing
}

// ledger is what a ledger says of a partition, and what was found of it. Only what
// begins with a capital letter is in its fact.
type ledger struct {
	Name, Hour, Book, Group string
	Seq                     int    // of all ledgers
	Settings                string // their SHA-256
	Stored                  store.Stored
	Lists                   bool // all frames of which something was stored; in older versions, those with files
	store.Partition
	Last int64 // offset that it says something about

	here
	families                []int
	files, bytes            int64
	events, eventBytes      int64
	filesMissing, filesVary bool // another has read some of its records with other settings, and maybe later
	eventsWrong, eventsVary bool // the same, and of its group
	readAgain               bool // by its group
}

// AddLedgers adds a file of ledgers, in the order of store.Books. It returns the group
// whose events are in the file's Events.
func (a *Audit) AddLedgers(f store.BookFile) (group string) {
	name := strings.TrimSuffix(strings.TrimPrefix(f.Name, "_windows/"), ".json")
	if a.book.name != f.Book {
		a.book = book{name: f.Book, positions: map[record.TopicPartition]int64{}}
	}
	if f.Err != nil {
		a.report.Ledgers++
		a.book.torn = true
		a.wrongLedger(LedgerUnreadable, name, ": %v", f.Err)
		return ""
	}
	window, hour := windowOf(f.Name), hourOf(f.Name)
	if f.Book != "" {
		a.checkOrder(name, window, f)
	}
	for _, l := range f.Ledgers {
		a.report.Ledgers++
		a.addLedger(ledger{Name: name, Hour: hour, Book: f.Book, Group: l.Run.Group, Seq: a.report.Ledgers, Lists: l.Number > 0}, l)
		group = l.Run.Group
	}
	a.newest = max(a.newest, window)
	a.addClaims(f, name, group, hour == "")
	if f.Book != "" && window != "" {
		a.eventsOf(window).open = true
		return group
	}
	for i, e := range f.Events {
		file := a.eventsOf(windowOf(e.File))
		file.ledger, file.bytes = name, e.Bytes
		file.open = file.open || f.Book == "" || hour == "" && i == len(f.Events)-1
		a.newest = max(a.newest, windowOf(e.File))
	}
	return group
}

func (a *Audit) wrongLedger(kind, name, text string, args ...any) {
	a.report.Add(Problem{Kind: kind, Ledger: name, Text: "ledger " + name + fmt.Sprintf(text, args...)})
}

// windowOf returns the name of a window by that of one of its files; of a file with the
// ledgers of an hour, it is empty.
func windowOf(name string) string {
	base := strings.TrimSuffix(path.Base(name), path.Ext(name))
	if base == "hour" || strings.Count(name, "/") == 3 {
		return ""
	}
	return base
}

// hourOf returns when a file of ledgers is of: the name of its window, or what such names
// begin with in that hour. Of the newest hour, it is empty.
func hourOf(name string) string {
	if parts := strings.Split(name, "/"); len(parts) == 4 { // _windows/BOOK/2006-01/02T15.json
		return strings.ReplaceAll(parts[2], "-", "") + strings.TrimSuffix(parts[3], path.Ext(name))
	}
	return windowOf(name)
}

// before reports whether one hourOf is before another for certain.
func before(a, b string) bool {
	n := min(len(a), len(b))
	return a[:n] < b[:n]
}

// checkOrder checks that a book's files of ledgers follow one another.
func (a *Audit) checkOrder(name, window string, f store.BookFile) {
	b := &a.book
	switch {
	case f.Number <= b.number:
		a.wrongLedger(LedgerOrder, name, ": its number is %d, and that of the one before it is %d", f.Number, b.number)
	case window != "" && !b.torn && f.Number > b.number+1:
		a.wrongLedger(LedgerOrder, name, ": its number is %d, and that of the one before it is %d: one is missing", f.Number, b.number)
	}
	b.number = max(b.number, f.Number)
	for _, p := range f.Positions {
		if last := b.positions[p.TopicPartition]; p.Offset < last {
			a.wrongLedger(LedgerOrder, name, ": it stands at %s, and the one before it at offset %d", p.ID, last)
		}
		b.positions[p.TopicPartition] = max(b.positions[p.TopicPartition], p.Offset)
	}
	for _, l := range f.Ledgers {
		for _, p := range l.Partitions {
			if at := b.positions[p.TopicPartition]; p.Read > 0 && p.LastOffset >= at {
				a.wrongLedger(LedgerOrder, name, ": it has %s, and stands at offset %d", p.At(p.LastOffset), at)
			}
		}
	}
}

// addLedger checks a ledger by itself and makes facts of it.
func (a *Audit) addLedger(base ledger, l store.Ledger) {
	base.Settings, base.Stored = settingsSum(l.Run), l.Run.Stored()
	base.families = familiesOf(base.Stored)
	base.Lists = base.Lists || len(base.families) > 0
	a.sample.settings[base.Settings] = l.Run.Settings
	if base.Settings != l.Run.SettingsSHA256 {
		a.wrongLedger(LedgerSum, base.Name, ": its settings have the SHA-256 %s, and it says %q", base.Settings, l.Run.SettingsSHA256)
	}
	if err := l.Run.SameTopics(a.ids); err != nil {
		a.wrongLedger(TopicAnew, base.Name, ": %v", err)
	}
	for _, p := range l.Partitions {
		for _, text := range (store.Ledger{Run: l.Run, Partitions: []store.Partition{p}}).Wrong() {
			a.report.Add(Problem{Kind: LedgerSum, Ledger: base.Name, Topic: p.Topic, Partition: &p.Partition, Text: fmt.Sprintf("ledger %s, %s", base.Name, text)})
		}
		topic, asked := slices.BinarySearch(a.topics, p.Topic)
		if !asked {
			a.others[store.TopicInNames(p.Topic)] = &OtherTopic{Topic: p.Topic}
			continue
		}
		one := base
		one.Partition, one.Slots, one.Rejected = p, nil, nil
		for _, ranges := range []*[]record.Range{&one.Offsets, &one.Pictures, &one.Rejects, &one.Lost} {
			*ranges = record.Union(*ranges) // of a wrong ledger, what can be
		}
		all := record.Union(slices.Concat(one.Offsets, one.Pictures, one.Rejects, one.Lost, one.span()))
		if len(all) == 0 {
			continue
		}
		one.Last = record.End(all) - 1
		data, _ := json.Marshal(one) // it holds text and numbers only
		a.facts.add(topic, p.Partition, all[0].First, ledgerFact, string(data))
	}
}

// settingsSum returns the SHA-256 of the compact settings.
func settingsSum(run store.Run) string {
	var compact bytes.Buffer
	if err := json.Compact(&compact, run.Settings); err != nil {
		return "" // no JSON, so none
	}
	sum := sha256.Sum256(compact.Bytes())
	return hex.EncodeToString(sum[:])
}

// span is from where the group stood to the last record.
func (l *ledger) span() []record.Range {
	if l.Read == 0 || l.From > l.LastOffset {
		return nil
	}
	return []record.Range{{First: l.From, Last: l.LastOffset}}
}

// look sets what the ledger says of an offset, and returns up to where that holds.
func (l *ledger) look(at int64) (last int64) {
	last = l.Last
	in := func(ranges []record.Range) bool {
		i, _ := slices.BinarySearchFunc(ranges, at, func(r record.Range, at int64) int { return cmp.Compare(r.Last, at) })
		if i == len(ranges) {
			return false
		}
		inside := ranges[i].First <= at
		if inside {
			last = min(last, ranges[i].Last)
		} else {
			last = min(last, ranges[i].First-1)
		}
		return inside
	}
	l.here = here{covered: in(l.Offsets), pictures: in(l.Pictures), rejected: in(l.Rejects), lost: in(l.Lost), spanned: in(l.span())}
	return last
}

// here is what a ledger says of a stretch.
type here struct{ covered, pictures, rejected, lost, spanned, purged, eventsPurged bool }
