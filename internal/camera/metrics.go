package camera

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"facestream/internal/camera/feed"
)

// counters are what --metrics tells of the cameras.
type counters struct{ totals atomic.Pointer[[]feed.Total] }

// counted are the metrics of each camera.
var counted = []struct {
	desc  *prometheus.Desc
	value func(feed.Total) float64
}{
	{counter("frames", "Frames that Kafka has acknowledged."), func(t feed.Total) float64 { return float64(t.Frames) }},
	{counter("bytes", "Bytes of the frames that Kafka has acknowledged."), func(t feed.Total) float64 { return float64(t.Bytes) }},
	{counter("dropped", "Frames of a live camera that were not sent in time."), func(t feed.Total) float64 { return float64(t.Dropped) }},
	{counter("unusable", "Pictures that could not be read or encoded."), func(t feed.Total) float64 { return float64(t.Passed) }},
}

func counter(what, help string) *prometheus.Desc {
	return prometheus.NewDesc("facestream_camera_"+what+"_total", help, []string{"camera"}, nil)
}

func (c *counters) Describe(to chan<- *prometheus.Desc) {
	for _, m := range counted {
		to <- m.desc
	}
}

func (c *counters) Collect(to chan<- prometheus.Metric) {
	for _, t := range *c.totals.Load() {
		for _, m := range counted {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, m.value(t), strings.ToValidUTF8(t.Camera, "_"))
		}
	}
}
