package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"facestream/internal/audit"
	"facestream/internal/audit/recheck"
	"facestream/internal/record"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// progressEvery is how often long work says how far it is.
const progressEvery = 2 * time.Second

// progress tells a person that something goes on.
type progress struct {
	out  io.Writer
	last time.Time
}

func (p *progress) say(format string, args ...any) {
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// verify compares everything. The order of reading is that of audit.Audit.
func verify(ctx context.Context, o options, p *progress) (audit.Report, error) {
	p.last = time.Now()
	cfg := store.Config{Root: o.Output}
	offsets, err := kafka.Open(ctx, o.Kafka, o.Group, o.Topics)
	if err != nil {
		return audit.Report{}, err
	}
	defer offsets.Close()
	committed, err := offsets.Committed(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	windows, err := readLedgers(ctx, cfg, p)
	if err != nil {
		return audit.Report{}, err
	}
	a := audit.New(o.Topics, windows)
	files := 0
	err = store.List(ctx, cfg, func(name string, size int64, modified time.Time) error {
		files++
		p.say("listing: %d files", files)
		a.Add(name, size, modified)
		return nil
	})
	if err != nil {
		return audit.Report{}, err
	}
	offsets.Uncommitted = true // a run may have read all, and no topic is shorter for it
	held, err := offsets.Logs(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	offsets.Uncommitted = false
	logs := logsOf(held, committed)
	gaps, err := findGaps(ctx, offsets, a.Doubtful(logs), p)
	if err != nil {
		return audit.Report{}, err
	}
	report := a.Report(logs, gaps)
	if o.recheck > 0 {
		offsets.Uncommitted = true
		err = recheckSome(ctx, o, cfg, offsets, windows, a, &report, p)
	}
	return report, err
}

// readLedgers returns all ledgers, in the order of their windows' start.
func readLedgers(ctx context.Context, cfg store.Config, p *progress) ([]audit.Window, error) {
	names, err := store.Windows(ctx, cfg)
	if err != nil {
		return nil, err
	}
	windows := make([]audit.Window, len(names))
	for i, name := range names {
		p.say("reading ledgers: %d of %d", i, len(names))
		ledger, err := store.ReadLedger(ctx, cfg, name)
		windows[i] = audit.Window{Name: name, Ledger: ledger, Err: err}
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &syntax) && !errors.As(err, &kind) {
			return nil, err
		}
	}
	return windows, nil
}

// logsOf puts together what Kafka says of each partition.
func logsOf(held []kafka.Log, committed []record.ID) []audit.Log {
	logs := make([]audit.Log, len(held))
	for i, l := range held {
		logs[i] = audit.Log{Log: l, Committed: audit.NotCommitted}
		for _, c := range committed {
			if c.TopicPartition == l.TopicPartition {
				logs[i].Committed = c.Offset
			}
		}
	}
	return logs
}

// findGaps returns those of the doubtful offsets that hold records: of each
// range, all from its first record on.
func findGaps(ctx context.Context, offsets *kafka.Offsets, doubtful []record.Offsets, p *progress) ([]record.Offsets, error) {
	gaps := slices.Clone(doubtful)
	for i := range gaps {
		gaps[i].Ranges = nil
	}
	err := offsets.Visit(ctx, doubtful, func(r kafka.Record) (more bool, err error) {
		id := kafka.ID(&r)
		p.say("looking for gaps: %s", id)
		i := slices.IndexFunc(doubtful, func(d record.Offsets) bool { return d.TopicPartition == id.TopicPartition })
		in := slices.IndexFunc(doubtful[i].Ranges, func(in record.Range) bool { return id.Offset <= in.Last })
		gaps[i].Ranges = append(gaps[i].Ranges, record.Range{First: id.Offset, Last: doubtful[i].Ranges[in].Last})
		return false, nil
	})
	return gaps, err
}

// recheckSome makes the files of some records once more, and adds what differs
// to the report.
func recheckSome(ctx context.Context, o options, cfg store.Config, offsets *kafka.Offsets, windows []audit.Window, a *audit.Audit, report *audit.Report, p *progress) error {
	// Those of other topics may have had other cascades.
	windows = slices.DeleteFunc(slices.Clone(windows), func(w audit.Window) bool {
		return !slices.ContainsFunc(w.Ledger.Partitions, func(l store.Partition) bool { return slices.Contains(o.Topics, l.Topic) })
	})
	checker, err := recheck.New(ctx, cfg, o.cascades, windows, a.Files)
	if err != nil {
		return err
	}
	defer checker.Close()
	sample := report.Sample(o.recheck)
	var chosen int64
	for _, s := range sample {
		chosen += record.Count(s.Ranges)
	}
	report.Recheck = &audit.Recheck{}
	var problems []audit.Problem
	seen := 0
	err = offsets.Visit(ctx, sample, func(r kafka.Record) (more bool, err error) {
		p.say("rechecking: %d of %d records", seen, chosen)
		seen++
		found, err := checker.Check(ctx, r, report.Recheck)
		problems = append(problems, found...)
		return true, err
	})
	report.Recheck.Gone = int(chosen) - seen
	report.Add(problems...)
	return err
}
