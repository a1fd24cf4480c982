package store

import (
	"cmp"
	"maps"
	"slices"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

// The kinds of Slot.
const (
	SlotSampled  = "max_fps"  // a camera gives one frame in it
	SlotCooldown = "cooldown" // a camera gives one picture of each face in it
)

// Slot is a stretch of time since 1970, one of many of the same length, and what
// was kept of a camera's records in it.
type Slot struct {
	Camera string `json:"camera"` // as the record names it
	Kind   string `json:"kind"`
	Number int64  `json:"slot"` // from 0, which begins in 1970
	Kept   []Kept `json:"kept"` // by offset
}

// Kept is a record of which something was kept.
type Kept struct {
	Offset int64        `json:"offset"`
	Boxes  []record.Box `json:"boxes,omitempty"` // of all its faces; of SlotCooldown only
}

const (
	// maxSlots is how many slots of one kind of a camera go on from window to
	// window. One would do if time never went back; of several, records that
	// come late find theirs.
	maxSlots = 16
	// maxPartitionSlots bounds those of a partition that ever has new cameras.
	maxPartitionSlots = 4096
)

func compareSlots(a, b Slot) int {
	return cmp.Or(cmp.Compare(a.Camera, b.Camera), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number))
}

// uniteSlots returns the slots of both, in order; of two that are the same, what
// either kept. It changes neither.
func uniteSlots(a, b []Slot) []Slot {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, compareSlots)
	out := all[:1]
	for _, s := range all[1:] {
		last := &out[len(out)-1]
		if compareSlots(*last, s) != 0 {
			out = append(out, s)
			continue
		}
		last.Kept = uniteKept(last.Kept, s.Kept)
	}
	return out
}

func uniteKept(a, b []Kept) []Kept {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b Kept) int { return cmp.Compare(a.Offset, b.Offset) })
	return slices.CompactFunc(all, func(a, b Kept) bool { return a.Offset == b.Offset })
}

// mergeSlots returns the latest slots of both, maxSlots of each kind and camera,
// in order. That they are the latest does not depend on what is merged first.
func mergeSlots(a, b []Slot) []Slot {
	all := uniteSlots(a, b)
	var out []Slot
	for i, s := range all {
		if j := i + maxSlots; j < len(all) && all[j].Camera == s.Camera && all[j].Kind == s.Kind {
			continue
		}
		out = append(out, s)
	}
	return out
}

// Carry is what a window must know of those before it, so that it does not matter
// where one ends: the slots in which each camera was last kept something, by
// partition and in order. These are the last by offset: a record with a wrong time must not
// stand in the way of all to come.
type Carry map[record.TopicPartition][]Slot

// After returns what is passed on behind the next window, of which l is the
// ledger. It changes neither.
func (c Carry) After(l Ledger) Carry {
	next := Carry{}
	maps.Copy(next, c)
	for _, p := range l.Partitions {
		if len(p.Slots) > 0 {
			next[p.TopicPartition] = newest(uniteSlots(c[p.TopicPartition], p.Slots))
		}
	}
	return next
}

// Of returns what was kept in the slots of a kind, by frame.Group.
func (c Carry) Of(kind string) map[string][]Kept {
	kept := map[string][]Kept{}
	for p, slots := range c {
		for _, s := range slots {
			if s.Kind == kind && len(s.Kept) > 0 { // a ledger can hold anything
				kept[frame.Group(p, s.Camera, s.Number)] = s.Kept
			}
		}
	}
	return kept
}

// newest returns those of the slots in which something was kept last, in order.
func newest(all []Slot) []Slot {
	byOffset := slices.Clone(all)
	slices.SortStableFunc(byOffset, func(a, b Slot) int { return cmp.Compare(b.last(), a.last()) })
	type camera struct{ name, kind string }
	count := map[camera]int{}
	var out []Slot
	for _, s := range byOffset {
		of := camera{s.Camera, s.Kind}
		if count[of]++; count[of] <= maxSlots && len(out) < maxPartitionSlots {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, compareSlots)
	return out
}

func (s Slot) last() int64 {
	if len(s.Kept) == 0 { // a ledger can hold anything
		return -1
	}
	return s.Kept[len(s.Kept)-1].Offset
}
