// Package extract copies pictures out of an output, with what is known of their faces. How
// the output stores them makes no difference.
package extract

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/store"
)

const usage = `extract copies pictures of an output into a folder or a tar file, and what is known of
their faces: all, or those of some cameras, of a time, or of a list of records. It changes
nothing in the output, and a run may go on meanwhile. With a stack started by "make up",
--into or --tar is all that it needs.

Flags:
`

const examples = `
Examples:
  facestream extract --into=door --camera=door --from=2026-11-24T09:00 --to=2026-11-24T17:00
  facestream extract --tar=few.tar --records=few.txt --write=frame,crops,events
  facestream extract --tar=- --user=video --output=hdfs://namenode:8020/faces | ssh trainer tar -x

The names are those that --store=files gives, whichever way the output stores pictures; what
is known of a frame's faces is beside it in a .json, an array with an event for each face. A
file is there whole or not at all: after Ctrl-C, the same command completes a folder. A tar
file appears when it is complete.

Exit status: 0 done, 1 failed, or something is missing, 2 wrong setting, 130 interrupted.
`

// options is the command line, checked.
type options struct {
	root      string
	write     face.Output
	into, tar string
	replace   bool
	filter
}

// filter says which records are copied.
type filter struct {
	cameras  []string    // none for all
	from, to int64       // milliseconds since 1970
	timed    bool        // so undated records are left out
	records  store.Marks // nil for all
}

func (f *filter) wants(id record.ID, camera string, millis int64) bool {
	return (f.records == nil || f.records.Has(id)) && (len(f.cameras) == 0 || slices.Contains(f.cameras, camera)) &&
		(!f.timed || record.Dated(millis) && f.from <= millis && millis < f.to)
}

// overlaps reports whether records of an hour may be wanted.
func (f *filter) overlaps(hour time.Time) bool {
	return !f.timed || hour.UnixMilli() < f.to && hour.Add(time.Hour).UnixMilli() > f.from
}

// stdio is the name of the standard input and output.
const stdio = "-"

// Command returns the command under a name.
func Command(name string) cli.Command {
	c := cli.Command{Name: name, Usage: usage, Examples: examples}
	c.Interrupted = "interrupted; what is in a folder is whole, and the same command completes it"
	c.Setup = func(f *flag.FlagSet) cli.Run {
		var output config.OutputFlags
		o := options{filter: filter{to: math.MaxInt64}}
		output.Add(f)
		f.StringVar(&o.into, "into", "", "`FOLDER` to copy into. It is made if it does not exist.")
		f.StringVar(&o.tar, "tar", "", "`FILE` to write as a tar instead, or - for the standard output.")
		f.BoolVar(&o.replace, "replace", false, "Replace files that are there with another content. Without, they are refused; what is there with the same content stays in any case.")
		write := cli.List("frame,events")
		f.Var(&write, "write", "What to copy of a frame, as far as it is stored, a `LIST` of: frame, annotated, crops, as the run's --write; events, a JSON file.")
		f.Func("camera", "Only frames of this `CAMERA`. May be given several times.", func(camera string) error {
			o.cameras = append(o.cameras, camera)
			return nil
		})
		for name, at := range map[string]*int64{"from": &o.from, "to": &o.to} {
			text := map[string]string{"from": "Only records with a timestamp of this `TIME` or later, such as 2026-11-24, 2026-11-24T09:30 or 2026-11-24T09:30:00+01:00; UTC unless it says another zone.", "to": "Only records with a timestamp before this `TIME`."}[name]
			f.Func(name, text, func(text string) (err error) {
				o.timed = true
				*at, err = parseTime(text)
				return err
			})
		}
		records := f.String("records", "", "Only the records in this `FILE`, or - for the standard input, one a line as TOPIC+PARTITION+OFFSET.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			err := o.check(&output, string(write), *records)
			if err != nil {
				return cli.Usagef("%w", err)
			}
			return run(ctx, o, stdout, stderr)
		}
	}
	return c
}

// check checks and completes the options.
func (o *options) check(output *config.OutputFlags, write, records string) error {
	endpoints, _, err := output.Check()
	o.root = endpoints.Output
	if err == nil {
		if o.write, err = face.ParseOutput(write); err != nil {
			err = fmt.Errorf("--write=%s: %w", write, err)
		}
	}
	if err == nil && records != "" {
		if o.records, err = readRecords(records); err != nil {
			err = fmt.Errorf("--records: %w", err)
		}
	}
	switch {
	case err != nil:
		return err
	case (o.into == "") == (o.tar == ""):
		return errors.New("give either --into=FOLDER or --tar=FILE")
	case o.from >= o.to:
		return errors.New("--from must be before --to")
	}
	switch o.tar {
	case "":
		return cli.CheckFolder("--into", o.into)
	case stdio:
		return nil
	}
	switch info, err := os.Lstat(o.tar); {
	case err == nil && !info.Mode().IsRegular(): // a tar would take the place of /dev/stdout
		return fmt.Errorf("--tar=%s: it is there, and no file: give another name, or - for the standard output", o.tar)
	case err == nil && !o.replace:
		return fmt.Errorf("--tar=%s: it is there already: give another name, or --replace", o.tar)
	}
	return cli.CheckNewFile("--tar", o.tar)
}

func parseTime(text string) (millis int64, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, errors.New("it must be a time such as 2026-11-24T09:30")
}

func readRecords(file string) (store.Marks, error) {
	var data []byte
	var err error
	if file == stdio {
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	return store.ParseMarks(string(data))
}
