package verify

import (
	"testing"
	"time"

	"facestream/internal/testkit"
	"facestream/transforms/store"
)

const (
	dayFPS    = 5 // of each camera
	dayWindow = time.Minute
	dayFaces  = 10 // one frame of so many has a face
	// A row with a picture of 100 bytes takes a 70th of one with 36 kB, so tables grow to a
	// 70th of what they do, too.
	dayScale = 70
)

// Ten cameras at five frames a second, with their pictures as rows: the number of files
// follows from hours and bytes, and verify agrees. test-all has a whole day; -v says the
// figures.
func TestDay(t *testing.T) {
	t.Parallel()
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
		const records = yearCameras * dayFPS * int64(dayWindow/time.Second) / yearPartitions
		y.window(book, begin.Add(time.Duration(i)*dayWindow), dayWindow, records, dayFaces, 0, 1, 2, 3)
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
