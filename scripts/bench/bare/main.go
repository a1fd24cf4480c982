// Package bare measures the bounds of what a runner can do: the detector alone,
// and the detector between the plainest ways to read from Kafka and to write to
// HDFS. A bound is a process of its own, so that it can be bound to processors
// from its start.
package bare

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"facestream/scripts/camera/feed"
)

// Command is the first argument of a process that measures a bound.
const Command = "bare"

// The bounds.
const (
	Detector = "detector" // the frames are in memory
	Plumbing = "plumbing" // from Kafka to HDFS, without Beam
)

// Config says what is measured.
type Config struct {
	Bound   string // Required. Detector or Plumbing.
	Format  string // Required. feed.JPEG or feed.Raw.
	Preset  string // Required. As face.NewPreset takes it.
	Workers int    // Required. Goroutines with a detector each.
	Frames  int    // Required. How many are measured.

	// Of the plumbing.
	Brokers string // Required. host:port, comma-separated.
	Topic   string // Required. It holds Frames, and warmUp more for each worker.
	Output  string // Required. A folder of hdfs://.
	Writers int    // Optional. How many files each worker writes side by side; 0 stands for one, by the worker itself.
}

// Result is what was measured. Times do not include the start of the process,
// nor the first frames.
type Result struct {
	Frames     int     `json:"frames"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // of this process
	Stages     Stages  `json:"stages"`      // of the plumbing
}

// Stages are milliseconds for each frame that one worker spends in each part.
type Stages struct {
	Read   float64 `json:"read_ms"`   // until there is a record
	Decode float64 `json:"decode_ms"` // frame.Parse
	Detect float64 `json:"detect_ms"` // Detector.Detect
	Encode float64 `json:"encode_ms"` // face.Files
	Write  float64 `json:"write_ms"`  // until the file has its name; with Writers, until there is room for it
}

// Sum is what all stages take together.
func (s Stages) Sum() float64 { return s.Read + s.Decode + s.Detect + s.Encode + s.Write }

// Rate is in frames a second.
func (r Result) Rate() float64 { return float64(r.Frames) / r.Seconds }

// Args are the arguments for which Main measures the bound.
func (c Config) Args() []string {
	return []string{
		c.Bound, "--format=" + c.Format, "--preset=" + c.Preset, fmt.Sprint("--workers=", c.Workers), fmt.Sprint("--frames=", c.Frames),
		"--kafka=" + c.Brokers, "--topic=" + c.Topic, "--output=" + c.Output, fmt.Sprint("--writers=", c.Writers),
	}
}

// Main measures a bound and prints the result as JSON. It returns the exit
// status.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "bench %s: %v\n", Command, err)
		return 2
	}
	measure := measureDetector
	if c.Bound == Plumbing {
		measure = measurePlumbing
	}
	result, err := measure(ctx, c)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench %s: %v\n", Command, err)
		return 1
	}
	return 0
}

func parse(args []string) (Config, error) {
	var c Config
	f := flag.NewFlagSet(Command, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.Format, "format", feed.JPEG, "")
	f.StringVar(&c.Preset, "preset", "", "")
	f.IntVar(&c.Workers, "workers", 1, "")
	f.IntVar(&c.Frames, "frames", 1, "")
	f.StringVar(&c.Brokers, "kafka", "", "")
	f.StringVar(&c.Topic, "topic", "", "")
	f.StringVar(&c.Output, "output", "", "")
	f.IntVar(&c.Writers, "writers", 0, "")
	bounds := []string{Detector, Plumbing}
	if len(args) == 0 || !slices.Contains(bounds, args[0]) {
		return c, fmt.Errorf("the first argument must be %s", strings.Join(bounds, " or "))
	}
	c.Bound = args[0]
	if err := f.Parse(args[1:]); err != nil {
		return c, err
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("%q: only flags are expected", f.Arg(0))
	case c.Format != feed.JPEG && c.Format != feed.Raw:
		return c, fmt.Errorf("--format=%s: it must be %s or %s", c.Format, feed.JPEG, feed.Raw)
	case c.Workers < 1 || c.Frames < 1 || c.Writers < 0:
		return c, fmt.Errorf("%d workers, %d frames, %d writers: too few", c.Workers, c.Frames, c.Writers)
	}
	return c, nil
}
