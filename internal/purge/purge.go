// Package purge removes what is too old, or is not to be kept, from an output.
package purge

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/transforms/store"
)

const usage = `purge removes pictures, what is known of rejects, events and ledgers from an output,
by age, or those of a camera, a time, or a list of records. It notes which, so that
verify does not miss them. A run may be at work meanwhile.

Flags:
`

const examples = `
Examples:
  facestream purge --output=hdfs://namenode:8020/faces --older=30d --dry_run
  facestream purge --camera=door --from=2026-11-24T09 --to=2026-11-24T11
  facestream purge --records=them.txt

Exit status: 0 all of it is gone, 1 it is not, 2 wrong setting, 130 interrupted.
Whatever it was, do it again: it goes on.
`

// flags are the settings as given.
type flags struct {
	output    config.OutputFlags
	older     cli.Age
	records   string
	selection store.Selection
	dryRun    bool
}

// Command returns the command under a name.
func Command(name string) cli.Command {
	return cli.Command{Name: name, Usage: usage, Examples: examples, Interrupted: "interrupted; do it again, and it goes on", Setup: func(f *flag.FlagSet) cli.Run {
		var v flags
		s := &v.selection
		v.output.Add(f)
		f.Var(&v.older, "older", "Remove what is older than this `TIME`, such as 30d, by the hour of the record's timestamp. Without a timestamp, the age is that of the files.")
		f.Func("camera", "Only of this `CAMERA`.", func(camera string) error {
			if s.Camera != nil && *s.Camera != camera {
				return errors.New("there is another one already: purge once for each camera")
			}
			s.Camera = &camera
			return nil
		})
		f.Func("from", "Only from this `HOUR` on, in UTC, such as 2026-11-24T09, or a day, such as 2026-11-24.", hour(&s.From))
		f.Func("to", "Only before this `HOUR`, in UTC, or before a day.", hour(&s.To))
		f.StringVar(&v.records, "records", "", "Only the records in this `FILE`, one a line as TOPIC+PARTITION+OFFSET.")
		f.BoolVar(&s.KeepEvents, "keep_events", false, "Keep the events, and the ledgers.")
		f.BoolVar(&v.dryRun, "dry_run", false, "Change nothing, and say what would go.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if err := v.check(time.Now()); err != nil {
				return cli.Usagef("%w", err)
			}
			o, _, err := v.output.Check()
			if err != nil {
				return cli.Usagef("%w", err)
			}
			return run(ctx, store.Config{Root: o.Output, Run: store.UniqueName(time.Now())}, v.selection, v.dryRun, stdout, stderr)
		}
	}}
}

// hour sets a time to that of a flag.
func hour(t *time.Time) func(text string) error {
	return func(text string) (err error) {
		for _, layout := range []string{"2006-01-02T15", time.DateOnly} {
			if *t, err = time.Parse(layout, text); err == nil {
				return nil
			}
		}
		return errors.New("it must be an hour in UTC, such as 2026-11-24T09, or a day, such as 2026-11-24")
	}
}

// check checks and completes the selection.
func (v *flags) check(now time.Time) error {
	s := &v.selection
	switch {
	case v.older > 0 && !s.To.IsZero():
		return errors.New("--older and --to both say up to when: give one of them")
	case v.older > 0:
		s.To, s.Aged = now.Add(-time.Duration(v.older)).UTC(), true
	}
	if !s.To.IsZero() && !s.From.Before(s.To) {
		return fmt.Errorf("from %s to %s there is no hour", s.From.Format(time.DateTime), s.To.Format(time.DateTime))
	}
	if v.records != "" {
		data, err := os.ReadFile(v.records)
		if err == nil {
			s.Records, err = store.ParseMarks(string(data))
		}
		if err != nil {
			return fmt.Errorf("--records=%s: %w", v.records, err)
		}
	}
	if s.Camera == nil && s.From.IsZero() && s.To.IsZero() && s.Records == nil {
		return errors.New("nothing says what to remove: give --older, --camera, --from, --to or --records")
	}
	return nil
}

// run purges, and says how far it is and what came of it.
func run(ctx context.Context, cfg store.Config, s store.Selection, dry bool, stdout, stderr io.Writer) error {
	if _, err := cfg.Modified(ctx, ""); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // else a purge would make it
		return cli.Usagef("--output: %w; give the folder that a run was given", err)
	}
	did, progress := "removed", cli.NewProgress(stderr)
	if dry {
		did = "would remove"
	}
	freed, err := store.Purge(ctx, cfg, s, nil, dry, func(f store.Freed) { progress.Say("so far: %s", f) })
	fmt.Fprintln(stdout, did, freed)
	if err != nil {
		return err
	}
	if len(freed.Left) > 0 {
		return fmt.Errorf("not all could be removed: %s", strings.Join(freed.Left, "; "))
	}
	return nil
}
