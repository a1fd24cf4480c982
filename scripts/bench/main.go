// Command bench measures the pipeline.
//
//	go run ./scripts/bench all
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"facestream/scripts/bench/bare"
	"facestream/scripts/bench/commands"
	"facestream/scripts/bench/detect"
)

const exitUsage = 2

const usage = `bench measures the pipeline with services of its own: Kafka, HDFS, and clusters of
Flink and Spark. It ends them when it is done, also after Ctrl-C.

  go run ./scripts/bench COMMAND [flags]

  all      frames/s of every runner, format, preset and number of slots, against bounds
  detect   speed, recall and false positives of each preset of the detector; without services
  data     the data path alone, the detector off, on Flink
  memory   peak memory with n and 10n records
  scaling  frames/s of each slot with 1, 2, 4 and 8 partitions
  windows  a run in windows of a minute, against steady state

COMMAND --help shows its flags.
`

// mains are the commands by name. What they return is the exit status.
var mains = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) int{
	"all":        commands.All.Main,
	"detect":     detect.Main,
	"data":       commands.Data.Main,
	"memory":     commands.Memory.Main,
	"scaling":    commands.Scaling.Main,
	"windows":    commands.Windows.Main,
	bare.Command: bare.Main, // one bound, for the other commands
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	// A reader that has gone away, as of "bench all | head", is no reason to leave things behind.
	ctx, _ = signal.NotifyContext(ctx, syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if command, ok := mains[args[0]]; ok {
			return command(ctx, args[1:], stdout, stderr)
		}
		if args[0] == "--help" || args[0] == "-h" {
			fmt.Fprint(stdout, usage)
			return 0
		}
	}
	fmt.Fprint(stderr, usage)
	return exitUsage
}
