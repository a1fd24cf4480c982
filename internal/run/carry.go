package run

import (
	"context"
	"math"
	"slices"

	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// Following returns a window that follows on others, which have passed on what it must
// know of them.
func (w Window) Following(carry store.Carry) Window {
	if leavesOut(w.Sampling) {
		w.Sampling.Stored, w.Sampling.Frames.Taken = carry, taken(carry)
	}
	return w
}

func leavesOut(l face.Sampling) bool { return l.Frames.MaxFPS > 0 || l.CooldownMillis > 0 }

// taken returns the slots of which a frame was kept.
func taken(carry store.Carry) (all []frame.Taken) {
	for _, p := range carry {
		for _, s := range p.Slots {
			if s.Kind != store.SlotSampled {
				continue
			}
			for _, k := range s.Kept {
				all = append(all, frame.Taken{ID: p.At(k.Offset), Camera: s.Camera, Slot: s.Number})
			}
		}
	}
	return all
}

// readCarry sets what the first window must know of those of earlier runs.
func (s *session) readCarry(ctx context.Context) error {
	if !leavesOut(s.options.Sampling) {
		return nil
	}
	committed, err := s.offsets.Committed(ctx)
	if err != nil {
		return err
	}
	names, err := store.Windows(ctx, s.window.Store)
	if err != nil {
		return err
	}
	search := newCarrySearch(s.about, s.options.Topics, committed)
	for _, name := range slices.Backward(names) {
		l, err := store.ReadLedger(ctx, s.window.Store, name)
		if err != nil {
			return err
		}
		if search.add(l) {
			break
		}
	}
	s.carry = search.carry
	return nil
}

// carrySearch finds what was passed on, by the group and with the same settings, at
// the offsets where it stands.
type carrySearch struct {
	run       store.Run
	topics    []string
	committed []record.ID

	open  []store.PartitionSlots // still looked for; nil before the first ledger
	carry store.Carry
}

func newCarrySearch(run store.Run, topics []string, committed []record.ID) *carrySearch {
	return &carrySearch{run: run, topics: topics, committed: committed}
}

// add looks at the ledger before those that it has seen, and reports whether it needs
// no earlier one. The last ledger of all has every partition. But if the group
// stands before something that was kept by then, because the window was not
// committed or offsets were set back, an earlier ledger says what was known there.
func (b *carrySearch) add(l store.Ledger) (done bool) {
	if l.Run.Group != b.run.Group {
		return false
	}
	if l.Run.SettingsSHA256 != b.run.SettingsSHA256 {
		return true // slots of another length, or other faces
	}
	passedOn := store.CarryOf(l)
	if b.open == nil {
		b.open = passedOn
	}
	b.open = slices.DeleteFunc(slices.Clone(b.open), func(p store.PartitionSlots) bool {
		at := slices.IndexFunc(passedOn, func(q store.PartitionSlots) bool { return q.TopicPartition == p.TopicPartition })
		offset, begun := b.offset(p.TopicPartition)
		if at < 0 || !begun {
			return true // nothing was kept yet
		}
		if !passedOn[at].Before(offset) {
			return false
		}
		b.carry = append(b.carry, passedOn[at])
		return true
	})
	return len(b.open) == 0
}

// offset returns where the group stands in a partition, if it has begun it. Of a
// topic that is not read, all is passed on.
func (b *carrySearch) offset(p record.TopicPartition) (offset int64, begun bool) {
	if !slices.Contains(b.topics, p.Topic) {
		return math.MaxInt64, true
	}
	at := slices.IndexFunc(b.committed, func(c record.ID) bool { return c.TopicPartition == p })
	if at < 0 {
		return 0, false
	}
	return b.committed[at].Offset, true
}
