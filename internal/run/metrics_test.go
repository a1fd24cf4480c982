package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"facestream/internal/metrics"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// Of a window on a cluster the ledger tells all; of one whose records were seen, what was
// lost and how long it took. Too many cameras share one label.
func TestRunMetrics(t *testing.T) {
	l := store.Ledger{
		Latency: store.Latency{Counts: map[int]int64{80: 2, 81: 1}}, Detect: store.Latency{Counts: map[int]int64{24: 5}}, Cameras: map[string]int64{},
		Partitions: []store.Partition{
			{TopicPartition: record.In("a", 0), Read: 9, Decoded: 5, Skipped: 1, Sampled: 1, Rejected: map[string]int64{frame.WrongSize: 2}, FramesWithFaces: 4, Cooled: 1, Faces: 6, Files: 11, Bytes: 70},
			{TopicPartition: record.In("a", 1), Lost: testkit.Ranges(3, 6)},
		}}
	for i := range 2 * store.MostCameras {
		l.Cameras[fmt.Sprintf("c%03d", i)] = 1
	}
	for seen, want := range map[bool]string{
		false: `records{decoded a} 5, records{lost a} 4, records{rejected a} 2, records{sampled a} 1, records{skipped a} 1, rejects{wrong_size} 2, ` +
			`pictures_written{annotated} 3, pictures_written{crop} 5, pictures_written{frame} 3, written_bytes{} 70, latency_seconds{} 3, latency_seconds{1.024} 2, detect_seconds{} 5, detect_seconds{0.008} 5, window_seconds{} 1, cameras 101 200`,
		true: `records{lost a} 4, window_seconds{} 1, cameras 0 0`,
	} {
		s := testkit.Value(metrics.Listen("127.0.0.1:0"))(t)
		defer s.Close()
		m := newRunMetrics(s, face.Output{Frame: true, Annotated: true, Crops: true}, []string{"a"})
		m.end(l, seen, 3*time.Second)
		got := nonZero(t, s.Registry)
		wants := strings.Split(want, ", ")
		slices.Sort(wants)
		if !slices.Equal(got, wants) {
			t.Errorf("seen %v: got\n%s\nwant\n%s", seen, strings.Join(got, "\n"), strings.Join(wants, "\n"))
		}
	}
}

// nonZero returns the metrics that are not 0 with their labels, of histograms the count and
// the first bucket with some; of cameras how many there are, and of how many faces.
func nonZero(t *testing.T, r *prometheus.Registry) (all []string) {
	cameras, faces := 0, 0.0
	for _, family := range testkit.Value(r.Gather())(t) {
		name, ours := strings.CutPrefix(family.GetName(), "facestream_")
		if name = strings.TrimSuffix(name, "_total"); !ours || name == "build_info" {
			continue
		}
		for _, m := range family.Metric {
			var labels []string
			for _, label := range m.Label {
				labels = append(labels, label.GetValue())
			}
			if h := m.Histogram; h.GetSampleCount() > 0 {
				all = append(all, fmt.Sprintf("%s{} %d", name, h.GetSampleCount()))
				i := slices.IndexFunc(h.Bucket, func(b *dto.Bucket) bool { return b.GetCumulativeCount() > 0 })
				if name != "window_seconds" {
					all = append(all, fmt.Sprintf("%s{%v} %d", name, h.Bucket[i].GetUpperBound(), h.Bucket[i].GetCumulativeCount()))
				}
			}
			if n := m.Counter.GetValue(); name == "faces" {
				cameras++
				faces += n
			} else if n > 0 {
				all = append(all, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, " "), n))
			}
		}
	}
	all = append(all, fmt.Sprintf("cameras %d %v", cameras, faces))
	slices.Sort(all)
	return all
}
