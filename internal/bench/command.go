// Package bench measures the pipeline, with services of its own.
package bench

import (
	"context"
	"flag"
	"io"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/commands"
	"facestream/internal/bench/detect"
	"facestream/internal/cli"
	"facestream/transforms/face"
)

const usage = `bench measures the pipeline with services of its own: Kafka, HDFS, and clusters of
Flink and Spark. It ends them when it is done, also after Ctrl-C.

  go run ./scripts/bench COMMAND [flags]

  all      frames/s of every runner, format, preset and number of slots, against bounds
  detect   speed, recall and false positives of each preset of the detector; without services
  data     the data path alone, the detector off, on Flink
  memory   peak memory with n and 10n records
  windows  a run in windows of a minute, against steady state

COMMAND --help shows its flags.
`

// Command is the command line of bench.
func Command() cli.Command {
	return cli.Command{
		Name: "bench", Usage: usage, TakesArgs: true, Libraries: []string{"OpenCV " + face.OpenCVVersion()},
		Setup: func(*flag.FlagSet) cli.Run {
			return func(context.Context, []string, io.Writer, io.Writer) error {
				return cli.Usagef("a command is missing: all, detect, data, memory or windows")
			}
		},
		Subcommands: []cli.Command{
			commands.All.Command(), detect.Command(), commands.Data.Command(), commands.Memory.Command(), commands.Windows.Command(),
			bare.CLI(), // one bound, for the other commands
		},
	}
}
