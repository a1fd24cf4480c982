// Package audit compares what the ledgers say with the files that are there and
// with what Kafka holds. It reads none of them itself.
package audit

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"facestream/internal/record"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// Audit gathers what is to be compared.
//
// A run may go on meanwhile if the parts are read in this order: the committed
// offsets, the ledgers, the files, the log. A window first stores its files, then its
// ledger, and then it commits.
type Audit struct {
	windows   []Window
	parts     map[record.TopicPartition]*part
	topics    map[string]string // those asked for, by their names in file names
	others    map[string]*OtherTopic
	temporary []temporaryFile
	events    map[string]int64 // sizes of the files of events, by window
	newest    time.Time
	problems  []Problem
	settled   bool
}

// part is what the ledgers say of a partition, and its files.
type part struct {
	record.TopicPartition
	covered []record.Range
	lost    []record.Range
	spans   []record.Range // from where the group stood to the last record of each ledger
	files   [len(families)]files
}

type temporaryFile struct {
	name     string
	modified time.Time
}

// Log is what Kafka holds of a partition, and where the group stands.
type Log struct {
	kafka.Log
	Committed int64 // next offset to be read; NotCommitted if the group has committed none
}

// NotCommitted stands for an offset that a group has not committed.
const NotCommitted = -1

// New returns an Audit of topics with the ledgers of all windows, in order of
// time.
func New(topics []string, windows []Window) *Audit {
	a := &Audit{
		windows: windows, parts: map[record.TopicPartition]*part{},
		topics: map[string]string{}, others: map[string]*OtherTopic{}, events: map[string]int64{},
	}
	for _, topic := range topics {
		a.topics[inNames(topic)] = topic
	}
	for _, w := range windows {
		a.problems = append(a.problems, w.check()...)
		settings := settingsOf(w.Ledger.Run)
		for _, l := range w.Ledger.Partitions {
			if !slices.Contains(topics, l.Topic) {
				a.others[inNames(l.Topic)] = &OtherTopic{Topic: l.Topic}
				continue
			}
			p := a.part(l.TopicPartition)
			p.covered = append(p.covered, l.Offsets...)
			p.lost = append(p.lost, l.Lost...)
			for _, which := range settings.families() {
				p.expect(which, l.Pictures)
			}
			p.expect(rejects, l.Rejects)
			if settings.KeepBytes > 0 {
				p.expect(kept, l.Rejects)
			}
			if l.Read > 0 {
				p.spans = append(p.spans, record.Range{First: l.From, Last: l.LastOffset})
			}
		}
	}
	for _, p := range a.parts {
		p.covered, p.lost, p.spans = record.Union(p.covered), record.Union(p.lost), record.Union(p.spans)
		for i := range p.files {
			p.files[i].expected = record.Union(p.files[i].expected)
		}
	}
	return a
}

func (p *part) expect(which int, ranges []record.Range) {
	p.files[which].expected = append(p.files[which].expected, ranges...)
}

// inNames returns a topic as it comes back from the name of a file: a long one
// is cut there.
func inNames(topic string) string {
	id, _, err := store.ParsePath(store.Name{ID: record.In(topic, 0).At(0)}.Path())
	if err != nil { // the way back from every name is tested
		return topic
	}
	return id.Topic
}

func (a *Audit) part(id record.TopicPartition) *part {
	p := a.parts[id]
	if p == nil {
		p = &part{TopicPartition: id, covered: []record.Range{}, lost: []record.Range{}}
		a.parts[id] = p
	}
	return p
}

// Add adds a file that is there, by its name relative to the root.
func (a *Audit) Add(name string, size int64, modified time.Time) {
	if modified.After(a.newest) {
		a.newest = modified
	}
	kind, id := store.KindOf(name)
	switch kind {
	case store.KindLedger, store.KindStaged, store.KindSuccess, store.KindLatest: // a ledger that was not read yet is newer
	case store.KindEvents:
		a.events[strings.TrimSuffix(path.Base(name), path.Ext(name))] = size
	case store.KindTemporary:
		a.temporary = append(a.temporary, temporaryFile{name, modified})
	case store.KindUnknown:
		a.problems = append(a.problems, Problem{Kind: FileUnknown, File: name, Text: name + " has no name that the pipeline gives"})
	default:
		a.addOfRecord(name, kind, id, size)
	}
}

func (a *Audit) addOfRecord(name string, kind store.Kind, id record.ID, size int64) {
	topic, asked := a.topics[id.Topic]
	if !asked {
		if other := a.others[id.Topic]; other != nil {
			other.Files++
			return
		}
		a.problems = append(a.problems, Problem{
			Kind: FileUnknown, Topic: id.Topic, Partition: &id.Partition, File: name,
			Text: fmt.Sprintf("%s is of topic %s, which was not asked for and is in no ledger", name, id.Topic),
		})
		return
	}
	which := slices.IndexFunc(families[:], func(f family) bool { return f.kind == kind })
	f := &a.part(record.In(topic, id.Partition)).files[which]
	f.found = append(f.found, newFile(name, id.Offset, size))
	a.settled = false
}

// settle prepares all files to be looked up.
func (a *Audit) settle() {
	if a.settled {
		return
	}
	for _, p := range a.parts {
		for i := range p.files {
			p.files[i].settle()
		}
	}
	a.settled = true
}

// Files returns the names of all files of a record that are there.
func (a *Audit) Files(id record.ID) (names []string) {
	a.settle()
	if p := a.parts[id.TopicPartition]; p != nil {
		for i := range p.files {
			from, to := p.files[i].at(id.Range())
			names = append(names, p.names(i, from, to)...)
		}
	}
	return names
}

// Doubtful returns the offsets in the log that must not hold a record: no
// ledger has them, although they are before the committed ones or those of a
// ledger.
func (a *Audit) Doubtful(logs []Log) []record.Offsets {
	var out []record.Offsets
	for _, l := range logs {
		p := a.part(l.TopicPartition)
		if doubtful, _ := p.holes(l); len(doubtful) > 0 {
			out = append(out, record.Offsets{TopicPartition: l.TopicPartition, Ranges: doubtful})
		}
	}
	return out
}

// accounted returns the offsets that are done. Lost ones are, if they are.
func (p *part) accounted(l Log) []record.Range {
	return record.Union(slices.Concat(p.covered, record.Between(p.lost, 0, l.Start)))
}

// holes returns offsets that are in no ledger and should be if they hold records:
// those that are in the log, and those that Kafka has removed. Removed ones that a
// single ledger spans are left out: the run checked these before it kept the ledger.
func (p *part) holes(l Log) (doubtful, removed []record.Range) {
	accounted := p.accounted(l)
	first, behind := l.Start, max(l.Committed, record.End(accounted), 0)
	if len(accounted) > 0 {
		first = min(first, accounted[0].First)
	}
	holes := record.Subtract(record.Between([]record.Range{{First: first, Last: behind - 1}}, 0, behind), accounted)
	return record.Between(holes, l.Start, l.End), record.Subtract(record.Between(holes, 0, l.Start), p.spans)
}

// Report compares. Of the Doubtful offsets, held are those that hold records.
func (a *Audit) Report(logs []Log, held []record.Offsets) Report {
	a.settle()
	r := Report{Ledgers: len(a.windows), Partitions: []Partition{}, OtherTopics: []OtherTopic{}, Problems: []Problem{}}
	byPartition := map[record.TopicPartition]Log{}
	for _, l := range logs {
		byPartition[l.TopicPartition] = l
		a.part(l.TopicPartition)
	}
	gaps := map[record.TopicPartition][]record.Range{}
	for _, h := range held {
		gaps[h.TopicPartition] = h.Ranges
	}
	var problems []Problem
	for _, id := range slices.SortedFunc(maps.Keys(a.parts), record.TopicPartition.Compare) {
		l, known := byPartition[id]
		if !known {
			l.Committed = NotCommitted
		}
		r.Partitions = append(r.Partitions, a.parts[id].report(l, gaps[id], a.windows, func(p Problem) { problems = append(problems, p) }))
	}
	for _, name := range slices.Sorted(maps.Keys(a.others)) {
		r.OtherTopics = append(r.OtherTopics, *a.others[name])
	}
	problems = append(problems, a.checkEvents()...)
	r.Temporary.Files = len(a.temporary)
	for _, t := range a.temporary {
		if a.newest.Sub(t.modified) >= store.TmpAge {
			r.Temporary.Old++
			problems = append(problems, Problem{Kind: TemporaryOld, File: t.name, Text: t.name + " was left by an attempt that is dead; the next run removes it"})
		}
	}
	r.Add(slices.Concat(a.problems, problems)...)
	return r
}

// report compares the partition.
func (p *part) report(l Log, held []record.Range, windows []Window, problem func(Problem)) Partition {
	out := Partition{
		TopicPartition: p.TopicPartition, LogStart: l.Start, LogEnd: l.End,
		Covered: p.covered, Records: record.Count(p.covered), Lost: p.lost,
	}
	if l.Committed != NotCommitted {
		out.Committed = &l.Committed
	}
	accounted := p.accounted(l)
	behind := max(l.Committed, record.End(accounted))
	out.Waiting = max(0, l.End-max(behind, l.Start))
	if behind > l.End {
		problem(p.problem(TopicShorter, record.Range{First: l.End, Last: behind - 1},
			"in a ledger or committed, and behind the end of the topic: it was made anew"))
	}
	_, removed := p.holes(l)
	for _, gap := range held {
		kind, text := Gap, "in Kafka and in no ledger, although later ones are done"
		if gap.First >= record.End(accounted) {
			kind, text = Committed, "committed, and in no ledger"
		}
		problem(p.problem(kind, gap, "%s", text))
	}
	for _, gap := range removed {
		problem(p.problem(GapRemoved, gap, "removed by Kafka, and in no ledger"))
	}
	out.Gaps = record.Union(slices.Concat(removed, held))
	pending := record.Range{First: l.End, Last: -1}
	for which, to := range []*Files{pictures: &out.Pictures, annotated: &out.Annotated, crops: &out.Crops, rejects: &out.Rejects, kept: {}} {
		*to = p.compare(which, l, windows, &pending, problem)
	}
	if pending.Last >= 0 {
		problem(p.problem(Pending, pending, "in no ledger yet (pictures: %d, rejects: %d); a window is under way, or one has failed and the next run completes it",
			out.Pictures.Pending+out.Annotated.Pending+out.Crops.Pending, out.Rejects.Pending))
	}
	p.checkBytes(windows, problem)
	return out
}

// compare compares the files of one family, and widens pending by those that
// no ledger has yet.
func (p *part) compare(which int, l Log, windows []Window, pending *record.Range, problem func(Problem)) Files {
	f, family := &p.files[which], families[which]
	missing := record.Subtract(f.expected, f.offsets)
	counts := Files{Expected: record.Count(f.expected), Missing: record.Count(missing)}
	counts.Present = counts.Expected - counts.Missing
	for _, r := range missing {
		found := p.problem(family.missing, r, "%s missing", family.name)
		found.Ledger = p.ledgerOf(r.First, windows)
		problem(found)
	}
	for _, r := range record.Subtract(f.offsets, f.expected) {
		for offset := r.First; offset <= r.Last; offset++ {
			one := p.At(offset).Range()
			why := p.why(offset, l)
			if why == "" {
				counts.Pending++
				pending.First, pending.Last = min(pending.First, offset), max(pending.Last, offset)
				continue
			}
			counts.Unknown++
			from, to := f.at(one)
			for _, name := range p.names(which, from, to) {
				found := p.problem(family.unknown, one, "there is %s, and %s", name, why)
				found.File = name
				problem(found)
			}
		}
	}
	for i := 1; i < len(f.found); i++ {
		if offset := f.found[i].offset; offset == f.found[i-1].offset && f.found[i].extension == f.found[i-1].extension {
			names := p.names(which, i-1, i+1)
			found := p.problem(PictureTwice, p.At(offset).Range(), "there are %s", strings.Join(names, " and "))
			found.File = names[1]
			problem(found)
		}
	}
	return counts
}

// why returns why a record should not have a file that is in no ledger. It is empty if
// a later ledger may have it.
func (p *part) why(offset int64, l Log) string {
	switch {
	case record.Contains(p.covered, offset):
		return "the ledgers say that this record has none"
	case record.Contains(p.lost, offset):
		return "the ledgers say that this record was lost"
	case offset < l.Committed:
		return "no ledger has this record"
	case offset >= l.End:
		return "the topic has no such record"
	}
	return ""
}

// ledgerOf returns the name of the last window that has read a record.
func (p *part) ledgerOf(offset int64, windows []Window) string {
	for _, w := range slices.Backward(windows) {
		if w.Covers(p.At(offset)) {
			return w.Name
		}
	}
	return ""
}

// checkBytes compares the number and the sizes of the files of frames with each
// ledger. It leaves out ledgers of which files are missing, and those of which a later
// window has read records with other settings.
func (p *part) checkBytes(windows []Window, problem func(Problem)) {
	for i, w := range windows {
		for _, l := range w.Ledger.Partitions {
			if l.TopicPartition != p.TopicPartition {
				continue
			}
			var n, bytes int64
			whole := true
			for _, which := range settingsOf(w.Ledger.Run).families() {
				files, size, all := p.files[which].size(l.Pictures)
				n, bytes, whole = n+files, bytes+size, whole && all
			}
			if !whole || n == l.Files && bytes == l.Bytes || p.redone(windows[i+1:], w, l) {
				continue
			}
			problem(Problem{
				Kind: LedgerBytes, Topic: p.Topic, Partition: &p.Partition, Ledger: w.Name,
				Text: fmt.Sprintf("ledger %s, %s: files_written is %d with bytes_written %d, and there are %d files of %d bytes", w.Name, p.TopicPartition, l.Files, l.Bytes, n, bytes),
			})
		}
	}
}

// redone reports whether a later window has read some of a ledger's records with
// other settings.
func (p *part) redone(later []Window, w Window, l store.Partition) bool {
	return slices.ContainsFunc(later, func(other Window) bool {
		return other.Ledger.Run.SettingsSHA256 != w.Ledger.Run.SettingsSHA256 && other.overlaps(l)
	})
}
