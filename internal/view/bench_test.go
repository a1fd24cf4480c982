package view

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store"
)

// BenchmarkMillion measures, of an output with a million faces in 500 hours: the first page
// after the start, the reading of all events, a page far back, and the memory then.
//
//	go test ./internal/view -run '^$' -bench Million -benchtime 1x
func BenchmarkMillion(b *testing.B) {
	const hours, perHour = 500, 2000
	o := newOutput(b, b.TempDir(), "t")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	offset := int64(0)
	for hour := range hours {
		at := start.Add(time.Duration(hour) * time.Hour)
		file := fmt.Sprintf("_events/%s/%s.jsonl", at.Format(time.DateOnly), windowName(at, hour))
		var lines []byte
		first := offset
		for n := range perHour {
			e := event{ID: record.In("t", 0).At(offset), Camera: fmt.Sprint("camera-", n%8), TimestampMillis: at.UnixMilli() + int64(n)*1800, Face: 1, Faces: 1,
				FrameWidth: 640, FrameHeight: 480, Box: record.Box{X: 233, Y: 152, Width: 232, Height: 232}, Blur: 300}
			e.Picture = store.Name{ID: e.ID, Camera: e.Camera, TimestampMillis: e.TimestampMillis}.Path()
			line := testkit.Value(json.Marshal(e))(b)
			lines = append(append(lines, line...), '\n')
			offset++
		}
		o.write(file, lines)
		p := store.Partition{TopicPartition: record.In("t", 0), Read: perHour, Decoded: perHour, Faces: perHour, Offsets: []record.Range{{First: first, Last: offset - 1}}}
		name := "_windows/g+t/" + at.Format("2006-01/02T15") + ".json"
		if hour == hours-1 {
			name = "_windows/g+t/hour.json"
		}
		o.write(name, testkit.Value(json.Marshal(store.Hour{Hour: at.Format("2006-01-02T15"), Number: int64(hour + 1), Positions: []store.Position{{ID: record.In("t", 0).At(offset)}},
			Ledgers: []store.Ledger{{Run: o.run, Partitions: []store.Partition{p}}}, Events: []store.EventsFile{{File: file, Bytes: int64(len(lines))}}}))(b))
	}
	for b.Loop() {
		began := time.Now()
		s := serveOutput(b, o.cfg.Root, access{})
		s.page("/")
		b.ReportMetric(time.Since(began).Seconds(), "first-s")
		began = time.Now()
		s.summarized()
		b.ReportMetric(time.Since(began).Seconds(), "all-s")
		began = time.Now()
		s.page("/?to=2026-01-02T12:00&camera=camera-3")
		b.ReportMetric(time.Since(began).Seconds(), "back-s")
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
	}
	size := int64(0)
	_ = filepath.Walk(filepath.Join(o.cfg.Root, "_events"), func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			size += info.Size()
		}
		return err
	})
	b.ReportMetric(float64(size)/1e6, "events-MB")
}
