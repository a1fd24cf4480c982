package audit

import (
	"cmp"
	"fmt"
	"slices"

	"facestream/internal/record"
)

// Report is what was found. Its JSON is what verify --json prints.
type Report struct {
	Agrees      bool         `json:"agrees"`  // there is no problem
	Ledgers     int          `json:"ledgers"` // of any topic
	Partitions  []Partition  `json:"partitions"`
	OtherTopics []OtherTopic `json:"other_topics"`
	Temporary   Temporary    `json:"temporary_files"`
	Recheck     *Recheck     `json:"recheck"` // null if none was asked for
	Problems    []Problem    `json:"problems"`
	LeftOut     int          `json:"problems_left_out"` // beyond maxOfKind of one kind
}

const (
	maxOfKind = 1000 // problems of a kind that a report lists
	maxRanges = 1000 // ranges of records in ledgers that it lists for a partition
)

// Partition is the state of one partition of one topic.
type Partition struct {
	record.TopicPartition
	LogStart  int64          `json:"log_start"` // Kafka holds [log_start, log_end)
	LogEnd    int64          `json:"log_end"`
	Committed *int64         `json:"committed"` // next offset of the group; null if it has committed none
	Covered   []record.Range `json:"covered"`   // offsets of the records in the ledgers: the first ranges and the last
	Records   int64          `json:"records"`   // how many these are
	Lost      []record.Range `json:"lost"`      // offsets that Kafka had removed before they could be read
	Gaps      []record.Range `json:"gaps"`      // offsets of records that no ledger has, although it should
	Waiting   int64          `json:"waiting"`   // records behind them, by offsets
	Purged    int64          `json:"purged"`    // offsets of which files were removed on purpose
	Pictures  Files          `json:"pictures"`
	Annotated Files          `json:"annotated"`
	Crops     Files          `json:"crops"`   // by records: one may have several
	Rejects   Files          `json:"rejects"` // the files about them

	end int64 // behind the last record that is accounted for
}

// Files compares files with the ledgers. Present + Missing = Expected.
type Files struct {
	Expected int64 `json:"expected"`
	Present  int64 `json:"present"`
	Missing  int64 `json:"missing"`
	Unknown  int64 `json:"unknown"` // there, although the ledgers say or imply that they are not
	Pending  int64 `json:"pending"` // there, of records that no ledger has yet
}

// OtherTopic is a topic that ledgers have and that was not asked for. It was not
// checked.
type OtherTopic struct {
	Topic string `json:"topic"`
	Files int64  `json:"files"`
}

// Temporary counts files that are not complete.
type Temporary struct {
	Files int `json:"files"`
	Old   int `json:"old"` // of those, the ones that are nobody's any more
}

// Recheck says what came of making files of records once more.
type Recheck struct {
	Records int `json:"records"` // how many it was done for
	Differ  int `json:"differ"`  // of those, the ones whose files are not the same
	// Mixed are those that several ledgers have, with different settings. Files
	// that any of these give are right.
	Mixed int `json:"mixed_settings"`
	// Gone are records that were chosen, but compacted away by Kafka.
	Gone int `json:"gone"`
}

// Problem is one thing that does not agree.
type Problem struct {
	Kind      string        `json:"kind"` // one of Kinds
	Topic     string        `json:"topic,omitempty"`
	Partition *int32        `json:"partition,omitempty"`
	Offsets   *record.Range `json:"offsets,omitempty"`
	File      string        `json:"file,omitempty"`   // relative to the root
	Ledger    string        `json:"ledger,omitempty"` // name of its window
	Text      string        `json:"text"`             // all of it, for a person
}

// The kinds of problems.
const (
	LedgerUnreadable = "ledger_unreadable"
	LedgerSum        = "ledger_sum"        // it does not add up
	LedgerOrder      = "ledger_order"      // it does not follow the one before it in its book
	LedgerTwice      = "ledger_twice"      // two of a book have the same record
	LedgerBytes      = "ledger_bytes"      // its pictures are of another number or size together
	TopicAnew        = "topic_anew"        // it is another one than the ledger's
	TopicShorter     = "topic_shorter"     // than what was read of it
	Gap              = "gap"               // a record that no ledger has, between or before those of ledgers
	GapRemoved       = "gap_removed"       // the same, and Kafka does not have it any more either
	Committed        = "committed_unknown" // a record that no ledger has, but is committed
	PictureMissing   = "picture_missing"   // a ledger has it
	PictureUnknown   = "picture_unknown"   // no ledger has it
	PictureTwice     = "picture_twice"     // of one record, in two folders
	AnnotatedMissing = "annotated_missing" // as with pictures
	AnnotatedUnknown = "annotated_unknown"
	CropMissing      = "crop_missing"
	CropUnknown      = "crop_unknown"
	EventsMissing    = "events_missing"      // a ledger has them
	EventsTwice      = "events_twice"        // the same of one face
	EventsSize       = "events_size"         // they are not of the size that the ledger says
	EventsUnknown    = "events_unknown"      // no ledger has them
	EventsUnreadable = "events_unreadable"   // a line is none
	TableMissing     = "table_missing"       // a ledger has it
	TableSize        = "table_size"          // its rows are not as many as the ledger says
	TableUnknown     = "table_unknown"       // no ledger has it
	TableUnreadable  = "table_unreadable"    // it is none, or damaged
	RowDiffers       = "row_differs"         // its faces are not those of the events
	RejectMissing    = "reject_missing"      // the file about a reject
	RejectUnknown    = "reject_unknown"      // no ledger has the reject
	KeptMissing      = "kept_reject_missing" // the kept value of a reject
	KeptUnknown      = "kept_reject_unknown" // nothing was to be kept
	FileUnknown      = "file_unknown"        // it has no name of ours
	Pending          = "pending"             // files of records that no ledger has yet
	TemporaryOld     = "temporary_old"       // left by a dead attempt
	PurgedThere      = "purged_there"        // of a record that was purged
	Differs          = "differs"             // the record gives other bytes now
)

// Kinds holds all kinds of problems, those first that others may follow from.
var Kinds = []string{
	LedgerUnreadable, LedgerOrder, TopicAnew, TopicShorter, Gap, GapRemoved, Committed, LedgerSum, LedgerTwice, Pending,
	TableMissing, TableUnreadable, TableSize, PictureMissing, AnnotatedMissing, CropMissing, EventsMissing, RejectMissing, KeptMissing, Differs, LedgerBytes, EventsUnreadable, EventsSize, RowDiffers,
	TableUnknown, PictureTwice, EventsTwice, PictureUnknown, AnnotatedUnknown, CropUnknown, EventsUnknown, RejectUnknown, KeptUnknown, FileUnknown, PurgedThere, TemporaryOld,
}

// Add adds a problem, in the order of Kinds.
func (r *Report) Add(p Problem) {
	r.Agrees = false
	rank := slices.Index(Kinds, p.Kind)
	first, _ := slices.BinarySearchFunc(r.Problems, rank, compareRank)
	behind, _ := slices.BinarySearchFunc(r.Problems, rank+1, compareRank)
	if behind-first >= maxOfKind {
		r.LeftOut++
		return
	}
	r.Problems = slices.Insert(r.Problems, behind, p)
}

func compareRank(p Problem, rank int) int { return cmp.Compare(slices.Index(Kinds, p.Kind), rank) }

// AddGaps adds offsets in no ledger that hold records.
func (r *Report) AddGaps(held []record.Offsets) {
	for _, h := range held {
		i := slices.IndexFunc(r.Partitions, func(p Partition) bool { return p.TopicPartition == h.TopicPartition })
		p := &r.Partitions[i]
		for _, gap := range h.Ranges {
			kind, text := Gap, "in Kafka and in no ledger, although later ones are done"
			if gap.First >= p.end {
				kind, text = Committed, "committed, and in no ledger"
			}
			r.Add(Problem{Kind: kind, Offsets: &gap}.of(p.TopicPartition, text))
		}
		p.Gaps = record.Union(slices.Concat(p.Gaps, h.Ranges))
	}
}

// of completes a problem of a partition: the text begins with its offsets, or else with
// its ledger.
func (p Problem) of(id record.TopicPartition, text string) Problem {
	p.Topic, p.Partition = id.Topic, &id.Partition
	if p.Offsets != nil {
		p.Text = fmt.Sprintf("%s of %s: %s", p.Offsets, id, text)
	} else {
		p.Text = fmt.Sprintf("ledger %s, %s: %s", p.Ledger, id, text)
	}
	return p
}
