package store

import (
	"fmt"
	"iter"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store/table"
)

// rowEntry is of a frame with one face, whose picture and crop have so many bytes together.
func rowEntry(offset, millis int64, bytes int) Entry {
	id := record.In("t", 1).At(offset)
	return Entry{Tally: Tally{ID: id, TimestampMillis: millis, Size: 9, Faces: 1}, Row: &table.Row{
		ID: id, Camera: "cam", TimestampMillis: millis, Picture: picture(bytes - 4), Faces: []table.Face{{Face: 1, Crop: []byte("crop")}},
	}}
}

const hourMillis = 3_600_000

// picturesIn gives the pictures of a table, by the name of that below the root.
func picturesIn(t testing.TB, cfg Config, of string) iter.Seq2[Picture, []byte] {
	return func(yield func(Picture, []byte) bool) {
		in := testkit.Value(cfg.OpenTable(t.Context(), of))(t)
		defer in.Close()
		for row, err := range in.Rows(math.MaxInt64) {
			testkit.Must(t, err)
			for _, p := range PicturesOf(&row) {
				if !yield(p, testkit.Value(p.Read(in.File, row.Nth))(t)) {
					return
				}
			}
		}
	}
}

// Rows are in a table for each hour of a bundle, in parts that are bounded. Every frame
// gives a Written, and each table is in one.
func TestWriteRows(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		entries := []Entry{rowEntry(0, testMillis, 1000), rowEntry(1, -1, 1000), rowEntry(2, testMillis+hourMillis, 1000), rowEntry(3, testMillis, 1000),
			{Tally: Tally{ID: record.In("t", 1).At(4)}}, rowEntry(5, testMillis, tableBytes), rowEntry(6, testMillis, 1000)}
		want := []string{"2026-01-02/03: 0,3,5", "2026-01-02/03: 6", "2026-01-02/04: 2", "undated: 1"}
		p, s := beam.NewPipelineWithRoot()
		written := WriteRows(s, testConfig(root), "w", beam.CreateList(s, entries))
		passert.Count(s, written, "frames", len(entries))
		WriteLedger(s, testConfig(root), "w", written, beam.CreateList(s, []Written{}))
		// Twice: a bundle that is done again leaves others.
		for range 2 {
			ptest.RunAndValidate(t, p)
			l := testkit.Value(ReadWritten(t.Context(), testConfig(root), "w"))(t)
			if sum := l.Sum(); sum.Read != 7 || sum.Files != 12 || sum.Bytes != tableBytes+5000 || l.Latest.Picture != nameOf("cam", testMillis+hourMillis, "t", 1, 2).Path() {
				t.Errorf("the ledger is %+v", l)
			}
			var got []string
			for _, table := range l.Tables {
				var offsets []string
				for p, data := range picturesIn(t, testConfig(root), pending(testConfig(root), path.Base(table.File))) {
					_, id := KindOf(p.Name)
					if p.Kind == KindPicture {
						offsets = append(offsets, fmt.Sprint(id.Offset))
					}
					if want := entries[id.Offset].Row; string(data) != map[Kind]string{KindPicture: string(want.Picture), KindFace: "crop"}[p.Kind] || int64(len(data)) != p.Bytes {
						t.Errorf("%s has %d bytes, which are not those that were written", p.Name, len(data))
					}
				}
				got = append(got, strings.TrimPrefix(path.Dir(table.File), "_pictures/")+": "+strings.Join(offsets, ","))
				testkit.Equal(t, "the rows of "+table.File, table.Rows, int64(len(offsets)))
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("the tables are %q, want %q", got, want)
			}
		}
		l := testkit.Value(ReadWritten(t.Context(), testConfig(root), "w"))(t)
		run := bookRun
		run.Settings = []byte(`{"write":"frame,crops","store":"parquet"}`)
		b := openBook(t, root, run)
		short := l
		short.Tables = l.Tables[1:]
		_, err := b.Keep(t.Context(), "w", short, nil)
		testkit.Says(t, "with a table less", err, "rows, and 6 records have pictures")
		testkit.Value(b.Keep(t.Context(), "w", l, nil))(t)
		testkit.Gives(testConfig(root).Glob(t.Context(), tmpDir+"/*/*"))(t, "what is left", nil)
	})
}

// Tables of many windows become a few, by how much is there and is added.
func TestTablesGrow(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := openBook(t, root, bookRun)
	b.cfg.SegmentBytes = 250 << 10
	var published []Table
	add := func(n int64, bytes int) {
		job := &rowsFn{Config: b.cfg, Window: fmt.Sprintf("w%d", n)}
		var tables []Table
		emit := func(w Written) { tables = append(tables, w.Tables...) }
		job.StartBundle(emit)
		testkit.Must(t, job.ProcessElement(t.Context(), rowEntry(n, testMillis, bytes), emit))
		testkit.Must(t, job.FinishBundle(t.Context(), emit))
		for _, table := range tables {
			testkit.Must(t, b.cfg.rename(t.Context(), pending(b.cfg, path.Base(table.File)), b.staged(table.File)))
		}
		var err error
		published, err = b.publishTables(t.Context(), published, tables)
		testkit.Must(t, err)
	}
	rows := func() (rows []int64) {
		for _, table := range published {
			rows = append(rows, table.Rows)
		}
		return rows
	}
	for n := range int64(5) {
		add(n, 60<<10)
	}
	testkit.Equal(t, "the rows of the tables", rows(), []int64{3, 2})
	// One that somebody has removed does not stand in the way of those that come.
	testkit.Must(t, b.cfg.remove(t.Context(), published[1].File))
	add(5, 1000)
	testkit.Equal(t, "the rows of the tables", rows(), []int64{3, 1})
	// A large one is left alone for a few bytes.
	published[1].Bytes, b.cfg.SegmentBytes = smallTable, 0
	add(6, 1000)
	testkit.Equal(t, "the rows of the tables", rows(), []int64{3, 1, 1})
	// Nor one that a purge had written anew when it was killed, before its ledger, whether it is
	// purged once more or not.
	published[2].Rows++
	again := &purge{cfg: b.cfg, Selection: Selection{Records: Marks{}}, purged: Purged{Files: Marks{}, Events: Marks{}}, progress: func(Freed) {}}
	testkit.Equal(t, "the rows, purged again", testkit.Value(again.filterTable(t.Context(), published[2]))(t).Rows, 1)
	add(7, 1000)
	testkit.Equal(t, "the rows of the tables", rows(), []int64{3, 1, 2})
}

// Who reads published tables while others are gathered sees each row once, and never less
// than before.
func TestReadWhileTablesGrow(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	b := openBook(t, root, bookRun)
	const windows = 40
	ended := make(chan error, 1)
	go func() {
		for n := range int64(windows) {
			keep(t, b, root, fmt.Sprintf("20260102T03%02d00.000Z-5f3a9c01", n), n, n+1)
			if err := b.Gather(t.Context()); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for last, over := 0, false; !over; {
		select {
		case err := <-ended:
			testkit.Must(t, err)
			over = true
		default:
		}
		rows := map[string]bool{}
		for _, name := range testkit.Value(b.cfg.Glob(t.Context(), tableFolder+"/*/*/*"))(t) {
			for p := range picturesIn(t, b.cfg, name) {
				if rows[p.Name] {
					t.Errorf("%s is there twice", p.Name)
				}
				rows[p.Name] = true
			}
		}
		if len(rows) < last || over && len(rows) != windows {
			t.Errorf("there are %d rows after %d", len(rows), last)
		}
		last = len(rows)
	}
}
