package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"facestream/pipeline/places"
	"facestream/scripts/stack/state"
	"facestream/transforms/face"
)

// options is the command line, checked.
type options struct {
	places.Places

	recheck  int      // how many records; 0 for none
	cascades []string // files, to choose from; none without recheck
	json     bool
}

const usage = `verify looks whether everything is where it should be: it compares what Kafka
holds, what the ledgers say, and which files are stored. It changes nothing.

  go run ./scripts/verify [flags]

With a stack started by "make up", no flag is needed.

Flags:
`

const examples = `
Examples:
  go run ./scripts/verify --recheck=100
  go run ./scripts/verify --kafka=broker1:9092 --topics=door,hall \
      --user=video --output=hdfs://namenode:8020/faces --json

Exit status: 0 all agrees, 1 it does not or could not be looked at, 2 wrong
setting, 130 interrupted.
`

// settings are the flags as given.
type settings struct {
	places   places.Flags
	recheck  int
	cascades []string
	json     bool
}

func newFlags(v *settings) *flag.FlagSet {
	f := flag.NewFlagSet("verify", flag.ContinueOnError)
	v.places.Add(f)
	f.IntVar(&v.recheck, "recheck", 0, "Choose this `NUMBER` of records at random, read them again from Kafka, make their files once more, and compare the bytes.")
	f.Func("cascade", "`FILE` of the cascade classifier that the pipeline was given, for --recheck. May be given several times, if there were several. Default: those of OpenCV that the pipeline's presets and --profile use.", func(file string) error {
		v.cascades = append(v.cascades, file)
		return nil
	})
	f.BoolVar(&v.json, "json", false, "Print all that was found as one JSON document, instead of a table and the first problems.")
	return f
}

func printHelp(out io.Writer) {
	f := newFlags(&settings{})
	f.SetOutput(out)
	fmt.Fprint(out, usage)
	f.PrintDefaults()
	fmt.Fprint(out, examples)
}

// parseOptions reads the command line. local gives the addresses of the local
// stack for what is not set. Its errors say what is wrong and what would be
// right; flag.ErrHelp means that help was asked for (see printHelp).
func parseOptions(args []string, local func() (state.Addrs, bool)) (options, error) {
	var v settings
	f := newFlags(&v)
	f.SetOutput(io.Discard) // the caller prints the error
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("%q: only flags are expected, such as --topics=A,B", f.Arg(0))
	}
	return v.options(local)
}

func (v *settings) options(local func() (state.Addrs, bool)) (options, error) {
	o := options{recheck: v.recheck, json: v.json}
	var err error
	if o.Places, err = v.places.Check(local); err != nil {
		return o, err
	}
	if o.recheck < 0 {
		return o, fmt.Errorf("--recheck=%d: it must be 0 or more", o.recheck)
	}
	if len(v.cascades) > 0 && o.recheck == 0 {
		return o, errors.New("--cascade is for --recheck=NUMBER, which is not set")
	}
	if o.recheck > 0 {
		o.cascades, err = cascadeFiles(v.cascades)
	}
	return o, err
}

// cascadeFiles returns the files that were named, or those of OpenCV that the
// pipeline uses.
func cascadeFiles(named []string) ([]string, error) {
	if len(named) == 0 {
		return face.InstalledCascades()
	}
	for _, file := range named {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("--cascade: %w", err)
		}
	}
	return named, nil
}
