package verify

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"facestream/internal/audit"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

// A table stays open from one picture to the next, as some of them do. It is opened anew when
// a run has replaced it.
func TestTablesStayOpen(t *testing.T) {
	root := t.TempDir()
	write := func(name string, rows ...table.Row) {
		var data bytes.Buffer
		testkit.Must(t, table.Write(&data, rows))
		testkit.WriteFile(t, filepath.Join(root, name), data.Bytes())
	}
	var rows []table.Row
	for i := range int64(3) {
		rows = append(rows, table.Row{ID: record.In("t", 0).At(i), Camera: "c", TimestampMillis: 1_750_000_000_000, Picture: fmt.Appendf(nil, "picture %d", i)})
	}
	c := testkit.Value(newChecker(t.Context(), store.Config{Root: root}, nil, nil, nil))(t)
	must := func(name string, row int64) {
		t.Helper()
		picture := store.PicturesOf(&rows[row])[0].Name
		got, err := c.read(t.Context(), picture, audit.Stored{Name: picture, Table: name, Row: row})
		if want := fmt.Sprint("picture ", row); err != nil || string(got) != want {
			t.Errorf("row %d of %s: %q, %v", row, name, got, err)
		}
	}
	write("a", rows...)
	write("b", rows...)
	must("a", 0)
	must("b", 0)
	testkit.Must(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "moved")))
	must("a", 1) // or it would not be found

	testkit.Must(t, os.Truncate(filepath.Join(root, "moved"), 0))
	write("a", rows...)
	must("a", 2)

	b, _ := c.tables.Peek("b")
	for i := range keptTables {
		name := fmt.Sprint("more", i)
		write(name, rows...)
		must(name, 0)
	}
	testkit.Equal(t, "the tables that are open", c.tables.Len(), keptTables)
	_, err := b.Picture(0)
	testkit.Is(t, "one that is not", err, fs.ErrClosed)
	last, _ := c.tables.Peek("more0")
	c.close()
	_, err = last.Picture(0)
	testkit.Is(t, "one of a checker that is not used any more", err, fs.ErrClosed)
}
