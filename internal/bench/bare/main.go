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
	"strings"

	"facestream/internal/camera/feed"
	"facestream/internal/cli"
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

// CLI is the command that measures a bound and prints the result as JSON.
func CLI() cli.Command {
	return cli.Command{
		Name: "bench " + Command, TakesArgs: true,
		Usage: "bench bare measures one bound, detector or plumbing, for the other commands.\n\nFlags:\n",
		Setup: func(f *flag.FlagSet) cli.Run {
			var c Config
			f.StringVar(&c.Format, "format", feed.JPEG, "`FORMAT` of the frames.")
			f.StringVar(&c.Preset, "preset", "", "`PRESET` of the detector.")
			f.IntVar(&c.Workers, "workers", 1, "`NUMBER` of workers.")
			f.IntVar(&c.Frames, "frames", 1, "`NUMBER` of frames.")
			f.StringVar(&c.Brokers, "kafka", "", "`HOST:PORT` of the brokers.")
			f.StringVar(&c.Topic, "topic", "", "`TOPIC` of the frames.")
			f.StringVar(&c.Output, "output", "", "`URL` of the folder of the pictures.")
			f.IntVar(&c.Writers, "writers", 0, "`NUMBER` of files that each worker writes side by side.")
			return func(ctx context.Context, args []string, stdout, _ io.Writer) error {
				c.Bound = strings.Join(args, " ")
				measure := map[string]func(context.Context, Config) (Result, error){Detector: measureDetector, Plumbing: measurePlumbing}[c.Bound]
				switch {
				case measure == nil:
					return cli.Usagef("%q: it must be %s or %s", c.Bound, Detector, Plumbing)
				case c.Format != feed.JPEG && c.Format != feed.Raw:
					return cli.Usagef("--format=%s: it must be %s or %s", c.Format, feed.JPEG, feed.Raw)
				case c.Workers < 1 || c.Frames < 1 || c.Writers < 0:
					return cli.Usagef("%d workers, %d frames, %d writers: too few", c.Workers, c.Frames, c.Writers)
				}
				result, err := measure(ctx, c)
				if err != nil {
					return err
				}
				return json.NewEncoder(stdout).Encode(result)
			}
		},
	}
}
