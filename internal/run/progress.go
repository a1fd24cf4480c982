package run

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/transforms/store"
)

const (
	renewEvery  = time.Second // of the line at a terminal's end
	reportEvery = time.Minute // elsewhere, inside of a window
	askTimeout  = 2 * time.Second
	rateOver    = 10 * time.Second // frames/s are of the last so many seconds
)

// progress is what is known of a run while it goes on: what windows that count have come
// to and, where the stages are in this process, what is done of the window under way.
type progress struct {
	session *session
	screen  *cli.Screen // nil elsewhere
	local   bool        // whether the stages are in this process

	mu      sync.Mutex
	window  int // 0 between windows
	began   time.Time
	done    store.Ledger
	live    store.Ledger
	rate    float64 // records a second of the last window
	samples []sample
}

// sample is how many records were done at a time.
type sample struct {
	at      time.Time
	records int64
}

// begin is called with the number of each window, and end with the ledger of one that
// counts, or nil.
func (p *progress) begin(window int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window, p.began = window, time.Now()
}

func (p *progress) end(l *store.Ledger, rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l != nil {
		p.done, p.rate = store.Merge(p.done, l.Counts()), rate
	}
	p.live, p.samples, p.window = store.Ledger{}, nil, 0
}

// see counts a record of the window under way.
func (p *progress) see(l store.Ledger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = store.Merge(p.live, l)
}

// lag returns how many offsets wait in each partition, but for those that are known to be
// done.
func (p *progress) lag(ctx context.Context) (map[record.TopicPartition]int64, error) {
	ctx, stop := context.WithTimeout(ctx, askTimeout)
	defer stop()
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	committed, err := p.session.offsets.Committed(ctx)
	if err != nil {
		return nil, err
	}
	logs, err := p.session.offsets.Logs(ctx)
	if err != nil {
		return nil, err
	}
	at := map[record.TopicPartition]int64{}
	for _, c := range committed {
		at[c.TopicPartition] = c.Offset
	}
	lag := map[record.TopicPartition]int64{}
	for _, l := range logs {
		lag[l.TopicPartition] = max(0, l.End-max(l.Start, at[l.TopicPartition]))
	}
	for _, l := range live.Partitions {
		lag[l.TopicPartition] = max(0, lag[l.TopicPartition]-l.Read)
	}
	return lag, nil
}

// report shows the progress until ctx ends.
func (p *progress) report(ctx context.Context) {
	if p.screen == nil {
		for wait.Sleep(ctx, reportEvery) == nil {
			if n := p.now(ctx); n.seconds >= reportEvery.Seconds() && ctx.Err() == nil {
				p.session.log.Info(n.String(), "window", n.window, "seconds", n.seconds, "records_read", n.records, "faces", n.faces,
					"frames_per_second", n.rate, "lag", n.lag, "latency_ms", n.latency)
			}
		}
		return
	}
	for ctx.Err() == nil {
		p.screen.SetStatus(p.now(ctx).String())
		_ = wait.Sleep(ctx, renewEvery)
	}
	p.screen.SetStatus("")
}

// status is a run's progress at a time.
type status struct {
	window         int // 0 between windows
	seconds        float64
	records, faces int64 // of the run so far
	partly         bool  // without those of the window under way
	rate           float64
	lag            int64 // -1 if it is not known
	latency        *store.Percentiles
	left           time.Duration // 0 if it is not known
	lastFile       time.Time
}

func (p *progress) now(ctx context.Context) status {
	n := status{lag: -1, partly: !p.local}
	if lag, err := p.lag(ctx); err == nil {
		n.lag = 0
		for _, waiting := range lag {
			n.lag += waiting
		}
	}
	if !p.local {
		n.lastFile, _ = store.LastWrite(ctx, p.session.window.Store) // or nobody knows
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := store.Merge(p.done, p.live)
	sum := all.Sum()
	n.records, n.faces, n.rate, n.latency = sum.Read, sum.Faces, p.measure(sum.Read), all.Latency.Percentiles()
	if n.window = p.window; n.window > 0 {
		n.seconds = time.Since(p.began).Seconds()
	}
	if p.session.options.Drain && n.lag >= 0 && n.rate > 0 {
		n.left = time.Duration(float64(n.lag) / n.rate * float64(time.Second))
	}
	return n
}

// measure returns the records a second of the last seconds or, where these are not known,
// of the last window.
func (p *progress) measure(records int64) float64 {
	if !p.local || p.window == 0 {
		return p.rate
	}
	now := time.Now()
	p.samples = append(p.samples, sample{now, records})
	for len(p.samples) > 2 && now.Sub(p.samples[1].at) >= rateOver {
		p.samples = p.samples[1:]
	}
	first := p.samples[0]
	if passed := now.Sub(first.at); passed > 0 {
		return float64(records-first.records) / passed.Seconds()
	}
	return p.rate
}

func (n status) String() string {
	var b strings.Builder
	switch {
	case n.window == 0:
		b.WriteString("waiting for records: ")
	case n.partly:
		fmt.Fprintf(&b, "window %d, %.0f s, before it: ", n.window, n.seconds)
	default:
		fmt.Fprintf(&b, "window %d, %.0f s: ", n.window, n.seconds)
	}
	fmt.Fprintf(&b, "%d records, %d faces, %.1f frames/s", n.records, n.faces, n.rate)
	if n.lag >= 0 {
		fmt.Fprintf(&b, ", lag %d", n.lag)
	}
	if n.latency != nil {
		fmt.Fprintf(&b, ", latency p95 %.2f s", float64(n.latency.P95)/1000)
	}
	if n.left > 0 {
		fmt.Fprintf(&b, ", %s left", n.left.Round(time.Second))
	}
	if !n.lastFile.IsZero() {
		b.WriteString(", last file at " + n.lastFile.Local().Format(time.TimeOnly))
	}
	return b.String()
}
