package view

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"facestream/internal/testkit"
)

// BenchmarkMillion measures, of an output with a million faces in 500 hours: the first page
// after the start, the reading of all events, a page far back, and the memory then.
//
//	go test ./internal/view -run '^$' -bench Million -benchtime 1x
func BenchmarkMillion(b *testing.B) {
	const hours, perHour = 500, 2000
	o := newOutput(b, b.TempDir(), "t")
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for hour := range hours {
		begin := start.Add(time.Duration(hour) * time.Hour)
		events := make([]event, perHour)
		for n := range events {
			events[n] = event{Camera: fmt.Sprint("camera-", n%8), TimestampMillis: begin.UnixMilli() + int64(n)*1800, Blur: 300}
		}
		o.window(windowName(begin, hour), nil, events...)
	}
	testkit.Must(b, o.book.Gather(b.Context()))
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
