package run

import (
	"reflect"
	"slices"
	"testing"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// What a run begins with is what was known where the group stands.
func TestCarryIsFound(t *testing.T) {
	slot := func(number int64, offsets ...int64) store.Slot {
		s := store.Slot{Camera: "door", Kind: store.SlotSampled, Number: number}
		for _, offset := range offsets {
			s.Kept = append(s.Kept, store.Kept{Offset: offset})
		}
		return s
	}
	part := func(topic string, partition int32, slots ...store.Slot) store.PartitionSlots {
		return store.PartitionSlots{TopicPartition: record.In(topic, partition), Slots: slots}
	}
	run := store.Run{Group: "g", SettingsSHA256: "s"}
	ledger := func(run store.Run, carry ...store.PartitionSlots) (l store.Ledger) {
		l.Run = run
		l.SetCarry(carry)
		return l
	}
	// In order of time.
	ledgers := []store.Ledger{
		ledger(run, part("t", 0, slot(1, 10))),
		ledger(run, part("t", 0, slot(1, 10), slot(2, 20)), part("t", 1, slot(5, 7)), part("u", 0, slot(3, 3))),
		ledger(store.Run{Group: "other", SettingsSHA256: "s"}, part("t", 0, slot(9, 99))),
		ledger(run, part("t", 0, slot(2, 20), slot(3, 30)), part("t", 1, slot(5, 7)), part("u", 0, slot(3, 3))),
	}
	at := func(zero, one int64) []record.ID {
		return []record.ID{record.In("t", 0).At(zero), record.In("t", 1).At(one)}
	}
	for _, tt := range []struct {
		name      string
		committed []record.ID
		ledgers   []store.Ledger
		want      store.Carry
		looked    int // at how many ledgers
	}{
		{"the last window is committed", at(31, 8), ledgers, store.Carry{part("t", 0, slot(2, 20), slot(3, 30)), part("t", 1, slot(5, 7)), part("u", 0, slot(3, 3))}, 1},
		{"it is not", at(21, 8), ledgers, store.Carry{part("t", 1, slot(5, 7)), part("u", 0, slot(3, 3)), part("t", 0, slot(1, 10), slot(2, 20))}, 3},
		{"the offsets were set back", at(15, 8), ledgers, store.Carry{part("t", 1, slot(5, 7)), part("u", 0, slot(3, 3)), part("t", 0, slot(1, 10))}, 4},
		{"to the beginning", at(0, 0), ledgers, store.Carry{part("u", 0, slot(3, 3))}, 4},
		{"nothing is committed", nil, ledgers, store.Carry{part("u", 0, slot(3, 3))}, 1},
		{"there is no ledger", at(31, 8), nil, nil, 0},
		{"other settings", at(31, 8), append(slices.Clone(ledgers), ledger(store.Run{Group: "g", SettingsSHA256: "x"}, part("t", 0, slot(2, 20)))), nil, 1},
		{"nothing was kept", at(31, 8), append(slices.Clone(ledgers), ledger(run)), nil, 1},
	} {
		search := newCarrySearch(run, []string{"t"}, tt.committed)
		looked := 0
		for _, l := range slices.Backward(tt.ledgers) {
			looked++
			if search.add(l) {
				break
			}
		}
		if !reflect.DeepEqual(search.carry, tt.want) || looked != tt.looked {
			t.Errorf("%s: %+v after %d ledgers, want %+v after %d", tt.name, search.carry, looked, tt.want, tt.looked)
		}
	}
}

// With nothing left out, no window knows of others.
func TestCarryIsOff(t *testing.T) {
	carry := store.Carry{{TopicPartition: record.In("t", 0), Slots: []store.Slot{{Kept: []store.Kept{{Offset: 1}}}}}}
	if got := (Window{}).Following(carry).Sampling; got.Stored != nil || got.Frames.Taken != nil {
		t.Errorf("got %+v", got)
	}
}
