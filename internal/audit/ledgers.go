package audit

import (
	"bytes"
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
	ledgers   int // of all books
	name      string
	number    int64 // of the last ledger
	positions map[record.TopicPartition]int64
	torn      bool // a ledger could not be read, so numbers are missing
}

// AddLedgers adds a file of ledgers, in the order of store.Books. It returns the group
// whose events are in the file's Events.
func (a *Audit) AddLedgers(f store.BookFile) (group string) {
	name := strings.TrimSuffix(strings.TrimPrefix(f.Name, "_windows/"), ".json")
	if a.book.name != f.Book {
		a.book = book{ledgers: a.book.ledgers, name: f.Book}
	}
	if a.book.positions == nil {
		a.book.positions = map[record.TopicPartition]int64{}
	}
	hour := hourOf(f.Name)
	if f.Book == "" || len(hour) == len(hourFormat) {
		a.newest[f.Book] = max(a.newest[f.Book], hour)
	}
	if f.Err != nil {
		a.book.ledgers++
		a.book.torn = true
		a.wrongLedger(LedgerUnreadable, name, ": %v", f.Err)
		return ""
	}
	if f.Book != "" {
		a.checkOrder(name, len(hour) == len(hourFormat), f.Ledgers)
	}
	for _, l := range f.Ledgers {
		a.book.ledgers++
		a.addLedger(ledger{Name: name, Hour: hour, Book: f.Book, Seq: a.book.ledgers}, l)
		group = l.Run.Group
	}
	for _, e := range f.Events {
		a.facts.addFile(e.File, claimedFact, name, f.Book, e.Bytes)
	}
	return group
}

func (a *Audit) wrongLedger(kind, name, text string, args ...any) {
	a.report.Add(Problem{Kind: kind, Ledger: name, Text: "ledger " + name + fmt.Sprintf(text, args...)})
}

// hourFormat is as long as the hour of a file that has all of an hour.
const hourFormat = "20060102T15"

// hourOf returns when a file of ledgers or events is of, in letters that sort by time:
// the name of a window, or the hour with which such names begin.
func hourOf(name string) string {
	parts := strings.Split(name, "/")
	base := strings.TrimSuffix(parts[len(parts)-1], path.Ext(name))
	if hour, _, ok := strings.Cut(base, "+"); ok && len(parts) == 3 { // _events/2006-01-02/15+book.jsonl
		return strings.ReplaceAll(parts[1], "-", "") + "T" + hour
	}
	if len(parts) == 4 { // _windows/book/2006-01/02T15.json
		return strings.ReplaceAll(parts[2], "-", "") + base
	}
	return base
}

// before reports whether one hourOf is before another for certain.
func before(a, b string) bool {
	n := min(len(a), len(b))
	return a[:n] < b[:n]
}

// checkOrder checks that a book's ledgers follow one another.
func (a *Audit) checkOrder(name string, hour bool, ledgers []store.Ledger) {
	b := &a.book
	wrong := func(text string, args ...any) { a.wrongLedger(LedgerOrder, name, ": "+text, args...) }
	number, positions := int64(0), map[record.TopicPartition]int64{}
	for _, l := range ledgers {
		number = max(number, l.Number)
		for _, p := range l.Positions {
			positions[p.TopicPartition] = max(positions[p.TopicPartition], p.Offset)
		}
	}
	switch {
	case number <= b.number:
		wrong("its number is %d, and that of the one before it is %d", number, b.number)
	case !hour && !b.torn && number > b.number+1:
		wrong("its number is %d, and that of the one before it is %d: one is missing", number, b.number)
	}
	for _, l := range ledgers {
		for _, p := range l.Partitions {
			if at, ok := positions[p.TopicPartition]; p.Read > 0 && (!ok || p.LastOffset >= at) {
				wrong("it has %s, and stands at offset %d", p.At(p.LastOffset), at)
			}
		}
	}
	for id, offset := range positions {
		if last := b.positions[id]; offset < last {
			wrong("it stands at %s, and the one before it at offset %d", id.At(offset), last)
		}
		b.positions[id] = max(b.positions[id], offset)
	}
	b.number, b.torn = number, false
}

// ledger is what a ledger says of a partition, and what was found of it. Only what
// begins with a capital letter is in its fact.
type ledger struct {
	Name, Hour, Book, Group string
	Seq                     int    // of all ledgers
	Settings                string // their SHA-256
	Write                   settings
	Numbered                bool // else it is of an older version
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

// lists reports whether Pictures has all frames of which something was stored. In older
// versions it had those with files.
func (l *ledger) lists() bool { return l.Numbered || len(l.families) > 0 }

// addLedger checks a ledger by itself and makes facts of it.
func (a *Audit) addLedger(base ledger, l store.Ledger) {
	base.Settings, base.Group, base.Numbered, base.Write = settingsSum(l.Run), l.Run.Group, l.Number > 0, settingsOf(l.Run)
	a.sample.settings[base.Settings] = l.Run.Settings
	if base.Settings != l.Run.SettingsSHA256 {
		a.wrongLedger(LedgerSum, base.Name, ": its settings have the SHA-256 %s, and it says %q", base.Settings, l.Run.SettingsSHA256)
	}
	for _, p := range l.Partitions {
		for _, text := range checkPartition(base.Write, base.Numbered, p) {
			a.report.Add(Problem{Kind: LedgerSum, Ledger: base.Name}.of(p.TopicPartition, text))
		}
		topic, asked := slices.BinarySearch(a.topics, p.Topic)
		if !asked {
			a.others[inNames(p.Topic)] = &OtherTopic{Topic: p.Topic}
			continue
		}
		one := base
		one.Partition, one.Slots = p, nil
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

// settings are those of a run's that say which files there are.
type settings struct {
	KeepBytes int     `json:"keep_bytes"` // of rejected records
	Write     string  `json:"write"`      // a list; empty is "frame", as it was once
	MaxFPS    float64 `json:"max_fps"`    // with one of these, other records decide what is stored of one
	Cooldown  int64   `json:"cooldown_ms"`
}

// settingsOf returns those of a run. What cannot be read is LedgerSum.
func settingsOf(run store.Run) (s settings) {
	_ = json.Unmarshal(run.Settings, &s)
	return s
}

func (s settings) writes(what string) bool {
	return slices.Contains(strings.Split(s.Write, ","), what)
}

// families returns which files a frame with faces has.
func (s settings) families() (which []int) {
	if s.Write == "" || s.writes("frame") {
		which = append(which, pictures)
	}
	if s.writes("annotated") {
		which = append(which, annotated)
	}
	if s.writes("crops") {
		which = append(which, crops)
	}
	return which
}

func checkPartition(s settings, numbered bool, p store.Partition) (wrong []string) {
	for _, ranges := range [][]record.Range{p.Offsets, p.Pictures, p.Rejects, p.Lost} {
		if !record.InOrder(ranges) {
			return []string{fmt.Sprintf("%v are no ranges of offsets in order", ranges)} // then nothing adds up
		}
	}
	var rejected int64
	for _, n := range p.Rejected {
		rejected += n
	}
	read := record.Count(p.Offsets)
	// Of the faces of cooled frames it is only known that each frame has one.
	frames, stored, least := int64(0), record.Count(p.Pictures), p.Faces
	if p.Cooled > 0 {
		least = stored
	}
	var files, events struct{ least, most int64 }
	written := s.families()
	if numbered || len(written) > 0 {
		frames = p.FramesWithFaces - p.Cooled
	}
	for _, which := range written {
		if which == crops {
			files.least, files.most = files.least+least, files.most+p.Faces-p.Cooled
		} else {
			files.least, files.most = files.least+stored, files.most+stored
		}
	}
	if s.writes("events") {
		events.least, events.most = least, p.Faces-p.Cooled
	}
	for _, rule := range []struct {
		holds bool
		text  string
	}{
		{p.Read == read, fmt.Sprintf("records_read is %d, and there are %d offsets", p.Read, read)},
		{p.Read == p.Decoded+p.Skipped+p.Sampled+rejected, fmt.Sprintf("records_read is %d, and %d were decoded, %d skipped, %d sampled, %d rejected", p.Read, p.Decoded, p.Skipped, p.Sampled, rejected)},
		{stored == frames, fmt.Sprintf("frames_with_faces is %d, %d of them cooled, and %d offsets have pictures", p.FramesWithFaces, p.Cooled, stored)},
		{record.Count(p.Rejects) == rejected, fmt.Sprintf("rejected are %d, and %d offsets have files about that", rejected, record.Count(p.Rejects))},
		{files.least <= p.Files && p.Files <= files.most, fmt.Sprintf("files_written is %d, and %d offsets with %d faces give %d", p.Files, stored, p.Faces, files.most)},
		{events.least <= p.Events && p.Events <= events.most, fmt.Sprintf("events are %d, and %d faces give %d", p.Events, p.Faces, events.most)},
		{p.FramesWithFaces <= p.Decoded && p.FramesWithFaces <= p.Faces, fmt.Sprintf("%d frames of %d have %d faces", p.FramesWithFaces, p.Decoded, p.Faces)},
		{read == 0 || p.FirstOffset == p.Offsets[0].First && p.LastOffset == record.End(p.Offsets)-1, fmt.Sprintf("first_offset and last_offset are %d and %d, and the offsets %v", p.FirstOffset, p.LastOffset, p.Offsets)},
		{len(record.Subtract(p.Pictures, p.Offsets)) == 0, "there are pictures of offsets that were not read"},
		{len(record.Subtract(p.Rejects, p.Offsets)) == 0, "there are rejects of offsets that were not read"},
		{record.Count(record.Subtract(p.Pictures, p.Rejects)) == stored, "there are pictures of rejected records"},
	} {
		if !rule.holds {
			wrong = append(wrong, rule.text)
		}
	}
	return wrong
}
