// Package bench measures the detector, and the pipeline with services of its own.
package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"facestream/internal/cli"
	"facestream/internal/paths"
	"facestream/transforms/face"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const usage = `bench measures the pipeline with services of its own: Kafka, HDFS, and clusters of
Flink and Spark. It ends them when it is done, also after Ctrl-C.

  go run ./scripts/bench COMMAND [flags]

  all      frames/s of every runner, format, preset and number of slots, against bounds
  detect   speed, recall and false positives of each preset of the detector; without services
  data     the data path alone, the detector off, on Flink
  windows  a run in windows of a minute, against steady state
  memory   peak memory with n and 10n records
  latency  how long after its frame a picture is stored, live, with each reader
  day      what docs/benchmarks.md has of these, one after the other

COMMAND --help shows its flags.
`

// Command is the command line of bench.
func Command() cli.Command {
	var measured []cli.Command
	for _, c := range []command{all, detect, data, windows, memory, latency} {
		measured = append(measured, c.cli())
	}
	return cli.Command{
		Name: "bench", Usage: usage, Libraries: libraries(),
		Setup: func(*flag.FlagSet) cli.Run {
			return func(context.Context, []string, io.Writer, io.Writer) error {
				return cli.Usagef("a command is missing: all, detect, data, windows, memory, latency or day")
			}
		},
		Subcommands: append(measured, day(measured, ofADay)),
	}
}

// libraries are what --version and a page name beside Go modules.
func libraries() []string { return []string{"OpenCV " + face.OpenCVVersion()} }

// choice is what to measure.
type choice struct {
	runners, formats, presets, readers, stores []string
	slots                                      []int
	scale                                      float64
	times                                      int
	labels                                     string // of detect
}

// command is a subcommand that measures.
type command struct {
	name  string
	about string
	// choices holds what there is to choose from. A flag exists for what has several.
	choices choice
	// services says that it needs them. Without them, a bench can only tell of progress.
	services bool
	// measure may return tables together with an error.
	measure func(ctx context.Context, b *bench, c choice) ([]table, error)
}

func (c command) cli() cli.Command {
	return cli.Command{Name: "bench " + c.name, Usage: c.about + "\n\nFlags:\n", Setup: func(f *flag.FlagSet) cli.Run {
		chosen, state := c.choices, paths.State{}
		choose(f, "runners", "`NAMES` of the runners", &chosen.runners)
		choose(f, "formats", "`NAMES` of the frames' formats", &chosen.formats)
		if len(chosen.presets) > 1 {
			choose(f, "presets", "`NAMES` of the detector's presets", &chosen.presets, face.Presets...)
		}
		choose(f, "readers", "`NAMES` of the readers", &chosen.readers, kafka.Readers...)
		choose(f, "stores", "`NAMES` of how pictures are stored", &chosen.stores, store.Stores...)
		choose(f, "slots", "`NUMBERS` of slots", &chosen.slots)
		chosen.scale, chosen.times = 1, 1
		if c.services {
			f.Float64Var(&chosen.scale, "scale", 1, "`FACTOR` by which all runs are longer: what is measured gets steadier, and takes more time.")
			f.IntVar(&chosen.times, "times", 1, "`NUMBER` of times to measure each run; the median counts.")
			state.Add(f)
		} else {
			f.StringVar(&chosen.labels, "labels", "testdata/labels.json", "`FILE` of labels for pictures beside it: dlib's XML, or a JSON object that gives for the name of each picture a list of boxes with x, y, width, height in pixels.")
		}
		model := f.String("model", "", "`FILE` of the network for the presets that need one, yunet and yunet-fast.")
		asJSON := f.Bool("json", false, "Print JSON instead of tables.")
		page := f.String("markdown", "", "`FILE` of Markdown, such as docs/benchmarks.md, in which the section of this command is written or replaced.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
			switch {
			case !(chosen.scale > 0) || math.IsInf(chosen.scale, 1): // not NaN either
				return cli.Usagef("--scale=%v: it must be more than 0", chosen.scale)
			case chosen.times < 1:
				return cli.Usagef("--times=%d: it must be 1 or more", chosen.times)
			}
			if err := checkFiles(*model, *page); err != nil {
				return err
			}
			b := &bench{progress: stderr, model: *model, began: time.Now(), totals: map[string]int{}, warm: map[string]int{}}
			if c.services {
				defer func() { err = errors.Join(err, b.close()) }()
				dir, err := state.Dir()
				if err == nil {
					err = cli.CheckFolder("--state_dir", dir)
				}
				if err != nil {
					return cli.Usagef("%w", err)
				}
				if err := b.open(ctx, dir, chosen.runners); err != nil {
					return err
				}
			}
			tables, err := c.measure(ctx, b, chosen)
			if len(tables) == 0 {
				return err
			}
			print := printTables
			if *asJSON {
				print = printJSON
			}
			err = errors.Join(err, print(stdout, tables))
			if *page != "" {
				name := c.name
				f.Visit(func(given *flag.Flag) {
					if !slices.Contains(unnamed, given.Name) {
						name += " --" + given.Name + "=" + given.Value.String()
					}
				})
				err = errors.Join(err, writeSection(*page, name, section(name, tables)))
			}
			return err
		}
	}}
}

// checkFiles makes sure that the network can be read and the page written: that is to be
// known before hours of measuring.
func checkFiles(model, page string) error {
	err := cli.CheckNewFile("--markdown", page)
	if err == nil && model != "" {
		err = cli.CheckFile("--model", model)
	}
	if err != nil {
		return cli.Usagef("%w", err)
	}
	return nil
}

// unnamed are flags that make no other measurement of a command.
var unnamed = []string{"markdown", "json", "state_dir", "model"}

// choose adds a flag of comma-separated values, if there are several to choose from; more are
// all that may be chosen, if those are not only the default ones.
func choose[T any](f *flag.FlagSet, name, about string, values *[]T, more ...T) {
	if len(*values) == 0 || len(*values)+len(more) < 2 {
		return
	}
	known := *values
	if len(more) > 0 {
		known = more
	}
	f.Var(list[T]{values, known}, name, about+" to measure, comma-separated.")
}

// list is a flag of several of the values that are known.
type list[T any] struct {
	values *[]T
	known  []T
}

func (l list[T]) Set(text string) error {
	*l.values = nil
	for value := range strings.SplitSeq(text, ",") {
		at := slices.IndexFunc(l.known, func(v T) bool { return fmt.Sprint(v) == strings.TrimSpace(value) })
		if at < 0 {
			return fmt.Errorf("%q is none of %s", value, join(l.known))
		}
		*l.values = append(*l.values, l.known[at])
	}
	return nil
}

// IsList tells it from the flags that have one value, as cli.List does.
func (l list[T]) IsList() {}

func (l list[T]) String() string {
	if l.values == nil { // as package flag makes it, to compare
		return ""
	}
	return join(*l.values)
}

func join[T any](values []T) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(values), " ", ","), "[]")
}

// ofADay is what docs/benchmarks.md has: each runner with each reader as it is mostly used,
// in less than two hours.
var ofADay = []string{
	"detect",
	"all --formats=jpeg --slots=2 --readers=kafkaio",
	"all --formats=jpeg --slots=2 --readers=native --stores=parquet --presets=parity,fast,yunet,yunet-fast --scale=3",
	"all --formats=raw --slots=2 --readers=native --stores=parquet --presets=fast",
	"data",
	"windows --runners=flink --presets=fast",
	"memory --formats=jpeg --runners=prism",
	"memory --formats=raw --readers=native --scale=0.5",
	"latency --readers=kafkaio --runners=flink,spark --scale=0.2",
	"latency --readers=native",
}

// day is the command that measures what such lines say.
func day(measured []cli.Command, lines []string) cli.Command {
	return cli.Command{
		Name:  "bench day",
		Usage: "bench day measures, one after the other, for less than two hours:\n\n  " + strings.Join(lines, "\n  ") + "\n\nFlags:\n",
		Setup: func(f *flag.FlagSet) cli.Run {
			model := f.String("model", "", "`FILE` of the network for the presets that need one, yunet and yunet-fast: "+
				"face_detection_yunet_2022mar.onnx, of which docs/detectors.md says where it is.")
			page := f.String("markdown", "", "`FILE` of Markdown, such as docs/benchmarks.md, in which a section of each is written or replaced.")
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) (err error) {
				if *model == "" {
					return cli.Usagef("--model is missing")
				}
				if err := checkFiles(*model, *page); err != nil {
					return err
				}
				for _, line := range lines {
					fmt.Fprintf(stderr, "bench %s\n", line)
					args := strings.Fields(line)
					at := slices.IndexFunc(measured, func(c cli.Command) bool { return c.Name == "bench "+args[0] })
					if measured[at].Main(ctx, append(args[1:], "--model="+*model, "--markdown="+*page), stdout, stderr) != 0 {
						err = cli.ErrSaid // by the command; the others go on
					}
					if ctx.Err() != nil {
						return ctx.Err()
					}
				}
				return err
			}
		},
	}
}
