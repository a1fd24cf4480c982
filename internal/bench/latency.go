package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/lab"
	"facestream/internal/wait"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	liveFPS   = 5
	liveSlots = 2
	liveFor   = 10 * time.Minute // by --scale
	beginPoll = 50 * time.Millisecond
)

var latency = command{
	name: "latency",
	about: `latency measures how long after a frame its picture has its name, with each runner and
reader, while a camera sends five frames a second for ten minutes, from when the run
says that it reads. The start of the first window counts, and the pauses between windows.`,
	choices:  choice{runners: allRunners, readers: kafka.Readers},
	services: true,
	measure:  measureLatency,
}

// latencyRow is in seconds.
type latencyRow struct {
	Runner  string  `json:"runner" col:"runner"`
	Reader  string  `json:"reader" col:"reader"`
	Records int     `json:"records" col:"frames"`
	Windows int     `json:"windows" col:"windows"`
	P50     float64 `json:"p50_seconds" col:"p50 s"`
	P95     float64 `json:"p95_seconds" col:"p95 s"`
	P99     float64 `json:"p99_seconds" col:"p99 s"`
	Max     float64 `json:"max_seconds" col:"max s"`
}

func measureLatency(ctx context.Context, b *bench, c choice) ([]table, error) {
	var rows []latencyRow
	for _, runner := range c.runners {
		for _, reader := range slices.Repeat(c.readers, c.times) {
			topic := fmt.Sprint("live-", b.groups)
			r, err := b.runLive(ctx, topic, time.Duration(c.scale*float64(liveFor)), job{
				combination: combination{runner, feed.JPEG, parity, liveSlots, reader, store.Files}, topic: topic,
			})
			if err == nil && r.Latency == nil {
				err = errors.New("no picture was stored")
			}
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", runner, reader, err)
			}
			seconds := func(millis int64) float64 { return float64(millis) / 1000 }
			rows = append(rows, latencyRow{runner, reader, r.RecordsRead, r.Windows,
				seconds(r.Latency.P50), seconds(r.Latency.P95), seconds(r.Latency.P99), seconds(r.Latency.Max)})
			b.say("%s, %s: %s", runner, reader, r.Latency)
		}
	}
	return []table{{title: "latency of pictures, five frames a second", rows: rows}}, nil
}

// runLive runs the pipeline for so long, while a camera sends to its topic.
func (b *bench) runLive(ctx context.Context, topic string, duration time.Duration, j job) (r ran, err error) {
	if err := b.fill(ctx, topic, feed.JPEG, period); err != nil { // nothing of it is read
		return r, err
	}
	warm := j
	warm.flags = append(slices.Clip(j.flags), toTheEnd...)
	if err := b.warmUp(ctx, warm, period); err != nil {
		return r, err
	}
	demo, err := video.NewDemo(0)
	if err != nil {
		return r, err
	}
	sending, stop := context.WithCancel(ctx)
	var camera errgroup.Group
	j.beside = func(run *lab.Run) {
		camera.Go(func() error {
			reads := func() bool { return strings.Contains(run.Output(), "reading ") }
			if wait.Until(sending, beginPoll, reads) != nil { // it has ended before
				return nil
			}
			_, err := feed.Send(sending, feed.Config{
				Brokers: []string{b.Broker}, Topic: topic, Partitions: partitions, Camera: "demo", Format: feed.JPEG, FPS: liveFPS,
			}, demo)
			if sending.Err() != nil {
				err = nil
			}
			return err
		})
	}
	j.flags = append(j.flags, "--duration="+duration.String())
	r, err = b.run(ctx, j)
	stop()
	return r, errors.Join(err, camera.Wait())
}
