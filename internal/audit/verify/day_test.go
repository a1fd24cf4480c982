package verify

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

const (
	dayCameras = 10
	dayFPS     = 5
	dayWindow  = time.Minute
	dayFaces   = 10 // one frame of so many has a face
	// A row with a picture of 100 bytes takes a 70th of one with 36 kB, so tables grow to a
	// 70th of what they do, too.
	dayScale = 70
)

// Ten cameras at five frames a second, with their pictures as rows: the number of files
// follows from hours and bytes, and verify agrees. test-all has a whole day; -v says the
// figures.
func TestDay(t *testing.T) {
	hours, windows := 1, 15
	if testkit.All() {
		hours, windows = 24, 24*60
	}
	y := newYear(t, "day", "--store=parquet")
	segment := y.segment / dayScale
	book := testkit.Value(store.OpenBook(t.Context(), store.Config{Root: y.root, Run: y.run.ID, SegmentBytes: segment}, y.run, []string{yearTopic}, nil))(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	began := time.Now()
	for i := range windows {
		y.tablesOf(book, begin.Add(time.Duration(i)*dayWindow))
	}
	t.Logf("written in %s", time.Since(began).Round(time.Second))

	count, bytes := y.count()
	records := y.next[0] * yearPartitions
	t.Logf("%d hours, %d records, %d rows: %d tables with %d bytes, %d files of ledgers with %d, %d of events with %d",
		hours, records, records/dayFaces, count[store.KindTable], bytes[store.KindTable], count[store.KindLedger], bytes[store.KindLedger], count[store.KindEvents], bytes[store.KindEvents])
	most := int64(hours) + bytes[store.KindTable]/(segment/2)
	if n := count[store.KindTable]; int64(n) > most || count[store.KindStaged] > 0 {
		t.Errorf("%d tables, and %d that are not gathered; want at most %d", n, count[store.KindStaged], most)
	}
	y.verify()
}

// tablesOf adds a window of all cameras, whose rows are in two tables.
func (y *year) tablesOf(book *store.Book, at time.Time) {
	t, name := y.t, store.UniqueName(at)
	const records = dayCameras * dayFPS * int64(dayWindow/time.Second) / yearPartitions
	var tables [2][]table.Row
	var ledger store.Ledger
	var events bytes.Buffer
	for p := range int32(yearPartitions) {
		from := y.next[p]
		y.next[p] += records
		sum := store.Partition{
			TopicPartition: record.In(yearTopic, p), From: from, FirstOffset: from, LastOffset: y.next[p] - 1, Offsets: testkit.Ranges(from, y.next[p]-1),
			Read: records, ReadBytes: 36_000 * records, Decoded: records,
		}
		for offset := from; offset < y.next[p]; offset += dayFaces {
			row := table.Row{
				ID: sum.At(offset), Camera: fmt.Sprint("camera-", offset/dayFaces%dayCameras), TimestampMillis: at.UnixMilli() + (offset-from)*int64(dayWindow/time.Millisecond)/records,
				FrameWidth: 640, FrameHeight: 480, Detector: face.Parity, SettingsSHA256: y.run.SettingsSHA256, DetectMillis: 50, Picture: make([]byte, yearPicture), PictureBytes: yearPicture,
				Faces: []table.Face{{Face: 1, Box: record.Box{X: 233, Y: 152, Width: 232, Height: 232}, Blur: 123.45}},
			}
			lines := testkit.Value(face.EventsOf(&row))(t)
			events.WriteString(lines[0] + "\n")
			sum.Pictures = append(sum.Pictures, row.Range())
			sum.FramesWithFaces, sum.Faces, sum.Files, sum.Bytes = sum.FramesWithFaces+1, sum.Faces+1, sum.Files+1, sum.Bytes+yearPicture
			sum.Events, sum.EventBytes = sum.Events+1, sum.EventBytes+int64(len(lines[0])+1)
			tables[offset/dayFaces%2] = append(tables[offset/dayFaces%2], row)
		}
		ledger.Partitions = append(ledger.Partitions, sum)
	}
	for i, rows := range tables {
		var data bytes.Buffer
		testkit.Must(t, table.Write(&data, rows))
		base := fmt.Sprint(name, "+", i, ".parquet")
		y.write(path.Join("_tmp", y.run.ID, base), data.Bytes())
		folder := store.TableFolder("camera/" + strings.ReplaceAll(at.Format("2006-01-02-15"), "-", "/") + "/x.jpg")
		ledger.Tables = append(ledger.Tables, store.Table{File: folder + "/" + base, Rows: int64(len(rows)), Bytes: int64(data.Len())})
	}
	y.keep(book, name, events.Bytes(), ledger)
}
