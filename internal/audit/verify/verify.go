package verify

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"
	"syscall"
	"time"

	"facestream/internal/audit"
	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

// verify compares everything. The order of reading is that of audit.Audit.
func verify(ctx context.Context, o options, p *cli.Progress) (audit.Report, error) {
	cfg := store.Config{Root: o.Output}
	offsets, err := kafka.Open(ctx, o.Kafka, o.Group, o.Topics, o.Security.Options()...)
	if err != nil {
		return audit.Report{}, err
	}
	defer offsets.Close()
	committed, err := offsets.Committed(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	a, err := newAudit(ctx, o, cfg, offsets.TopicIDs(), p)
	if err != nil {
		return audit.Report{}, err
	}
	defer a.Close()
	files := 0
	err = store.List(ctx, cfg, func(name string, size int64, modified time.Time) error {
		files++
		p.Say("listing: %d files", files)
		a.AddFile(name, size, modified)
		if store.IsTable(name) {
			a.AddTable(name, tableRows(ctx, cfg, name))
		}
		return ctx.Err()
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = cli.Usagef("--output: %w; give the folder that a run was given", err)
	}
	if err != nil {
		return audit.Report{}, err
	}
	purged, err := store.ReadPurged(ctx, cfg)
	if err != nil {
		return audit.Report{}, err
	}
	a.AddPurged(purged)
	offsets.Uncommitted = true // a run may have read all, and no topic is shorter for it
	held, err := offsets.Logs(ctx)
	if err != nil {
		return audit.Report{}, err
	}
	offsets.Uncommitted = false
	report, doubtful, err := a.Compare(ctx, logsOf(held, committed))
	if err != nil {
		return audit.Report{}, err
	}
	gaps, err := findGaps(ctx, offsets, doubtful, p)
	if err != nil {
		return audit.Report{}, err
	}
	report.AddGaps(gaps)
	if o.recheck > 0 {
		offsets.Uncommitted = true
		err = recheckSome(ctx, o, cfg, offsets, a, report, p)
	}
	return *report, err
}

// tableRows goes through the rows of a table.
func tableRows(ctx context.Context, cfg store.Config, name string) iter.Seq2[table.Row, error] {
	return func(yield func(table.Row, error) bool) {
		in, err := cfg.OpenTable(ctx, name)
		if err != nil {
			yield(table.Row{}, err)
			return
		}
		defer in.Close()
		in.Rows(math.MaxInt64)(yield)
	}
}

// errGathered says that a run has published a window's events while they were looked for.
var errGathered = errors.New("a run gathers faster than its ledgers can be read")

// newAudit returns an audit with all ledgers and events, which are read anew if a run
// gathers some meanwhile.
func newAudit(ctx context.Context, o options, cfg store.Config, ids map[string]string, p *cli.Progress) (*audit.Audit, error) {
	const tries = 5
	for try := 1; ; try++ {
		a, err := audit.New(o.Topics, ids, o.recheck)
		if err != nil {
			return nil, err
		}
		if err = readBooks(ctx, cfg, a, p); err == nil {
			return a, nil
		}
		a.Close()
		if try == tries || !errors.Is(err, errGathered) {
			return nil, err
		}
	}
}

// readBooks reads all ledgers, and the events of each.
func readBooks(ctx context.Context, cfg store.Config, a *audit.Audit, p *cli.Progress) error {
	files := 0
	return store.Books(ctx, cfg, func(f store.BookFile) error {
		files++
		p.Say("reading ledgers: %d files, now %s", files, f.Name)
		group := a.AddLedgers(f)
		for _, e := range f.Events {
			if err := readEvents(ctx, cfg, a, f, e, group); err != nil {
				return err
			}
		}
		return nil
	})
}

// readEvents reads a file of events as far as a book's ledger counts them.
func readEvents(ctx context.Context, cfg store.Config, a *audit.Audit, f store.BookFile, e store.EventsFile, group string) error {
	in, err := cfg.Open(ctx, e.File)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := cfg.Size(ctx, f.Name); errors.Is(err, fs.ErrNotExist) {
			return errGathered
		}
		return nil // so they are missing
	}
	if err != nil {
		return err
	}
	defer in.Close()
	lines := io.Reader(in)
	if f.Book != "" {
		lines = io.LimitReader(in, e.Bytes)
	}
	return a.AddEvents(e.File, group, lines)
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
func findGaps(ctx context.Context, offsets *kafka.Offsets, doubtful []record.Offsets, p *cli.Progress) ([]record.Offsets, error) {
	gaps := slices.Clone(doubtful)
	for i := range gaps {
		gaps[i].Ranges = nil
	}
	err := offsets.Visit(ctx, doubtful, func(r kafka.Record) (more bool, err error) {
		id := kafka.ID(&r)
		p.Say("looking for gaps: %s", id)
		i := slices.IndexFunc(doubtful, func(d record.Offsets) bool { return d.TopicPartition == id.TopicPartition })
		in := slices.IndexFunc(doubtful[i].Ranges, func(in record.Range) bool { return id.Offset <= in.Last })
		gaps[i].Ranges = append(gaps[i].Ranges, record.Range{First: id.Offset, Last: doubtful[i].Ranges[in].Last})
		return false, nil
	})
	return gaps, err
}

// recheckSome makes the files of some records once more, and adds what differs
// to the report.
func recheckSome(ctx context.Context, o options, cfg store.Config, offsets *kafka.Offsets, a *audit.Audit, report *audit.Report, p *cli.Progress) error {
	chosen, settings := a.Chosen()
	checker, err := newChecker(ctx, cfg, o.models, chosen, settings)
	if err != nil {
		return err
	}
	defer checker.close()
	var at []record.Offsets
	for _, c := range chosen {
		if len(at) == 0 || at[len(at)-1].TopicPartition != c.TopicPartition {
			at = append(at, record.Offsets{TopicPartition: c.TopicPartition})
		}
		last := &at[len(at)-1]
		last.Ranges = record.Merge(last.Ranges, []record.Range{c.Range()})
	}
	report.Recheck = &audit.Recheck{}
	seen := 0
	err = offsets.Visit(ctx, at, func(r kafka.Record) (more bool, err error) {
		p.Say("rechecking: %d of %d records", seen, len(chosen))
		seen++
		found, err := checker.check(ctx, r, report.Recheck)
		for _, problem := range found {
			report.Add(problem)
		}
		return true, err
	})
	report.Recheck.Gone = len(chosen) - seen
	return err
}
