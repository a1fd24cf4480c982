package verify

import (
	"bytes"
	"math"
	"path"
	"slices"
	"strings"
	"testing"

	"facestream/internal/audit"
	"facestream/internal/camera/feed"
	"facestream/internal/testkit"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

// Whatever is wrong with pictures that are rows is found, and named.
func TestVerifyRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "verify-rows")
	for _, flags := range [][]string{{"--store=parquet", "--write=frame,annotated,crops,events"}, {"--store=parquet"}} {
		w.send(t, feed.JPEG)
		w.run(t, flags...)
	}
	r := w.verify(t, 0, recheckAll)
	testkit.Equal(t, "what was rechecked", r.Recheck, &audit.Recheck{Records: 20})
	for _, p := range r.Partitions {
		if want := (audit.Files{Expected: 4, Present: 4}); p.Pictures != want || p.Annotated.Present != 2 || p.Crops.Present != 2 {
			t.Errorf("partition %+v, want 4 pictures, and 2 with all", p)
		}
	}
	tables := w.files(t)[store.KindTable]
	first := tables[0]
	rows := testkit.Value(w.client.ReadFile(path.Join(w.folder, first)))(t)
	if n := len(rowsOf(t, rows)); n != 8 || len(tables) != 1 {
		t.Fatalf("%d tables, of which the first has %d rows, want 8 in one", len(tables), n)
	}
	id := rowsOf(t, rows)[0].ID.String()
	changed := func(change func([]table.Row) []table.Row) func([]byte) []byte {
		return func(data []byte) []byte {
			var out bytes.Buffer
			testkit.Must(t, table.Write(&out, change(rowsOf(t, data))))
			return out.Bytes()
		}
	}
	w.mustFind(t, []damage{
		{"a table is cut", first, cut, nil, map[string]int{"table_unreadable": 1, "picture_missing": 6, "annotated_missing": 3, "crop_missing": 3}, first},
		{"a table is gone", first, nil, nil, map[string]int{"table_missing": 1, "picture_missing": 6, "annotated_missing": 3, "crop_missing": 3}, first},
		{"a table counts nowhere", path.Join(path.Dir(first), "20200101T000000.000Z-00000001+X.parquet"), func([]byte) []byte { return rows }, nil, map[string]int{"table_unknown": 1}, "20200101"},
		{"a row is gone", first, changed(func(rows []table.Row) []table.Row { return rows[1:] }), nil, map[string]int{"table_size": 1, "picture_missing": 1, "annotated_missing": 1, "crop_missing": 1}, ""},
		{"a row is there twice", first, changed(func(rows []table.Row) []table.Row { return append(rows[2:], rows[0], rows[0]) }), nil,
			map[string]int{"picture_missing": 1, "annotated_missing": 1, "crop_missing": 1, "picture_twice": 3, "ledger_bytes": 1}, ""},
		{"a picture is cut", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Picture = rows[0].Picture[1:]
			return rows
		}), nil, map[string]int{"ledger_bytes": 1}, "bytes_written"},
		{"a picture has a wrong byte", first, changed(func(rows []table.Row) []table.Row {
			flip(rows[0].Picture)
			return rows
		}), []string{recheckAll}, map[string]int{"differs": 1}, id},
		{"a crop has a wrong byte", first, changed(func(rows []table.Row) []table.Row {
			flip(rows[0].Faces[0].Crop)
			return rows
		}), []string{recheckAll}, map[string]int{"differs": 1}, id},
		{"a disk has a wrong byte", first, flip, []string{recheckAll}, map[string]int{"differs": 1}, first},
		{"a face is elsewhere", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Faces[0].Box.X++
			return rows
		}), nil, map[string]int{"row_differs": 1}, first},
		{"a face is gone", first, changed(func(rows []table.Row) []table.Row {
			rows[0].Faces, rows[0].Annotated = nil, nil
			return rows
		}), nil, map[string]int{"row_differs": 1, "annotated_missing": 1, "crop_missing": 1}, ""},
	})
}

// rowsOf returns the rows of a table with their pictures.
func rowsOf(t *testing.T, data []byte) (rows []table.Row) {
	t.Helper()
	f := testkit.Value(table.Open(bytes.NewReader(data), int64(len(data))))(t)
	for row, err := range f.Rows(math.MaxInt64) {
		testkit.Must(t, err)
		testkit.Must(t, f.AddPictures(&row))
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b table.Row) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return rows
}
