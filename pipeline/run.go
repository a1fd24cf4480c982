package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	// pollInterval is how often an idle run looks for new records.
	pollInterval = 250 * time.Millisecond
	// firstRate is the records per second assumed for the first window, before
	// any was measured: what one core does with the default parameters.
	firstRate = 10
	// maxRepeats is how often in a row a window is read again because records
	// were passed over.
	maxRepeats = 3
)

// Run reads windows until the duration is over. The summary is never nil.
func Run(ctx context.Context, o Options, out io.Writer) (*Summary, error) {
	summary := newSummary(o.Runner.Name, time.Now())
	err := runWindows(ctx, o, out, summary)
	switch {
	case err == nil:
		summary.end(stateDone)
	case ctx.Err() != nil:
		summary.end(stateCancelled)
	default:
		summary.end(stateFailed)
	}
	if summary.RecordsRead > 0 || err == nil {
		fmt.Fprintf(out, "\n%s after %.0f s\n", summary.State, summary.Seconds)
		summary.print(out)
		fmt.Fprintf(out, "pictures: %s\n", o.Output)
	}
	return summary, err
}

func runWindows(ctx context.Context, o Options, out io.Writer, summary *Summary) error {
	offsets, err := kafka.Open(ctx, o.Kafka, o.Group, o.Topics)
	if err != nil {
		return err
	}
	defer offsets.Close()
	if err := store.Check(ctx, o.Output); err != nil {
		return err
	}
	// Also after a cancelled run. What it cannot remove is in nobody's way.
	defer func() { _ = store.CleanTmp(context.WithoutCancel(ctx), o.Output) }()
	runner, err := runners.Open(ctx, o.Runner)
	if err != nil {
		return err
	}
	defer runner.Close()
	if o.Runner.Name != runners.Direct && o.ExpansionAddr == "" {
		expansion, err := runners.StartExpansion(ctx)
		if err != nil {
			return err
		}
		defer expansion.Close()
		o.ExpansionAddr = expansion.Addr
	}
	// The duration is that of reading: it does not pay for the start.
	deadline := time.Now().Add(o.Duration)
	fmt.Fprintf(out, "reading %s at %s as group %s on %s, until %s\n",
		strings.Join(o.Topics, ", "), o.Kafka, o.Group, o.Runner.Name, deadline.Format(time.TimeOnly))

	rate, repeats := float64(firstRate), 0
	for time.Until(deadline) > 0 {
		began := time.Now()
		limit := min(o.Window, time.Until(deadline))
		if o.Drain {
			limit = 0
		}
		plan, err := waitForRecords(ctx, offsets, o.Runner.MaxBytes, limit)
		if err != nil {
			return err
		}
		if plan.Records == 0 && o.Drain {
			return nil
		}
		summary.Windows++
		if plan.Records == 0 {
			fmt.Fprintf(out, "window %d: no records for %.0f s\n", summary.Windows, time.Since(began).Seconds())
			continue
		}
		began = time.Now()
		limit = min(o.Window, max(time.Until(deadline), time.Second))
		records := min(plan.Records, int64(math.Ceil(rate*limit.Seconds())))
		ledger, err := runWindow(ctx, o, runner, records, limit, offsets)
		var gap *kafka.GapError
		if errors.As(err, &gap) && repeats < maxRepeats {
			fmt.Fprintf(out, "window %d: %v while the runner recovered; reading the window again\n", summary.Windows, gap)
			repeats++
			continue
		}
		if err != nil {
			return fmt.Errorf("window %d: %w", summary.Windows, err)
		}
		repeats = 0
		summary.add(ledger)
		lag, err := offsets.Lag(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		sum := ledger.Sum()
		measured := float64(sum.Read) / took.Seconds()
		// A short window says little: most of it is start-up.
		if took > o.Window/4 || measured > rate {
			rate = max(measured, 1/o.Window.Seconds())
		}
		fmt.Fprintf(out, "window %d: %d records, %d frames with faces, %d faces, %d files, %.1f frames/s, lag %d%s\n",
			summary.Windows, sum.Read, sum.FramesWithFaces, sum.Faces, sum.Files, measured, lag, problems(sum))
	}
	return nil
}

// waitForRecords returns the plan of the next window, as soon as there are
// records. After limit without any, the plan has none.
func waitForRecords(ctx context.Context, offsets *kafka.Offsets, maxBytes int64, limit time.Duration) (kafka.Plan, error) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		plan, err := offsets.Plan(ctx, maxBytes)
		if err != nil || plan.Records > 0 {
			return plan, err
		}
		select {
		case <-ctx.Done():
			return kafka.Plan{}, ctx.Err()
		case <-timeout.C:
			return plan, nil
		case <-tick.C:
		}
	}
}

// runWindow runs one window as a Beam job, commits it, and returns its ledger.
//
// A runner that has lost a part of the records read may read again, and what it
// reads then may be another mix of the partitions than what is done already. So
// records may have been passed over: then nothing is committed and the ledger
// is removed, and the error is a *kafka.GapError.
func runWindow(ctx context.Context, o Options, runner runners.Runner, records int64, limit time.Duration, offsets *kafka.Offsets) (store.Ledger, error) {
	name := windowName(time.Now())
	window := kafka.Window{
		Brokers: o.Kafka, Topics: o.Topics, Group: o.Group, Consumer: o.Consumer,
		MaxRecords: records, MaxSeconds: max(1, int64(limit.Seconds())),
	}
	source := func(s beam.Scope) (beam.PCollection, error) {
		if o.Runner.Name == runners.Direct {
			return kafka.ReadNative(s, window), nil
		}
		records, err := kafka.Read(s, window, o.ExpansionAddr)
		if err != nil || o.Runner.Name == runners.Prism { // which has no slots
			return records, err
		}
		return kafka.Spread(s, records), nil
	}
	cfg := Config{
		Frame: o.Frame,
		Face:  o.Face,
		Store: store.Config{Root: o.Output},
	}
	p, s := beam.NewPipelineWithRoot()
	if err := Build(s, source, cfg, name); err != nil {
		return store.Ledger{}, err
	}
	watched, stop := watch(ctx, o.Window+o.StallTimeout, func(ctx context.Context) (time.Time, error) {
		return store.LastWrite(ctx, o.Output)
	})
	err := runner.Run(watched, "facestream-"+name, p)
	stop()
	if err != nil {
		return store.Ledger{}, err
	}
	ledger, err := store.KeepLedger(ctx, cfg.Store, name)
	if err != nil {
		return store.Ledger{}, errors.Join(errors.New("the runner says DONE, but the window left no ledger"), err)
	}
	err = offsets.Commit(ctx, done(ledger))
	var gap *kafka.GapError
	if errors.As(err, &gap) {
		err = errors.Join(err, store.RemoveLedger(ctx, cfg.Store, name))
	}
	return ledger, err
}

// windowName is unique and sorts by time.
func windowName(t time.Time) string {
	id := make([]byte, 4)
	_, _ = rand.Read(id) // it never fails
	return t.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(id)
}

func done(l store.Ledger) []kafka.Done {
	var out []kafka.Done
	for _, p := range l.Partitions {
		d := kafka.Done{Topic: p.Topic, Partition: p.Partition}
		for _, r := range p.Offsets {
			d.Offsets = append(d.Offsets, kafka.Range(r))
		}
		out = append(out, d)
	}
	return out
}

// problems is the end of a window's line when records gave no frame.
func problems(sum store.Partition) string {
	var rejected int64
	for _, n := range sum.Rejected {
		rejected += n
	}
	if sum.Skipped+rejected == 0 {
		return ""
	}
	return fmt.Sprintf(", %d skipped, %d rejected", sum.Skipped, rejected)
}
