package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkSink stores pictures in HDFS with so many writers at a time.
//
//	go test ./transforms/store -run '^$' -bench Sink -benchtime 20x
func BenchmarkSink(b *testing.B) {
	const files = 64 // in one turn
	data := picture(60_000)
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			cfg := testConfig(hdfsRoot(b))
			var offset atomic.Int64
			for b.Loop() {
				var writers sync.WaitGroup
				for range n {
					writers.Go(func() {
						for range files / n {
							if err := cfg.put(b.Context(), nameOf("cam", testMillis, "t", 0, offset.Add(1)).Path(), data); err != nil {
								b.Error(err)
							}
						}
					})
				}
				writers.Wait()
			}
			b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}
