package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"facestream/internal/record"
)

// kept gives a slot in which some offsets were kept.
func kept(camera string, number int64, offsets ...int64) Slot {
	s := Slot{Camera: camera, Kind: SlotSampled, Number: number}
	for _, offset := range offsets {
		s.Kept = append(s.Kept, Kept{Offset: offset})
	}
	return s
}

func ledgerOf(partition int32, slots ...Slot) Ledger {
	return Ledger{Partitions: []Partition{{TopicPartition: record.In("t", partition), Slots: slots}}}
}

// The latest slots of each camera and kind are left, whatever is merged first.
func TestMergedSlots(t *testing.T) {
	var parts []Ledger
	var want []Slot
	for n := range int64(40) {
		for _, camera := range []string{"a", "b"} {
			// Two bundles keep something in each.
			parts = append(parts, ledgerOf(0, kept(camera, n, 3*n)), ledgerOf(0, kept(camera, n, 3*n+1)))
			if n >= 40-16 {
				want = append(want, kept(camera, n, 3*n, 3*n+1))
			}
		}
	}
	cool := Slot{"a", SlotCooldown, 2, []Kept{{5, boxes(1, 2, 3, 4)}}}
	parts = append(parts, ledgerOf(0, cool))
	want = append(want, cool)
	slices.SortFunc(want, compareSlots)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		before := fmt.Sprint(parts)
		// As runners do: accumulators of any size are merged with each other.
		all := slices.Clone(parts)
		for len(all) > 1 {
			i := random.IntN(len(all) - 1)
			all[i] = Merge(all[i], all[i+1])
			all = slices.Delete(all, i+1, i+2)
		}
		if got := all[0].Partitions[0].Slots; !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if fmt.Sprint(parts) != before {
			t.Fatal("Merge has changed what it was given")
		}
	}
}

func TestCarry(t *testing.T) {
	far := int64(1 << 40) // of a wrong clock
	first := Carry(nil).After(Merge(ledgerOf(0, kept("a", 5, 50), kept("a", far, 51)), ledgerOf(1, kept("a", 7, 3))))
	before := fmt.Sprint(first)
	second := first.After(ledgerOf(0, kept("a", 5, 60), kept("b", 6, 61)))
	want := Carry{
		record.In("t", 0): {kept("a", 5, 50, 60), kept("a", far, 51), kept("b", 6, 61)},
		record.In("t", 1): {kept("a", 7, 3)}, // of which the window had no record
	}
	if !reflect.DeepEqual(second, want) || fmt.Sprint(first) != before {
		t.Errorf("got %+v, want %+v; the first became %+v", second, want, first)
	}
	// The wrong one goes as others do.
	for n := range int64(17) {
		second = second.After(ledgerOf(0, kept("a", 10+n, 100+n)))
	}
	if got := second[record.In("t", 0)]; len(got) != 17 || got[0].Number != 11 || got[15].Number != 26 || got[16].Camera != "b" {
		t.Errorf("got %+v, want slots 11 to 26 of a, and that of b", got)
	}
}

func TestCarryOfManyCameras(t *testing.T) {
	var c Carry
	for n := range int64(3) {
		var slots []Slot
		for i := range int64(2000) {
			slots = append(slots, kept(fmt.Sprintf("%d-%d", n, i), n, n*2000+i))
		}
		c = c.After(ledgerOf(0, slots...))
	}
	if got := c[record.In("t", 0)]; len(got) != 4096 || slices.ContainsFunc(got, func(s Slot) bool { return s.last() < 6000-4096 }) {
		t.Errorf("%d slots, want those of the last 4096 cameras", len(got))
	}
}
