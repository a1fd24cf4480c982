// Package audit compares what the ledgers say with the files and events that are there
// and with what Kafka holds. All of these pass through it as facts in the order of
// records, so that its memory does not grow with their number.
package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math"
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
// offsets, the ledgers and their events, the files, the log. A window first stores its
// files, then its ledger, and then it commits. What was purged is read after the files,
// since it is noted before they are removed.
type Audit struct {
	facts     *facts
	topics    []string               // those asked for, in order
	ids       map[string]string      // of these; see kafka.Offsets.TopicIDs
	names     map[string]int         // these, as they are in names of files
	others    map[string]*OtherTopic // by such names
	book      book
	newest    string // window of which there are events
	lines     *bufio.Reader
	events    map[string]*eventsFile // by the windows that they begin with
	claims    map[string]*claim      // tables, by their names
	published map[string]bool        // tables that a run publishes, by the base of their names
	seed      maphash.Seed
	temporary map[string]time.Time // when files that are not complete were written
	written   time.Time            // when a file was written last
	sample    sample
	report    Report
}

// Log is what Kafka holds of a partition, and where the group stands.
type Log struct {
	kafka.Log
	Committed int64 // next offset to be read; NotCommitted if the group has committed none
}

// NotCommitted stands for an offset that a group has not committed.
const NotCommitted = -1

// maxLine is the size of the longest line of events that is read.
const maxLine = 1 << 20

// New returns an Audit of topics, with the ids that they have in Kafka, that chooses so many
// records at random. Close it.
func New(topics []string, ids map[string]string, choose int) (*Audit, error) {
	facts, err := newFacts()
	if err != nil {
		return nil, err
	}
	a := &Audit{
		facts: facts, topics: slices.Sorted(slices.Values(topics)), ids: ids,
		names: map[string]int{}, others: map[string]*OtherTopic{},
		events: map[string]*eventsFile{}, claims: map[string]*claim{}, published: map[string]bool{}, temporary: map[string]time.Time{}, seed: maphash.MakeSeed(),
		lines:  bufio.NewReaderSize(nil, maxLine),
		sample: newSample(choose),
		report: Report{Agrees: true, Partitions: []Partition{}, OtherTopics: []OtherTopic{}, Problems: []Problem{}},
	}
	for i, topic := range a.topics {
		a.names[store.TopicInNames(topic)] = i
	}
	return a, nil
}

// Close removes what the Audit has on disk.
func (a *Audit) Close() { a.facts.close() }

// AddEvents adds the events of a file that AddLedgers was told of. The problem that a
// line is no event is reported; an error is one of reading.
func (a *Audit) AddEvents(file, group string, from io.Reader) error {
	a.lines.Reset(from)
	for at, n := int64(0), 1; ; n++ {
		line, err := a.lines.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		var e struct {
			record.ID
			Face  int `json:"face"`
			Faces int `json:"faces"`
		}
		wrong := err
		if wrong == nil {
			wrong = json.Unmarshal(line, &e)
		}
		if wrong == nil && (e.Offset < 0 || e.Offset == math.MaxInt64 || e.Partition < 0 || e.Face < 1) {
			wrong = errors.New("there is no such face of a record")
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		if wrong != nil {
			a.report.Add(Problem{Kind: EventsUnreadable, File: file, Text: fmt.Sprintf("%s: line %d is no event: %v", file, n, wrong)})
		} else if topic, asked := slices.BinarySearch(a.topics, e.Topic); asked {
			a.facts.add(topic, e.Partition, e.Offset, eventFact, group, e.Face, e.Faces, len(line), file, at, a.sumOf(line))
		}
		at += int64(len(line))
		if err != nil { // where a line that is too long ends is not looked for
			return nil
		}
	}
}

// AddFile adds a file that is there, by its name relative to the root.
func (a *Audit) AddFile(name string, size int64, modified time.Time) {
	if modified.After(a.written) {
		a.written = modified
	}
	switch kind, _ := store.KindOf(name); kind {
	case store.KindLedger, store.KindStaged, store.KindSuccess, store.KindLatest, store.KindLease, store.KindTable: // a ledger that was not read yet is newer
	case store.KindEvents:
		e := a.eventsOf(windowOf(name))
		e.name, e.size = name, size
	case store.KindPurged:
		if name != store.PurgedFile {
			a.report.Add(Problem{Kind: PurgedThere, File: name, Text: fmt.Sprintf("there is %s: %s", name, purgeAgain)})
		}
	case store.KindTemporary:
		a.temporary[name] = modified
	case store.KindUnknown:
		a.report.Add(Problem{Kind: FileUnknown, File: name, Text: name + " has no name that the pipeline gives"})
	default:
		a.addPicture(name, size, "", "", 0, false)
	}
}

// addPicture adds a picture that is a file, or in a row of a group's table.
func (a *Audit) addPicture(name string, size int64, group, table string, row int64, staged bool) {
	kind, n := store.KindOf(name)
	topic, asked := a.names[n.Topic]
	switch other := a.others[n.Topic]; {
	case asked && n.Offset < math.MaxInt64:
		which := slices.IndexFunc(families[:], func(f family) bool { return f.kind == kind })
		a.facts.add(topic, n.Partition, n.Offset, recordFact, which, name, size, group, table, row, staged)
	case !asked && other != nil:
		other.Files++
	default:
		a.report.Add(Problem{
			Kind: FileUnknown, Topic: n.Topic, Partition: &n.Partition, File: name,
			Text: fmt.Sprintf("%s is of topic %s, which was not asked for and is in no ledger", name, n.Topic),
		})
	}
}

// AddPurged adds what was purged.
func (a *Audit) AddPurged(purged store.Purged) {
	for which, marks := range []store.Marks{purged.Files, purged.Events} {
		for p, ranges := range marks {
			topic, asked := a.names[p.Topic]
			for _, r := range ranges {
				if asked {
					a.facts.add(topic, p.Partition, r.First, purgedFact, which, r.Last)
				}
			}
		}
	}
}

// Compare compares all that was added with the logs. Of the doubtful offsets, which are
// in the log and in no ledger, it is to be found out which hold records: see AddGaps.
func (a *Audit) Compare(ctx context.Context, logs []Log) (r *Report, doubtful []record.Offsets, err error) {
	for _, l := range logs {
		if topic, asked := slices.BinarySearch(a.topics, l.Topic); asked {
			a.facts.add(topic, l.Partition, 0, logFact, l.Start, l.End, l.Committed)
		}
	}
	r = &a.report
	var p *part
	finish := func() {
		if p == nil {
			return
		}
		p.finish()
		r.Partitions = append(r.Partitions, p.out)
		if len(p.doubtful) > 0 {
			doubtful = append(doubtful, record.Offsets{TopicPartition: p.out.TopicPartition, Ranges: p.doubtful})
		}
		p = nil
	}
	err = a.facts.each(ctx, func(f fields) {
		id := record.In(a.topics[f.number(0)], int32(f.number(1)))
		if p == nil || p.out.TopicPartition != id {
			finish()
			p = newPart(a, id)
		}
		p.add(f)
	})
	if err != nil {
		return nil, nil, err
	}
	finish()
	a.compareEventsFiles()
	a.compareClaims()
	a.finish()
	return r, doubtful, nil
}

// finish reports what is not of a partition.
func (a *Audit) finish() {
	r := &a.report
	for _, other := range a.others {
		r.OtherTopics = append(r.OtherTopics, *other)
	}
	slices.SortFunc(r.OtherTopics, func(x, y OtherTopic) int { return strings.Compare(x.Topic, y.Topic) })
	r.Temporary.Files = len(a.temporary)
	for _, name := range slices.Sorted(maps.Keys(a.temporary)) {
		if store.Dead(name, a.written.Sub(a.temporary[name])) {
			r.Temporary.Old++
			r.Add(Problem{Kind: TemporaryOld, File: name, Text: name + " was left by an attempt that is dead; the next run removes it"})
		}
	}
}

// eventsFile is a file of events that are published.
type eventsFile struct {
	name, ledger string // empty if there is none
	size, bytes  int64  // bytes: that the ledger has
	open         bool   // the window is not gathered, or another one may be added
}

func (a *Audit) eventsOf(window string) *eventsFile {
	if a.events[window] == nil {
		a.events[window] = &eventsFile{}
	}
	return a.events[window]
}

// compareEventsFiles compares files of events as wholes. One that is open may have more than
// its ledger, or no ledger yet: it is written before that. Older versions took some of the
// lines back.
func (a *Audit) compareEventsFiles() {
	for _, window := range slices.Sorted(maps.Keys(a.events)) {
		switch e := a.events[window]; {
		case e.open:
		case e.ledger != "" && e.size != e.bytes:
			a.wrongLedger(EventsSize, e.ledger, ": it has %d bytes of events in a file that begins with window %s and has %d", e.bytes, window, e.size)
		case e.ledger == "" && window < a.newest:
			a.report.Add(Problem{Kind: EventsUnknown, File: e.name, Text: fmt.Sprintf("there are events in %s, which is in no ledger", e.name)})
		}
	}
}
