package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"
)

// BenchmarkSink compares Write's way into HDFS with the client library alone:
// the same number of writers do create, write, close until it is closed, and
// rename, and nothing else, sharing one client or with one each. The three take
// turns in one run; the ratio is to the better of the library's two.
//
//	go test ./transforms/store -run '^$' -bench Sink -benchtime 20x
func BenchmarkSink(b *testing.B) {
	const files = 64 // in one turn
	data := picture(60_000)
	address := hdfsAddress(b)
	for _, n := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			root := hdfsRoot(b)
			bare := hdfsPath(root) + "/bare"
			clients := make([]*hdfs.Client, n)
			for i := range clients {
				c, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{address}, User: testUser})
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				clients[i] = c
			}
			if err := clients[0].MkdirAll(bare, dirMode); err != nil {
				b.Fatal(err)
			}
			fsys := open(b, root)
			var offset atomic.Int64
			var took [3]time.Duration
			for b.Loop() {
				for way, write := range []func(writer int, name int64) error{
					func(_ int, name int64) error {
						return put(b.Context(), fsys, testConfig(root), nameOf("cam", testMillis, "t", 0, name).Path(), data)
					},
					func(_ int, name int64) error { return writeBare(clients[0], bare, name, data) },
					func(writer int, name int64) error { return writeBare(clients[writer], bare, name, data) },
				} {
					start := time.Now()
					var writers sync.WaitGroup
					for w := range n {
						writers.Go(func() {
							for i := w; i < files; i += n {
								if err := write(w, offset.Add(1)); err != nil {
									b.Error(err)
								}
							}
						})
					}
					writers.Wait()
					took[way] += time.Since(start)
				}
			}
			rate := func(way int) float64 { return files * float64(b.N) / took[way].Seconds() }
			b.ReportMetric(rate(0), "files/s")
			b.ReportMetric(rate(1), "bare-shared-files/s")
			b.ReportMetric(rate(2), "bare-own-files/s")
			b.ReportMetric(rate(0)/max(rate(1), rate(2)), "ratio")
		})
	}
}

// writeBare does what must be done for a file, with the library alone.
func writeBare(c *hdfs.Client, dir string, name int64, data []byte) error {
	tmp := fmt.Sprintf("%s/%d.tmp", dir, name)
	w, err := c.Create(tmp)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		if err = w.Close(); !hdfs.IsErrReplicating(err) {
			break
		}
		time.Sleep(wait) // as long as the sink's own client waits
	}
	if err != nil {
		return err
	}
	return c.Rename(tmp, fmt.Sprintf("%s/%d.jpg", dir, name))
}
