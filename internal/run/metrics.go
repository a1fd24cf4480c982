package run

import (
	"context"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"facestream/internal/metrics"
	"facestream/internal/notify"
	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

const lagEvery = 5 * time.Second

// outcomes are what becomes of records that are read.
var outcomes = map[string]func(store.Partition) int64{
	"decoded":  func(p store.Partition) int64 { return p.Decoded },
	"skipped":  func(p store.Partition) int64 { return p.Skipped },
	"sampled":  func(p store.Partition) int64 { return p.Sampled },
	"rejected": store.Partition.RejectedSum,
}

const lost = "lost" // the outcome of others

// A bucket of store.Latency ends at each of these seconds, so that its counts are exact.
var (
	latencyBuckets = prometheus.ExponentialBuckets(0.016, 2, 15)
	detectBuckets  = prometheus.ExponentialBuckets(0.001, 2, 12)
	windowBuckets  = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600}
)

// runMetrics are what --metrics tells of a run.
type runMetrics struct {
	output                           face.Output
	records, rejects, faces, written *prometheus.CounterVec
	bytes                            prometheus.Counter
	detect, latency, windows         prometheus.Histogram
	lag                              *prometheus.GaugeVec

	mu      sync.Mutex
	cameras map[string]bool
}

func newRunMetrics(s *metrics.Server, output face.Output, topics []string) *runMetrics {
	factory := promauto.With(s)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return factory.NewCounterVec(prometheus.CounterOpts{Name: "facestream_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return factory.NewHistogram(prometheus.HistogramOpts{Name: "facestream_" + name, Help: help, Buckets: buckets})
	}
	m := &runMetrics{
		output: output, cameras: map[string]bool{},
		records: counters("records_total", "Records by what became of them: decoded, skipped, sampled (passed over because of --max_fps), rejected, lost (removed by Kafka before they were read).", "topic", "outcome"),
		rejects: counters("rejects_total", "Rejected records by reason.", "reason"),
		faces:   counters("faces_total", "Faces found, by camera as its folder is named.", "camera"),
		written: counters("pictures_written_total", "Pictures stored: frame, annotated, crop.", "kind"),
		bytes:   counters("written_bytes_total", "Bytes of the pictures stored.").WithLabelValues(),
		detect:  histogram("detect_seconds", "Time that detection took for a frame.", detectBuckets),
		latency: histogram("latency_seconds", "Time from a record's timestamp until its picture had its name.", latencyBuckets),
		windows: histogram("window_seconds", "Time from a window's begin until its offsets were committed.", windowBuckets),
		lag:     factory.NewGaugeVec(prometheus.GaugeOpts{Name: "facestream_lag_records", Help: "Offsets that wait; there is none while Kafka does not say."}, []string{"topic", "partition"}),
	}
	for _, topic := range topics {
		for outcome := range outcomes {
			m.records.WithLabelValues(topic, outcome)
		}
		m.records.WithLabelValues(topic, lost)
	}
	for _, reason := range frame.Reasons {
		if r := (frame.Reject{Reason: reason}); !r.Skipped() && reason != frame.Sampled {
			m.rejects.WithLabelValues(reason)
		}
	}
	return m
}

// see counts a ledger of one record or of many.
func (m *runMetrics) see(l store.Ledger) {
	for _, p := range l.Partitions {
		for outcome, of := range outcomes {
			m.records.WithLabelValues(p.Topic, outcome).Add(float64(of(p)))
		}
		for reason, n := range p.Rejected {
			m.rejects.WithLabelValues(reason).Add(float64(n))
		}
		m.bytes.Add(float64(p.Bytes))
		stored, files := p.FramesWithFaces-p.Cooled, p.Files
		for kind, on := range map[string]bool{"frame": m.output.Frame, "annotated": m.output.Annotated} {
			if on {
				m.written.WithLabelValues(kind).Add(float64(stored))
				files -= stored
			}
		}
		if m.output.Crops {
			m.written.WithLabelValues("crop").Add(float64(files))
		}
	}
	for camera, n := range l.Cameras {
		m.faces.WithLabelValues(m.camera(camera)).Add(float64(n))
	}
	observe(m.latency, l.Latency)
	observe(m.detect, l.Detect)
}

// camera returns the label of a camera.
func (m *runMetrics) camera(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.cameras[name] && len(m.cameras) >= store.MostCameras {
		return store.OtherCameras
	}
	m.cameras[name] = true
	return name
}

// observe adds counts. Their times are taken as the ends of their buckets.
func observe(h prometheus.Histogram, l store.Latency) {
	for bucket, n := range l.Counts {
		seconds := math.Exp2(float64(bucket)/store.BucketsPerDoubling) / 1000
		// What is exact must not be pushed over its bucket's end by the arithmetic.
		seconds = math.Round(seconds*1e9) / 1e9
		for range n {
			h.Observe(seconds)
		}
	}
}

// end counts a window that is done; seen is whether its records were told already.
func (m *runMetrics) end(l store.Ledger, seen bool, took time.Duration) {
	m.windows.Observe(took.Seconds())
	if !seen {
		m.see(l)
	}
	for _, p := range l.Partitions {
		m.records.WithLabelValues(p.Topic, lost).Add(float64(record.Count(p.Lost)))
	}
}

// followLag keeps the lag until ctx ends.
func (m *runMetrics) followLag(ctx context.Context, p *progress) {
	for ; ctx.Err() == nil; _ = wait.Sleep(ctx, lagEvery) {
		lag, err := p.lag(ctx)
		if err != nil {
			m.lag.Reset()
		}
		for partition, n := range lag {
			m.lag.WithLabelValues(partition.Topic, strconv.Itoa(int(partition.Partition))).Set(float64(n))
		}
	}
}

// registerNotifier has the metrics tell of --notify.
func registerNotifier(s *metrics.Server, n *notify.Notifier) {
	for outcome, count := range map[string]func() int64{
		"delivered": func() int64 { delivered, _, _ := n.Counts(); return delivered },
		"dropped":   func() int64 { _, dropped, _ := n.Counts(); return dropped },
	} {
		promauto.With(s).NewCounterFunc(prometheus.CounterOpts{
			Name: "facestream_notifications_total", Help: "Events by what became of them at --notify.", ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(count()) })
	}
	promauto.With(s).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "facestream_notifications_waiting_windows", Help: "Windows with events that --notify has still to take.",
	}, func() float64 { _, _, waiting := n.Counts(); return float64(waiting) })
}
