package audit

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"

	"facestream/internal/record"
)

// Chosen is a record that is to be made once more, with all that is known of it.
type Chosen struct {
	record.ID
	Files   []Stored   // that are there
	Ledgers []OfLedger // that have it, the last one first
	Events  []EventAt
}

// Stored is a picture or file that is there.
type Stored struct {
	Name  string // below the root; of a row, that which it has as a file
	Group string // whose row it is, or empty
	Table string // that has the row, or empty
	Row   int64
}

// OfLedger is what a ledger says of a record.
type OfLedger struct {
	Name, Group string
	Settings    string // SHA-256
	Rows        bool   // its pictures are rows
	Listed      bool   // it has a file of the record
	Lists       bool   // it has all files, and frames with nothing but events
}

// EventAt is where a record has an event.
type EventAt struct {
	Group, File string
	At          int64 // bytes of the file before it
}

// sample chooses n of all records, each with the same probability, while they pass: each
// takes the place of one of those that were chosen before, or of none (reservoir sampling).
type sample struct {
	n        int
	chosen   []Chosen
	seen     int64 // records that have passed
	settings map[string]json.RawMessage
}

func newSample(n int) sample { return sample{n: n, settings: map[string]json.RawMessage{}} }

// choose chooses some of a range's records.
func (s *sample) choose(r record.Range, about func(offset int64) Chosen) {
	for offset := r.First; offset <= r.Last && s.n > 0; offset++ {
		s.seen++
		if len(s.chosen) < s.n {
			s.chosen = append(s.chosen, about(offset))
		} else if at := rand.Int64N(s.seen); at < int64(s.n) {
			s.chosen[at] = about(offset)
		}
	}
}

// Chosen returns the records that were chosen, in order, and the settings of all
// ledgers by their SHA-256.
func (a *Audit) Chosen() ([]Chosen, map[string]json.RawMessage) {
	slices.SortFunc(a.sample.chosen, func(a, b Chosen) int { return a.Compare(b.ID) })
	return a.sample.chosen, a.sample.settings
}

// chosen returns what is known of a record of the stretch.
func (p *part) chosen(offset int64) Chosen {
	c := Chosen{ID: p.out.At(offset)}
	for _, f := range p.files {
		c.Files = append(c.Files, f.Stored)
	}
	for _, e := range p.events {
		c.Events = append(c.Events, EventAt{e.group, e.file, e.before})
	}
	slices.SortFunc(p.ledgers, func(a, b *ledger) int { return cmp.Compare(b.Seq, a.Seq) })
	for _, l := range p.ledgers {
		if l.covered {
			c.Ledgers = append(c.Ledgers, OfLedger{l.Name, l.Group, l.Settings, l.Stored.Rows, l.pictures || l.rejected, l.Lists})
		}
	}
	return c
}
