package run

import (
	"context"
	"math"
	"slices"

	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
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
				all = append(all, frame.Taken{Topic: p.Topic, Partition: p.Partition, Camera: s.Camera, Slot: s.Number, Offset: k.Offset})
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
	committed []kafka.Committed

	open  []store.PartitionSlots // still looked for; nil before the first ledger
	carry store.Carry
}

func newCarrySearch(run store.Run, topics []string, committed []kafka.Committed) *carrySearch {
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
		at := slices.IndexFunc(passedOn, func(q store.PartitionSlots) bool { return q.Topic == p.Topic && q.Partition == p.Partition })
		offset, begun := b.offset(p.Topic, p.Partition)
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
func (b *carrySearch) offset(topic string, partition int32) (offset int64, begun bool) {
	if !slices.Contains(b.topics, topic) {
		return math.MaxInt64, true
	}
	at := slices.IndexFunc(b.committed, func(c kafka.Committed) bool { return c.Topic == topic && c.Partition == partition })
	if at < 0 {
		return 0, false
	}
	return b.committed[at].Offset, true
}
