package audit

import (
	"fmt"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"facestream/internal/testkit"
	"facestream/transforms/store"
)

// BenchmarkMemory compares outputs of windows of five records each. The live heap of ten
// times as many is to be the same.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var live [2]uint64
		for i, windows := range []int{6_000, 60_000} {
			start := time.Now()
			live[i] = liveHeap(b, func() { compareWindows(b, windows) })
			b.ReportMetric(float64(live[i])/(1<<20), fmt.Sprintf("MiB-of-%d-windows", windows))
			b.ReportMetric(time.Since(start).Seconds(), fmt.Sprintf("s-of-%d-windows", windows))
		}
		b.ReportMetric(float64(live[1])/float64(live[0]), "times-the-heap")
	}
}

func compareWindows(t testing.TB, windows int) {
	a := testkit.Value(New([]string{"t"}, 100))(t)
	defer a.Close()
	began := time.UnixMilli(testMillis)
	for i := range windows {
		first := int64(5 * i)
		w := newWindow(store.UniqueName(began.Add(time.Duration(i)*time.Second)), first)
		p := &w.Ledger.Partitions[0]
		p.LastOffset, p.Offsets, p.Pictures, p.Rejects = first+4, testkit.Ranges(first, first+4), testkit.Ranges(first, first+4), nil
		p.Read, p.Decoded, p.Skipped, p.Rejected, p.FramesWithFaces, p.Faces, p.Files, p.Bytes = 5, 5, 0, nil, 5, 5, 5, 5*pictureSize
		w.set(`{"write":"frame,events"}`)
		events := ""
		for offset := first; offset < first+5; offset++ {
			events += lines(offset, 1)
		}
		p.Events, p.EventBytes = 5, int64(len(events))
		file := "_events/2026-01-02/" + w.Name + ".jsonl"
		group := a.AddLedgers(store.BookFile{Name: "_windows/" + w.Name + ".json", Ledgers: []store.Ledger{w.Ledger}, Events: []store.EventsFile{{File: file, Bytes: p.EventBytes}}})
		testkit.Must(t, a.AddEvents(file, group, strings.NewReader(events)))
	}
	for offset := range int64(5 * windows) {
		a.AddFile(picture(offset), pictureSize, testTime)
	}
	r, doubtful, err := a.Compare(t.Context(), []Log{log(0, 0, int64(5*windows), int64(5*windows))})
	testkit.Must(t, err)
	if !r.Agrees || len(doubtful) > 0 || r.Ledgers != windows || r.Partitions[0].Pictures.Present != int64(5*windows) {
		t.Fatalf("%+v, doubtful %v", r, doubtful)
	}
}

// liveHeap returns the most that was live when garbage was collected meanwhile.
func liveHeap(t testing.TB, do func()) (most uint64) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for ticks := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				return
			case <-ticks.C:
				metrics.Read(sample)
				most = max(most, sample[0].Value.Uint64())
			}
		}
	}()
	do()
	close(done)
	<-ended
	return most
}
