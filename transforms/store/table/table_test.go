package table

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"
)

const millis = 1_764_000_000_123

// rowsOf returns rows of every kind, of which each picture takes so many bytes.
func rowsOf(n, size int) (rows []Row) {
	random := rand.NewChaCha8([32]byte{byte(n)})
	picture := func() []byte {
		data := make([]byte, size)
		_, _ = random.Read(data)
		return data
	}
	for i := range n {
		row := Row{
			ID: record.In("t", 2).At(int64(i)), Camera: fmt.Sprint("camera ", i%3), TimestampMillis: millis + int64(i),
			FrameWidth: 640, FrameHeight: 480, Detector: "parity", SettingsSHA256: "s", DetectMillis: 1.5, Picture: picture(), PictureBytes: int32(size),
			Faces: []Face{{Face: 1, Box: record.Box{X: 1, Y: 2, Width: 3, Height: 4}, BoxNormalized: record.NormalizedBox{X: 0.5}, Blur: 7.25}},
		}
		switch i % 4 {
		case 1:
			row.Picture, row.Annotated, row.TimestampMillis = nil, picture(), -1
			row.PictureBytes, row.AnnotatedBytes = 0, int32(size)
		case 2:
			score := 0.913
			row.Faces[0].Crop, row.Faces[0].CropBytes, row.Faces[0].Score = picture(), int32(size), &score
			row.Faces = append(row.Faces, Face{Face: 2, Landmarks: &record.Landmarks{NoseTip: record.Point{X: 5, Y: 6}}, Crop: picture(), CropBytes: int32(size)})
		}
		if record.Dated(row.TimestampMillis) {
			row.Timestamp = &row.TimestampMillis
		}
		rows = append(rows, row)
	}
	return rows
}

// counting counts what is read.
type counting struct {
	io.ReaderAt
	bytes int
}

func (c *counting) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	c.bytes += n
	return n, err
}

func open(t *testing.T, data []byte) (*File, *counting) {
	t.Helper()
	c := &counting{ReaderAt: bytes.NewReader(data)}
	f := testkit.Value(Open(c, int64(len(data))))(t)
	return f, c
}

// mustHold compares a file with rows, and with what must be read for them.
func mustHold(t *testing.T, data []byte, want []Row) {
	t.Helper()
	const size = 30_000 // of a picture
	f, read := open(t, data)
	var got []Row
	for row, err := range f.Rows(math.MaxInt64) {
		testkit.Must(t, err)
		got = append(got, row)
	}
	if read.bytes > len(data)/4 {
		t.Errorf("%d of %d bytes are read for rows without pictures", read.bytes, len(data))
	}
	for i := range got {
		read.bytes = 0
		if _, err := f.Picture(int64(i)); err == nil && read.bytes > 2*size {
			t.Errorf("%d bytes are read for a picture", read.bytes)
		}
		testkit.Must(t, f.AddPictures(&got[i]))
		testkit.Equal(t, "the number of a row", got[i].Nth, int64(i))
		got[i].Nth = 0
	}
	testkit.Equal(t, "the rows", got, want)
}

// Rows come back in the order of camera and time, also from a file that was joined or
// written in several groups. Only what is asked for is read.
func TestWriteAndRead(t *testing.T) {
	var files []*File
	var all []Row
	var counts []int64
	var groups [][]Row
	for _, n := range []int{1, 70, 7} {
		rows := rowsOf(n, 30_000)
		groups = append(groups, slices.Clone(rows))
		var data bytes.Buffer
		testkit.Must(t, Write(&data, slices.Clone(rows)))
		slices.SortStableFunc(rows, func(a, b Row) int {
			return bytes.Compare(fmt.Appendf(nil, "%s %020d", a.Camera, a.TimestampMillis+1), fmt.Appendf(nil, "%s %020d", b.Camera, b.TimestampMillis+1))
		})
		mustHold(t, data.Bytes(), rows)
		f, _ := open(t, data.Bytes())
		files, counts, all = append(files, f), append(counts, int64(n)), append(all, rows...)
	}
	var joined, again bytes.Buffer
	testkit.Must(t, Join(&joined, files, counts))
	mustHold(t, joined.Bytes(), all)
	f, _ := open(t, joined.Bytes())
	testkit.Must(t, Join(&again, []*File{f, files[2]}, []int64{1, 7}))
	mustHold(t, again.Bytes(), append(all[:1:1], all[71:]...))
	var grouped bytes.Buffer
	testkit.Must(t, WriteGroups(&grouped, func(yield func([]Row, error) bool) {
		for _, rows := range groups {
			yield(rows, nil)
		}
	}))
	mustHold(t, grouped.Bytes(), all)
	f, _ = open(t, grouped.Bytes())
	testkit.Must(t, Join(io.Discard, []*File{f}, []int64{71}))
	testkit.Says(t, "a part of a row group", Join(io.Discard, files, []int64{1, 69, 7}), "no whole row groups")
	for _, wrong := range [][]byte{nil, []byte("PAR1"), joined.Bytes()[:joined.Len()/2]} {
		if _, err := Open(bytes.NewReader(wrong), int64(len(wrong))); err == nil {
			t.Errorf("%d bytes are a file", len(wrong))
		}
	}
}
