package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store/table"
)

var bookRun = Run{ID: "this-run", Group: "g", Settings: []byte(`{"write":"frame,events","store":"parquet"}`), SettingsSHA256: "s"}

// openBook opens the book of a run of topic a.
func openBook(t testing.TB, root string, run Run) *Book {
	t.Helper()
	return testkit.Value(OpenBook(t.Context(), testConfig(root), run, []string{"a"}, []record.TopicPartition{record.In("a", 0)}))(t)
}

// window is what a job leaves of a window that has read [first, end) of partition 0 of
// topic a, with a face in each frame.
func jobLeaves(t testing.TB, root, name string, first, end int64) Ledger {
	t.Helper()
	var l Ledger
	var events strings.Builder
	job := &rowsFn{Config: testConfig(root), Window: name}
	emit := func(w Written) { l = Merge(l, ledgerOfWritten(w)) }
	job.StartBundle(emit)
	for offset := first; offset < end; offset++ {
		id := record.In("a", 0).At(offset)
		events.WriteString(event("a", 0, offset, 1) + "\n")
		testkit.Must(t, job.ProcessElement(t.Context(), Entry{
			Tally: Tally{ID: id, TimestampMillis: testMillis, Size: 1000, Faces: 1, Events: []string{event("a", 0, offset, 1)}},
			Row:   &table.Row{ID: id, Camera: "door", TimestampMillis: testMillis, Picture: fmt.Append(nil, "picture ", offset)},
		}, emit))
	}
	testkit.Must(t, job.FinishBundle(t.Context(), emit))
	store(t, root, "_tmp/this-run/"+name+".jsonl", events.String())
	return l
}

func keep(t testing.TB, b *Book, root, name string, first, end int64) {
	t.Helper()
	testkit.Value(b.Keep(t.Context(), name, jobLeaves(t, root, name, first, end), []record.ID{record.In("a", 0).At(end)}))(t)
}

// byChance is what differs in the name of a table whenever it is written.
var byChance = regexp.MustCompile(`\+[A-Z2-7]{26}`)

// published returns the offsets of all events that readers see, which are those of the rows.
func published(t testing.TB, root string) (offsets []int64) {
	t.Helper()
	all := files(t, root)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, "_events/") {
			continue
		}
		for line := range strings.Lines(all[name]) {
			var offset int64
			if _, err := fmt.Sscanf(line, `{"topic":"a","partition":0,"offset":%d,"face":1}`, &offset); err != nil {
				t.Fatalf("%s: %q", name, line)
			}
			offsets = append(offsets, offset)
		}
	}
	var rows []int64
	for name := range all {
		if kind, _ := KindOf(name); kind != KindTable {
			continue
		}
		for p := range picturesIn(t, testConfig(root), name) {
			_, id := KindOf(p.Name)
			if rows = append(rows, id.Offset); id.Offset%16 != 0 {
				continue
			}
			data := testkit.Value(ReadPicture(t.Context(), testConfig(root), p.Name))(t)
			testkit.Equal(t, p.Name, string(data), fmt.Sprint("picture ", id.Offset))
		}
	}
	testkit.Equal(t, "rows, and events", slices.Sorted(slices.Values(rows)), slices.Sorted(slices.Values(offsets)))
	return offsets
}

func upTo(end int64) (offsets []int64) {
	for offset := range end {
		offsets = append(offsets, offset)
	}
	return offsets
}

// Windows become hours: a file of ledgers and one of events for each, whatever their
// number, and the position is that of the last.
func TestBookGathersByHour(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		b := openBook(t, root, bookRun)
		const perHour = gatherWindows + 6
		for n := range int64(2 * perHour) {
			keep(t, b, root, fmt.Sprintf("20260102T%02d%04d.000Z-5f3a9c01", 3+n/perHour, n%perHour), n, n+1)
			if b.Due(false) {
				testkit.Must(t, b.Gather(t.Context()))
			}
		}
		testkit.Must(t, b.Gather(t.Context()))
		testkit.Equal(t, "what is published", published(t, root), upTo(2*perHour))
		var names []string
		for _, name := range slices.Sorted(maps.Keys(files(t, root))) {
			names = append(names, byChance.ReplaceAllString(name, ""))
		}
		want := []string{"_events/2026-01-02/20260102T030000.000Z-5f3a9c01.jsonl", "_events/2026-01-02/20260102T040000.000Z-5f3a9c01.jsonl",
			"_pictures/2026-01-02/03/20260102T030000.000Z-5f3a9c01.parquet", "_pictures/2026-01-02/03/20260102T040000.000Z-5f3a9c01.parquet",
			"_windows/g+a/2026-01/02T03.json", "_windows/g+a/hour.json"}
		testkit.Equal(t, "the files", names, want)
		testkit.Equal(t, "where it stands", openBook(t, root, bookRun).Positions(), []record.ID{record.In("a", 0).At(2 * perHour)})
		var read, last int64
		testkit.Must(t, Books(t.Context(), testConfig(root), func(f BookFile) error {
			if f.Number <= last || f.Err != nil || len(f.Events) != 1 {
				t.Errorf("after window %d: %+v", last, f)
			}
			last = f.Number
			for _, l := range f.Ledgers {
				read += l.Sum().Read
			}
			return nil
		}))
		if read != 2*perHour || last != 2*perHour {
			t.Errorf("the ledgers have %d records in %d windows", read, last)
		}
	})
}

// A book that a run left at any point is completed by the next.
func TestBookIsCompleted(t *testing.T) {
	const one, stopped, two = "20260102T030000.000Z-5f3a9c01", "20260102T030050.000Z-5f3a9c01", "20260102T030100.000Z-5f3a9c01"
	for name, test := range map[string]struct {
		leave func(t *testing.T, root string, b *Book) // after window one was kept
		want  int64                                    // up to where
		note  string
	}{
		"a ledger is kept": {func(*testing.T, string, *Book) {}, 5, ""},
		"events and rows are staged without a ledger": {func(t *testing.T, root string, b *Book) {
			store(t, root, b.staged(two+eventsExtension), event("a", 0, 5, 1)+"\n")
			store(t, root, b.staged(two+tableMark+"X"+tableExtension), "rows")
		}, 5, ""},
		"events and rows are published behind others, and not counted": {func(t *testing.T, root string, b *Book) {
			testkit.Must(t, b.Gather(t.Context()))
			keep(t, b, root, two, 5, 7)
			testkit.Value(b.publish(t.Context(), b.hour.Events, two, []byte(files(t, root)[b.staged(two+eventsExtension)])))(t)
			testkit.Value(b.publishTables(t.Context(), b.hour.Tables, b.windows[0].ledger.Tables))(t)
		}, 7, ""},
		"events are published, and not counted": {func(t *testing.T, root string, b *Book) {
			testkit.Value(b.publish(t.Context(), nil, one, []byte(files(t, root)[b.staged(one+eventsExtension)])))(t)
			testkit.Value(b.publishTables(t.Context(), nil, b.windows[0].ledger.Tables))(t)
		}, 5, ""},
		"windows are gathered, and still there": {func(t *testing.T, root string, b *Book) {
			before := files(t, root)
			testkit.Must(t, b.Gather(t.Context()))
			for name, data := range before {
				store(t, root, name, data)
			}
		}, 5, ""},
		// The other run's window counts.
		"a run that was stopped keeps what another one has read again and kept": {func(t *testing.T, root string, b *Book) {
			keep(t, openBook(t, root, bookRun), root, two, 5, 7)
			keep(t, b, root, stopped, 5, 8)
		}, 7, ""},
		"a run that was stopped keeps what another one has read again and gathered": {func(t *testing.T, root string, b *Book) {
			other := openBook(t, root, bookRun)
			keep(t, other, root, two, 5, 7)
			testkit.Must(t, other.Gather(t.Context()))
			keep(t, b, root, stopped, 5, 8)
		}, 7, ""},
		"the newest ledger is cut off": {func(t *testing.T, root string, b *Book) {
			testkit.Must(t, b.Gather(t.Context()))
			keep(t, b, root, two, 5, 7)
			name := b.dir + "/" + two + ".json"
			store(t, root, name, files(t, root)[name][:100])
		}, 5, two + ".json cannot be read"},
		"the newest ledger is no ledger": {func(t *testing.T, root string, b *Book) {
			testkit.Must(t, b.Gather(t.Context()))
			keep(t, b, root, two, 5, 7)
			store(t, root, b.dir+"/"+two+".json", "{}")
		}, 5, two + ".json cannot be read"},
		"the newest hour is cut off": {func(t *testing.T, root string, b *Book) {
			testkit.Must(t, b.Gather(t.Context()))
			keep(t, b, root, "20260102T040000.000Z-5f3a9c01", 5, 7)
			testkit.Must(t, b.Gather(t.Context()))
			store(t, root, b.dir+"/hour.json", "{")
		}, 5, "hour.json cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			b := openBook(t, root, bookRun)
			keep(t, b, root, one, 0, 5)
			test.leave(t, root, b)
			b = openBook(t, root, bookRun)
			at := b.Positions()
			if len(at) != 1 || at[0].Offset != test.want {
				t.Fatalf("it stands at %v, want %d", at, test.want)
			}
			if notes := strings.Join(b.Notes, "\n"); !strings.Contains(notes, test.note) || test.note == "" && notes != "" {
				t.Errorf("it notes %q, want %q", notes, test.note)
			}
			before := published(t, root)
			if test.note == "" && !slices.Equal(before, upTo(test.want)) {
				t.Errorf("published are %v", before)
			}
			keep(t, b, root, "20260102T050000.000Z-5f3a9c01", at[0].Offset, 9)
			testkit.Must(t, b.Gather(t.Context()))
			for name := range files(t, root) {
				if kind, _ := KindOf(name); kind == KindStaged {
					t.Errorf("%s is left", name)
				}
			}
			got := published(t, root)
			if !slices.Equal(got[:len(before)], before) || !slices.Equal(slices.Compact(slices.Sorted(slices.Values(got))), upTo(9)) {
				t.Errorf("published are %v, before the last window %v", got, before)
			}
		})
	}
}

// A reader sees each window once, also while a run archives an hour and gathers.
func TestBooksWhileARunGathers(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := openBook(t, root, bookRun)
	for n := range int64(6) {
		keep(t, b, root, fmt.Sprintf("20260102T%02d0000.000Z-5f3a9c01", 3+n), n, n+1)
		if n < 4 {
			testkit.Must(t, b.Gather(t.Context()))
		}
	}
	var last int64
	testkit.Must(t, Books(t.Context(), testConfig(root), func(f BookFile) error {
		if f.Number != last+1 || f.Err != nil {
			t.Errorf("after window %d: %+v", last, f)
		}
		last = f.Number
		return b.Gather(t.Context())
	}))
	testkit.Equal(t, "the last one seen", last, 6)
}

// A window that was not read exactly once is not kept.
func TestBookRefusesWrongLedgers(t *testing.T) {
	for name, test := range map[string]struct {
		first int64
		spoil func(l *Ledger, events *string)
		want  string
	}{
		"a record is in it twice": {5, func(l *Ledger, _ *string) {
			*l = Merge(*l, ledgerOfWritten(Written{Tally: Tally{ID: record.In("a", 0).At(6), Faces: 1}}))
		}, "records_read is 4, and there are 3 offsets"},
		"records were read before":         {4, func(*Ledger, *string) {}, "offset 4 of partition 0 of topic a was read before"},
		"an event is missing":              {5, func(_ *Ledger, events *string) { *events = event("a", 0, 5, 1) + "\n" }, "has 3 events, and 1 were written"},
		"an event is twice":                {5, func(_ *Ledger, events *string) { *events += event("a", 0, 5, 1) + "\n" }, "face 1 of offset 5 of partition 0 of topic a is twice"},
		"an event is cut off":              {5, func(_ *Ledger, events *string) { *events = (*events)[:len(*events)-9] }, "events have the line"},
		"an event is of another topic":     {5, func(_ *Ledger, events *string) { *events += event("b", 0, 5, 1) + "\n" }, "there are events of partition 0 of topic b"},
		"a picture is not of what it read": {5, func(l *Ledger, _ *string) { l.Partitions[0].Pictures = testkit.Ranges(50, 52) }, "pictures of offsets that were not read"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "root")
			b := openBook(t, root, bookRun)
			keep(t, b, root, "20260102T030000.000Z-5f3a9c01", 0, 5)
			l := jobLeaves(t, root, "w", test.first, 8)
			events := files(t, root)["_tmp/this-run/w.jsonl"]
			test.spoil(&l, &events)
			store(t, root, "_tmp/this-run/w.jsonl", events)
			_, err := b.Keep(t.Context(), "w", l, []record.ID{record.In("a", 0).At(8)})
			if wrong, ok := err.(*WrongError); !ok || !strings.Contains(wrong.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			keep(t, b, root, "w", 5, 8) // it is read again
		})
	}
}

// Where a group stands is in its books, whichever topics they are of together, and in
// the ledgers of older versions; not in those of other groups.
func TestPositions(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		ctx, cfg := t.Context(), testConfig(root)
		a, b := record.In("a", 0), record.In("b", 0)
		slots := []Slot{{Camera: "door", Kind: SlotSampled, Number: 4, Kept: []Kept{{Offset: 6}}}}
		old := func(group, name string, l Ledger) {
			l.Run = Run{Group: group, SettingsSHA256: "s"}
			testkit.Must(t, putLedger(ctx, cfg, "_windows/"+name+".json", l))
		}
		old("g", "1", Ledger{Partitions: []Partition{{TopicPartition: a, Read: 7, LastOffset: 6, Slots: slots}, {TopicPartition: b, Read: 1, LastOffset: 3}}})
		old("other", "2", Ledger{Partitions: []Partition{{TopicPartition: a, Read: 1, LastOffset: 90}}})
		old("g", "3", Ledger{Partitions: []Partition{{TopicPartition: a, Read: 1, LastOffset: 70, Events: 1}}}) // whose events were not kept
		store(t, root, "_windows/4.json", "{")
		open := func(group string, topics ...string) (*Book, []record.ID) {
			book := testkit.Value(OpenBook(ctx, cfg, Run{Group: group, SettingsSHA256: "s"}, topics, []record.TopicPartition{a, b}))(t)
			return book, book.Positions()
		}
		both, at := open("g", "a", "b")
		testkit.Equal(t, "by older ledgers", at, []record.ID{a.At(7), b.At(4)})
		testkit.Equal(t, "the slots of older ledgers", both.Carry(), Carry{a: slots})
		testkit.Value(both.Keep(ctx, "20260102T030000.000Z-5f3a9c01", Ledger{}, []record.ID{a.At(20), b.At(30)}))(t)
		for _, test := range []struct {
			group  string
			topics []string
			want   []record.ID
		}{
			{"g", []string{"b", "a"}, []record.ID{a.At(20), b.At(30)}},
			{"g", []string{"a"}, []record.ID{a.At(20)}},
			{"g", []string{"b"}, []record.ID{b.At(30)}},
			{"other", []string{"a"}, []record.ID{a.At(91)}},
			{"new", []string{"a"}, nil},
		} {
			_, at := open(test.group, test.topics...)
			testkit.Equal(t, fmt.Sprintf("group %s in %v", test.group, test.topics), at, test.want)
		}
	})
}

// Events go on in another file when one is large, and nothing of what was published is
// lost if somebody has changed it.
func TestEventsFilesAreBounded(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := openBook(t, root, bookRun)
	files := testkit.Value(b.publish(t.Context(), []EventsFile{{"_events/x", maxEventsPart}}, "20260102T030000.000Z-5f3a9c01", []byte("1\n")))(t)
	want := []EventsFile{{"_events/x", maxEventsPart}, {"_events/2026-01-02/20260102T030000.000Z-5f3a9c01.jsonl", 2}}
	testkit.Equal(t, "the files", files, want)
	testkit.Must(t, os.WriteFile(filepath.Join(root, files[1].File), []byte("1"), 0o644))
	testkit.Gives(b.publish(t.Context(), files, "20260102T030100.000Z-5f3a9c01", []byte("2\n")))(t, "the files, one of which was changed", append(want, EventsFile{"_events/2026-01-02/20260102T030100.000Z-5f3a9c01.jsonl", 2}))
}

// The events of windows stay staged until they are released, whatever is gathered and
// whoever opens the book, but for one that holds none.
func TestHeldEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		cfg.HoldEvents = true
		open := func() *Book {
			t.Helper()
			return testkit.Value(OpenBook(t.Context(), cfg, bookRun, []string{"a"}, []record.TopicPartition{record.In("a", 0)}))(t)
		}
		holds := func(b *Book, want ...string) {
			t.Helper()
			testkit.Equal(t, "what is held", b.Held(), want)
			for _, name := range want {
				if data := testkit.Value(StagedEvents(t.Context(), cfg, bookRun.Group, []string{"a"}, name))(t); len(data) == 0 {
					t.Errorf("%s has no events", name)
				}
			}
		}
		const w1, w2, w3 = "20260102T080000.000Z-00000001", "20260102T090000.000Z-00000002", "20260102T090100.000Z-00000003"
		b := open()
		keep(t, b, root, w1, 0, 3)
		keep(t, b, root, w2, 3, 5)
		holds(b, w1, w2)
		testkit.Must(t, b.Release(t.Context(), []string{w1})) // not before it is gathered
		holds(b, w1, w2)
		testkit.Must(t, b.Gather(t.Context()))
		keep(t, b, root, w3, 5, 6)
		holds(b, w1, w2, w3)
		interrupted, interrupt := context.WithCancel(t.Context())
		interrupt()
		testkit.Says(t, "interrupted", b.Release(interrupted, []string{w1, w3}), "canceled")
		holds(b, w1, w2, w3)
		testkit.Must(t, b.Release(t.Context(), []string{w1, w3}))
		holds(b, w2, w3)
		b = open()
		holds(b, w2, w3)
		testkit.Must(t, b.Release(t.Context(), []string{w3}))
		holds(b, w2)
		holds(openBook(t, root, bookRun))
		holds(open())
		testkit.Equal(t, "what is published", published(t, root), upTo(6))
	})
}
