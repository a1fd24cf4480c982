// Package verify checks that everything is where it should be: it compares what
// Kafka holds, what the ledgers say, and which files are stored.
package verify

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/transforms/face"
	"facestream/transforms/kafka"
)

const usage = `verify checks that every record is accounted for: it compares what Kafka
holds, what the ledgers say, and which files are stored. It changes nothing. With a
stack started by "make up", no flag is needed.

Flags:
`

const examples = `
Examples:
  facestream verify --recheck=100
  facestream verify --kafka=broker1:9092 --topics=door,hall \
      --user=video --output=hdfs://namenode:8020/faces --json

Exit status: 0 all agrees, 1 it does not or could not be checked, 2 wrong
setting, 130 interrupted.
`

// options is the command line, checked.
type options struct {
	config.Endpoints

	recheck int      // how many records; 0 for none
	models  []string // files of cascades and networks, to choose from; none without recheck
	json    bool
}

// errDisagrees says that the report, which is printed, has problems.
var errDisagrees = fmt.Errorf("%w: not all agrees", cli.ErrSaid)

// Command returns the command under a name.
func Command(name string) cli.Command {
	return cli.Command{Name: name, Usage: usage, Examples: examples, Libraries: []string{"OpenCV " + face.OpenCVVersion()}, Setup: func(f *flag.FlagSet) cli.Run {
		var endpoints config.EndpointFlags
		var o options
		endpoints.Add(f)
		f.IntVar(&o.recheck, "recheck", 0, "Choose this `NUMBER` of records at random, read them again from Kafka, make their files once more, and compare the bytes.")
		for _, name := range []string{"cascade", "model"} {
			f.Func(name, "`FILE` that the pipeline was given with --"+name+", for --recheck. May be given several times, if there were several. Default of both: what the pipeline's presets and --profile use without.", func(file string) error {
				o.models = append(o.models, file)
				return nil
			})
		}
		f.BoolVar(&o.json, "json", false, "Print all that was found as one JSON document, instead of a table and the first problems.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
			if o.Endpoints, err = endpoints.Check(); err != nil {
				return cli.Usagef("%w", err)
			}
			if err := o.check(); err != nil {
				return cli.Usagef("%w", err)
			}
			report, err := verify(ctx, o, cli.NewProgress(stderr))
			if errors.Is(err, kafka.ErrUnknownTopic) || errors.Is(err, errModel) {
				return cli.Usagef("%w", err)
			}
			if err != nil {
				return err
			}
			if o.json {
				err = printJSON(stdout, o, report)
			} else {
				err = printTable(stdout, report)
			}
			if err == nil && !report.Agrees {
				err = errDisagrees
			}
			return err
		}
	}}
}

// check checks and completes what is given for --recheck.
func (o *options) check() (err error) {
	if o.recheck < 0 {
		return fmt.Errorf("--recheck=%d: it must be 0 or more", o.recheck)
	}
	if len(o.models) > 0 && o.recheck == 0 {
		return errors.New("--cascade and --model are for --recheck=NUMBER, which is not set")
	}
	for _, file := range o.models {
		if err := cli.CheckFile("--cascade or --model", file); err != nil {
			return err
		}
	}
	if o.recheck > 0 && len(o.models) == 0 {
		o.models, err = face.InstalledFiles()
	}
	return err
}
