package audit

import (
	"cmp"
	"encoding/json"
	"math"
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

// sample chooses n of all records, each with the same probability, while they pass
// (Li, "Reservoir-sampling algorithms of time complexity O(n(1+log(N/n)))", 1994).
type sample struct {
	n          int
	chosen     []Chosen
	seen, next int64   // records that have passed, and the next one to be chosen
	weight     float64 // probability that the largest of n numbers is less
	settings   map[string]json.RawMessage
}

func newSample(n int) sample {
	return sample{n: n, weight: 1, settings: map[string]json.RawMessage{}}
}

// choose chooses some of a range's records.
func (s *sample) choose(r record.Range, about func(offset int64) Chosen) {
	for s.n > 0 && s.next <= s.seen+r.Last-r.First {
		one := about(r.First + s.next - s.seen)
		if len(s.chosen) < s.n {
			s.chosen = append(s.chosen, one)
		} else {
			s.chosen[rand.IntN(s.n)] = one
		}
		s.next++
		if len(s.chosen) == s.n {
			s.weight *= math.Exp(math.Log(1-rand.Float64()) / float64(s.n))
			skip := math.Floor(math.Log(1-rand.Float64()) / math.Log1p(-s.weight))
			s.next += int64(min(skip, math.MaxInt64/4))
		}
	}
	s.seen += r.Last - r.First + 1
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
