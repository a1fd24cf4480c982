package run

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/camera/video"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// However a log is cut into windows, and in whatever order the records of one
// come, the same is stored and counted.
func TestBordersOfWindowsMakeNoDifference(t *testing.T) {
	const topic, n = "cut", 48
	random := rand.New(rand.NewPCG(1, 2))
	log := lessLog(random, n)
	values := lessValues(t, func(p video.Picture) []byte { return p.BGR })
	wantCounts, wantFiles := wantLess(topic, log)
	if wantCounts.Sampled < 5 || wantCounts.Cooled < 3 || wantCounts.Rejected["wrong_size"] < 2 {
		t.Fatalf("the log is too simple: %s", counted(wantCounts))
	}
	everyRecord := make([]int, n)
	for i := range everyRecord {
		everyRecord[i] = i
	}
	cuts := [][]int{nil, everyRecord}
	for range 8 {
		cuts = append(cuts, slices.Sorted(slices.Values(random.Perm(n)[:1+random.IntN(6)])))
	}
	runner, err := runners.Open(t.Context(), runners.Config{Name: runners.Direct})
	if err != nil {
		t.Fatal(err)
	}
	defer runner.Close()
	for _, cut := range cuts {
		root := t.TempDir()
		o := optionsFor(t, append(slices.Clone(lessSettings), "--kafka=localhost:1", "--output="+root)...)
		cfg := Config{Frame: o.Frame, Face: o.Face, Sampling: o.Sampling, Output: o.Write, Store: testStore(root)}
		var carry store.Carry
		counts := newSummary("", wantCounts.start)
		first := 0
		for i, border := range append(slices.Clone(cut), n) {
			var window []any
			for _, r := range log[first:border] {
				window = append(window, r.record(topic, values))
			}
			if first = border; len(window) == 0 {
				continue
			}
			random.Shuffle(len(window), func(i, j int) { window[i], window[j] = window[j], window[i] })
			p, s := beam.NewPipelineWithRoot()
			src := func(s beam.Scope) (beam.PCollection, error) { return beam.Create(s, window...), nil }
			name := fmt.Sprint("w", i)
			if _, err := Build(s, src, cfg.following(carry), name); err != nil {
				t.Fatal(err)
			}
			if err := runner.Run(t.Context(), name, p); err != nil {
				t.Fatal(err)
			}
			l, err := store.ReadWritten(t.Context(), cfg.Store, name)
			if err != nil {
				t.Fatal(err)
			}
			counts.add(l)
			carry = carry.After(l)
		}
		if err := store.End(t.Context(), cfg.Store); err != nil {
			t.Fatal(err)
		}
		if counted(*counts) != counted(wantCounts) {
			t.Errorf("cut at %v: %s; want %s", cut, counted(*counts), counted(wantCounts))
		}
		if got := recordsIn(localFiles(t, root)); !slices.Equal(got, wantFiles) {
			t.Errorf("cut at %v: there are files of %v; want %v", cut, got, wantFiles)
		}
	}
}

// What a run begins with is what was known where the group stands.
func TestBeginning(t *testing.T) {
	slot := func(number int64, offsets ...int64) store.Slot {
		s := store.Slot{Camera: "door", Kind: store.SlotSampled, Number: number}
		for _, offset := range offsets {
			s.Kept = append(s.Kept, store.Kept{Offset: offset})
		}
		return s
	}
	part := func(topic string, partition int32, slots ...store.Slot) store.PartitionSlots {
		return store.PartitionSlots{Topic: topic, Partition: partition, Slots: slots}
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
	at := func(zero, one int64) []kafka.Committed {
		return []kafka.Committed{{Topic: "t", Partition: 0, Offset: zero}, {Topic: "t", Partition: 1, Offset: one}}
	}
	for _, tt := range []struct {
		name      string
		committed []kafka.Committed
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
		begin := newBeginning(run, []string{"t"}, tt.committed)
		looked := 0
		for _, l := range slices.Backward(tt.ledgers) {
			looked++
			if begin.add(l) {
				break
			}
		}
		if !reflect.DeepEqual(begin.carry, tt.want) || looked != tt.looked {
			t.Errorf("%s: %+v after %d ledgers, want %+v after %d", tt.name, begin.carry, looked, tt.want, tt.looked)
		}
	}
}

// With nothing left out, no window knows of others.
func TestCarryIsOff(t *testing.T) {
	carry := store.Carry{{Topic: "t", Slots: []store.Slot{{Kept: []store.Kept{{Offset: 1}}}}}}
	if got := (Config{}).following(carry).Sampling; got.Stored != nil || got.Sampling.Taken != nil {
		t.Errorf("got %+v", got)
	}
}
