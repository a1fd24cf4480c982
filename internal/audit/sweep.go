package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// A family is the files of one kind. A record has at most one of each, but for
// its crops.
type family struct {
	kind             store.Kind
	name             string // of one of them
	missing, unknown string // kinds of problems
}

// The families, as indices of families.
const (
	pictures = iota
	annotated
	crops
	rejects
	kept
)

var families = [...]family{
	pictures:  {store.KindPicture, "picture", PictureMissing, PictureUnknown},
	annotated: {store.KindAnnotated, "annotated picture", AnnotatedMissing, AnnotatedUnknown},
	crops:     {store.KindFace, "crop", CropMissing, CropUnknown},
	rejects:   {store.KindReject, "file about the rejection", RejectMissing, RejectUnknown},
	kept:      {store.KindKept, "file with the kept value", KeptMissing, KeptUnknown},
}

// familiesOf returns which files a frame with faces has.
func familiesOf(s store.Stored) (which []int) {
	for family, stored := range map[int]bool{pictures: s.Frame, annotated: s.Annotated, crops: s.Crops} {
		if stored {
			which = append(which, family)
		}
	}
	return which
}

// The kinds of facts about offsets, in the order in which they come at one.
const (
	logFact    = "a"  // what Kafka holds of the partition: start, end, committed
	ledgerFact = "b"  // from the first offset of one: a ledger as JSON
	purgedFact = "bb" // from the first offset of a range: files or events, last
	recordFact = "c"  // a picture: family, name, size; of a row, its group, table, number, whether it is staged
	eventFact  = "d"  // group, face, faces, bytes of the line, file, bytes before it, sumOf the line
	rowFact    = "e"  // group, settings, sums of the lines of events, table
)

// part compares a partition. It goes through the offsets once, in stretches in which
// everything is the same; a record that has files or events is a stretch of its own.
type part struct {
	audit    *Audit
	log      Log
	out      Partition
	doubtful []record.Range

	at      int64     // first offset that was not compared
	ledgers []*ledger // that say something about it or later ones
	purged  [2]int64  // up to which offset files and events are purged, if these are behind at
	files   []file    // of the record at
	events  []event
	rows    []row

	begun   bool           // an offset is accounted for
	holes   []hole         // since the last one that is
	removed []record.Range // from Kafka, and in no ledger
	pending record.Range   // of files that no ledger has yet
	kept    Files
	found   map[string]*Problem // the last of each kind, which may go on
}

type hole struct {
	record.Range
	spanned bool
}

type file struct {
	which int
	Stored
	size   int64
	staged bool // it may be in another table as well
}

// String is where it is.
func (f Stored) String() string {
	if f.Table == "" {
		return f.Name
	}
	return fmt.Sprintf("%s in row %d of %s", f.Name, f.Row, f.Table)
}

// kind is what follows the record in the name.
func (f file) kind() string { return f.Name[strings.LastIndex(f.Name, "+"):] }

type event struct {
	group, file               string
	face, faces, size, before int64 // before: bytes of the file
	sum                       string
}

func newPart(a *Audit, id record.TopicPartition) *part {
	return &part{
		audit: a, log: Log{Committed: NotCommitted}, found: map[string]*Problem{},
		out:     Partition{TopicPartition: id, Covered: []record.Range{}, Lost: []record.Range{}, Gaps: []record.Range{}},
		pending: record.Range{First: math.MaxInt64, Last: -1},
	}
}

// add takes a fact, and compares what is before it.
func (p *part) add(f fields) {
	p.advance(f.number(2))
	switch rest := f[4:]; f[3] {
	case logFact:
		p.log.Start, p.log.End, p.log.Committed = rest.number(0), rest.number(1), rest.number(2)
	case ledgerFact:
		l := &ledger{}
		_ = json.Unmarshal([]byte(rest.text(0)), l) // addLedger made it
		l.families = familiesOf(l.Stored)
		p.ledgers = append(p.ledgers, l)
	case purgedFact:
		p.purged[rest.number(0)] = rest.number(1) + 1
	case recordFact:
		one := file{int(rest.number(0)), Stored{rest.text(1), rest.text(3), rest.text(4), rest.number(5)}, rest.number(2), rest[6] == "true"}
		again := slices.IndexFunc(p.files, func(f file) bool { return f.Name == one.Name && f.Group == one.Group && (f.staged || one.staged) })
		if again < 0 {
			p.files = append(p.files, one)
		} // else a run publishes it
	case eventFact:
		p.events = append(p.events, event{rest.text(0), rest.text(4), rest.number(1), rest.number(2), rest.number(3), rest.number(5), rest.text(6)})
	case rowFact:
		p.rows = append(p.rows, row{rest.text(0), rest.text(1), rest.text(2), rest.text(3)})
	}
}

// advance compares everything before an offset.
func (p *part) advance(to int64) {
	for p.at < to {
		end := to - 1
		if len(p.files)+len(p.events)+len(p.rows) > 0 {
			end = p.at
		}
		for _, begins := range []int64{p.log.Start, p.log.End, p.log.Committed, p.purged[0], p.purged[1]} {
			if p.at < begins {
				end = min(end, begins-1)
			}
		}
		for _, l := range p.ledgers {
			end = min(end, l.look(p.at))
		}
		p.compare(record.Range{First: p.at, Last: end})
		p.files, p.events, p.rows, p.at = p.files[:0], p.events[:0], p.rows[:0], end+1
		p.ledgers = slices.DeleteFunc(p.ledgers, func(l *ledger) bool {
			if l.Last == end {
				p.close(l)
			}
			return l.Last == end
		})
	}
}

func (p *part) compare(r record.Range) {
	var all here
	var expected, missing [len(families)]bool
	all.purged, all.eventsPurged = r.First < p.purged[0], r.First < p.purged[1]
	for _, l := range p.ledgers {
		all.covered, all.lost, all.spanned = all.covered || l.here.covered, all.lost || l.here.lost, all.spanned || l.here.spanned
		if all.purged {
			l.filesMissing = l.filesMissing || l.here.pictures
			continue
		}
		if l.here.pictures {
			for _, which := range l.families {
				expected[which] = true
				missing[which] = !p.countFiles(l, which) || missing[which]
			}
		}
		expected[rejects] = expected[rejects] || l.here.rejected
		expected[kept] = expected[kept] || l.here.rejected && l.Stored.KeepBytes > 0
	}
	p.account(r, all)
	if all.purged || all.eventsPurged {
		p.comparePurged(r, all)
	}
	why := p.why(r, all)
	for which := range families {
		there := slices.ContainsFunc(p.files, func(f file) bool { return f.which == which }) && !missing[which]
		p.compareFamily(which, r, expected[which], there, why)
	}
	for i := 1; i < len(p.files); i++ {
		if a, b := p.files[i-1], p.files[i]; a.kind() == b.kind() && a.Group == b.Group {
			p.problem(Problem{Kind: PictureTwice, Offsets: &r, File: b.Name}, "there are %s and %s", a, b)
		}
	}
	p.compareEvents(r, why)
}

const purgeAgain = "a purge is under way, or was interrupted: purge again"

// comparePurged reports what was to be purged and is there, and leaves it out.
func (p *part) comparePurged(r record.Range, all here) {
	there := func(file string) {
		p.problem(Problem{Kind: PurgedThere, Offsets: &r, File: file}, "there is %s: %s", file, purgeAgain)
	}
	if all.purged {
		p.out.Purged += count(r)
		for _, f := range p.files {
			there(f.String())
		}
		p.files, p.rows = p.files[:0], p.rows[:0]
	}
	if !all.eventsPurged {
		return
	}
	for _, l := range p.ledgers {
		l.eventsWrong = l.eventsWrong || l.here.pictures
	}
	for _, e := range p.events {
		there(e.file)
	}
	p.events = p.events[:0]
}

// countFiles adds those of a family to what was found of a ledger, and reports whether
// there are any.
func (p *part) countFiles(l *ledger, which int) bool {
	n, group := l.files, ""
	if l.Stored.Rows {
		group = l.Group
	}
	for _, f := range p.files {
		if f.which == which && f.Group == group {
			l.files, l.bytes = l.files+1, l.bytes+f.size
		}
	}
	l.filesMissing = l.filesMissing || l.files == n
	return l.files > n
}

// account counts records, and looks for offsets that are in no ledger and should be if
// they hold records: those that are in the log, and those that Kafka has removed. Removed
// ones that a single ledger spans are left out: the run checked these before it kept the
// ledger.
func (p *part) account(r record.Range, all here) {
	if all.covered {
		p.out.Records += count(r)
		if p.out.Covered = extend(p.out.Covered, r); len(p.out.Covered) > maxRanges {
			p.out.Covered = slices.Delete(p.out.Covered, maxRanges-1, maxRanges)
		}
		if p.log.Start <= r.First && r.First < p.log.End && !all.purged && !all.eventsPurged {
			p.audit.sample.choose(r, p.chosen)
		}
	}
	if all.lost {
		p.out.Lost = extend(p.out.Lost, r)
	}
	switch {
	case all.covered, all.purged, all.lost && r.First < p.log.Start:
		p.settle(math.MaxInt64)
		p.begun, p.out.end = true, r.Last+1
	case p.begun, r.First >= p.log.Start:
		p.holes = append(p.holes, hole{r, all.spanned})
	}
}

// settle decides on the holes before an offset up to which all should be in ledgers.
func (p *part) settle(behind int64) {
	for _, h := range p.holes {
		switch {
		case h.First >= behind || h.First >= p.log.End && h.First >= p.log.Start:
		case h.First >= p.log.Start:
			p.doubtful = extend(p.doubtful, h.Range)
		case !h.spanned:
			p.removed = extend(p.removed, h.Range)
		}
	}
	p.holes = p.holes[:0]
}

func count(r record.Range) int64 { return r.Last - r.First + 1 }

func extend(ranges []record.Range, r record.Range) []record.Range {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == r.First {
		ranges[n-1].Last = r.Last
		return ranges
	}
	return append(ranges, r)
}

// why returns why a record should not have a file that is in no ledger. It is empty if
// a later ledger may have it.
func (p *part) why(r record.Range, all here) string {
	switch {
	case all.covered:
		return "the ledgers say that this record has none"
	case all.lost:
		return "the ledgers say that this record was lost"
	case r.First < p.log.Committed:
		return "no ledger has this record"
	case r.First >= p.log.End:
		return "the topic has no such record"
	}
	return ""
}

func (p *part) compareFamily(which int, r record.Range, expected, there bool, why string) {
	family := families[which]
	counts := []*Files{pictures: &p.out.Pictures, annotated: &p.out.Annotated, crops: &p.out.Crops, rejects: &p.out.Rejects, kept: &p.kept}[which]
	if expected {
		counts.Expected += count(r)
	}
	switch {
	case expected && there:
		counts.Present++
	case expected:
		counts.Missing += count(r)
		p.extendProblem(Problem{Kind: family.missing, Offsets: &r, Ledger: p.lastLedger()}, "%s missing", family.name)
	case there && why == "":
		counts.Pending++
		p.pending = record.Range{First: min(p.pending.First, r.First), Last: r.Last}
	case there:
		counts.Unknown++
		for _, f := range p.files {
			if f.which == which {
				p.problem(Problem{Kind: family.unknown, Offsets: &r, File: f.Name}, "there is %s, and %s", f, why)
			}
		}
	}
}

// lastLedger returns the name of the last ledger that has the records of the stretch.
func (p *part) lastLedger() string {
	last := &ledger{}
	for _, l := range p.ledgers {
		if l.here.covered && l.Seq > last.Seq {
			last = l
		}
	}
	return last.Name
}

// close compares the sums of a ledger with what was found. Those of files are left out if
// files are missing, or if another has read records with other settings, and maybe later.
func (p *part) close(l *ledger) {
	sum := func(wrong bool, kind, text string, args ...any) {
		if wrong {
			p.problem(Problem{Kind: kind, Ledger: l.Name}, text, args...)
		}
	}
	sum(!l.filesMissing && !l.filesVary && (l.files != l.Files || l.bytes != l.Bytes), LedgerBytes,
		"files_written is %d with bytes_written %d, and there are %d files of %d bytes", l.Files, l.Bytes, l.files, l.bytes)
	if l.eventsWrong || l.eventsVary {
		return
	}
	sum(l.events < l.Events, EventsMissing, "events are %d, and there are %d lines", l.Events, l.events)
	sum(l.events > l.Events, EventsUnknown, "events are %d, and there are %d lines", l.Events, l.events)
	sum(l.events == l.Events && l.eventBytes != l.EventBytes && !l.readAgain, EventsSize,
		"its %d events have %d bytes, and the lines have %d", l.Events, l.EventBytes, l.eventBytes)
}

// finish compares the rest, and completes the report on the partition.
func (p *part) finish() {
	end := max(p.log.Committed, p.purged[0], p.purged[1])
	if len(p.files)+len(p.events)+len(p.rows) > 0 {
		end = max(end, p.at+1)
	}
	for _, l := range p.ledgers {
		end = max(end, l.Last+1)
	}
	p.advance(end)
	p.settle(p.log.Committed)
	out, log := &p.out, p.log
	out.LogStart, out.LogEnd = log.Start, log.End
	if log.Committed != NotCommitted {
		out.Committed = &log.Committed
	}
	behind := max(log.Committed, out.end)
	out.Waiting = max(0, log.End-max(behind, log.Start))
	if behind > log.End {
		p.problem(Problem{Kind: TopicShorter, Offsets: &record.Range{First: log.End, Last: behind - 1}}, "in a ledger or committed, and behind the end of the topic: it was made anew")
	}
	for _, gap := range p.removed {
		p.problem(Problem{Kind: GapRemoved, Offsets: &gap}, "removed by Kafka, and in no ledger")
	}
	out.Gaps = append(out.Gaps, p.removed...)
	if p.pending.Last >= 0 {
		p.problem(Problem{Kind: Pending, Offsets: &p.pending}, "in no ledger yet (pictures: %d, rejects: %d); a window is under way, or one has failed and the next run completes it",
			out.Pictures.Pending+out.Annotated.Pending+out.Crops.Pending, out.Rejects.Pending)
	}
	for _, kind := range slices.Sorted(maps.Keys(p.found)) {
		p.audit.report.Add(*p.found[kind])
	}
}

func (p *part) problem(problem Problem, text string, args ...any) {
	p.audit.report.Add(problem.of(p.out.TopicPartition, fmt.Sprintf(text, args...)))
}

// extendProblem is problem for one that may be the same in the next stretch.
func (p *part) extendProblem(problem Problem, text string, args ...any) {
	text = fmt.Sprintf(text, args...)
	last := p.found[problem.Kind]
	if last != nil && last.Offsets.Last+1 >= problem.Offsets.First && strings.HasSuffix(last.Text, ": "+text) {
		problem.Offsets.First, problem.Ledger = last.Offsets.First, last.Ledger
	} else if last != nil {
		p.audit.report.Add(*last)
	}
	problem = problem.of(p.out.TopicPartition, text)
	p.found[problem.Kind] = &problem
}

// compareEvents compares the events of a stretch with what the ledgers of their groups
// say. Of several ledgers of a group the last one decides: in older versions, a run that
// read records again took back their events.
func (p *part) compareEvents(r record.Range, why string) {
	last := map[string]*ledger{} // by group
	for _, l := range p.ledgers {
		if !l.here.covered {
			continue
		}
		p.compareLedgers(r, l)
		if other := last[l.Group]; other == nil || other.Seq < l.Seq {
			last[l.Group] = l
		}
	}
	for group, l := range last {
		lines := slices.DeleteFunc(slices.Clone(p.events), func(e event) bool { return e.group != group })
		right := p.compareLines(r, l, lines)
		if right {
			p.compareRow(r, l, lines)
		}
		for _, l := range p.ledgers {
			if l.here.covered && l.Group == group {
				l.eventsWrong = l.eventsWrong || !right
				for _, e := range lines {
					l.events, l.eventBytes = l.events+1, l.eventBytes+e.size
				}
			}
		}
	}
	for _, e := range p.events {
		if last[e.group] == nil {
			p.extendProblem(Problem{Kind: EventsUnknown, Offsets: &r, File: e.file}, "there are events in %s, and %s", e.file, cmp.Or(why, "no ledger has this record"))
		}
	}
}

// compareLedgers compares a ledger with others that have the same records.
func (p *part) compareLedgers(r record.Range, l *ledger) {
	for _, other := range p.ledgers {
		if other == l || !other.here.covered {
			continue
		}
		vary := other.Settings != l.Settings
		l.filesVary = l.filesVary || vary && !before(other.Hour, l.Hour)
		if other.Group != l.Group {
			continue
		}
		l.readAgain = true
		l.eventsVary = l.eventsVary || vary
		if l.Book != "" && other.Book == l.Book && other.Seq < l.Seq {
			p.extendProblem(Problem{Kind: LedgerTwice, Offsets: &r, Ledger: l.Name}, "in the ledgers %s and %s", other.Name, l.Name)
		}
	}
}

// compareLines compares the lines that a record has in a group's events with its ledger.
// It reports whether they are right.
func (p *part) compareLines(r record.Range, l *ledger, lines []event) (right bool) {
	right = true
	wrong := func(kind, text string, args ...any) {
		right = false
		p.extendProblem(Problem{Kind: kind, Offsets: &r, Ledger: l.Name}, text, args...)
	}
	switch {
	case len(lines) == 0:
		if l.Stored.Events && l.here.pictures && r.First >= p.purged[1] {
			wrong(EventsMissing, "events missing")
		}
		return right
	case !l.Stored.Events, l.Lists && !l.here.pictures:
		wrong(EventsUnknown, "there are events in %s, and the ledgers say that this record has none", lines[0].file)
		return right
	}
	slices.SortStableFunc(lines, func(a, b event) int { return cmp.Compare(a.face, b.face) })
	next := int64(1)
	for i, e := range lines {
		switch {
		case i > 0 && e.face == lines[i-1].face:
			wrong(EventsTwice, "a face is in %s and in %s", lines[i-1].file, e.file)
		case e.face > e.faces || e.faces != lines[0].faces:
			wrong(EventsUnknown, "there is face %d of %d in %s", e.face, e.faces, e.file)
		case e.face > next:
			wrong(EventsMissing, "the event of face %d is missing", next)
		}
		next = e.face + 1
	}
	if next <= lines[0].faces {
		wrong(EventsMissing, "the event of face %d is missing", next)
	}
	return right
}
