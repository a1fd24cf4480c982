// Command pipeline finds faces in video frames from Kafka and stores the
// pictures in HDFS.
//
//	go run ./pipeline --runner=prism --topics=frames --duration=5m
//
// With check as its first argument, it looks at what such a run needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/runners"
	"facestream/runners/goharness"
	"facestream/runners/parts"
	"facestream/scripts/stack/state"
	"facestream/transforms/kafka"
)

// checkCommand before the flags of a run asks for a look at what it needs.
const checkCommand = "check"

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	beam.Init()
	if goharness.Wanted() {
		fmt.Fprintln(os.Stderr, goharness.Main(os.Args[1:]))
		os.Exit(exitFailed)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	onlyCheck := len(args) > 0 && args[0] == checkCommand
	if onlyCheck {
		args = args[1:]
	}
	o, err := ParseOptions(args, state.Running)
	switch {
	case errors.Is(err, flag.ErrHelp):
		PrintHelp(os.Stdout)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "pipeline: %v (see --help)\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the program at once.
	context.AfterFunc(ctx, stop)
	if onlyCheck {
		// Its lines have said what is wrong.
		return exitStatus(ctx, Check(ctx, o, os.Stdout))
	}

	closeLog, err := logToFile()
	if err != nil {
		fmt.Fprintf(os.Stderr, "pipeline: %v\n", err)
		return exitFailed
	}
	defer closeLog()
	stopProfile, err := o.CPUProfile.start()
	if err != nil {
		fmt.Fprintf(os.Stderr, "pipeline: %v\n", err)
		return exitFailed
	}
	summary, err := Run(ctx, o, os.Stdout)
	err = errors.Join(err, stopProfile())
	if o.Summary != "" {
		err = errors.Join(err, summary.save(o.Summary))
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "pipeline: interrupted; the window under way is not committed and will be read again")
		if errors.Is(err, runners.ErrNotCancelled) {
			fmt.Fprintf(os.Stderr, "pipeline: %v\n", err)
		}
	default:
		fmt.Fprintf(os.Stderr, "pipeline: %v\n", err)
	}
	return exitStatus(ctx, err)
}

func exitStatus(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, kafka.ErrUnknownTopic), errors.Is(err, runners.ErrUnknownOption):
		return exitUsage
	}
	return exitFailed
}

// logToFile sends what Beam logs to build/log/pipeline.log: on the terminal it would
// bury the program's own lines.
func logToFile() (closeLog func(), err error) {
	build, err := parts.Build()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(build, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, "pipeline.log"))
	if err != nil {
		return nil, err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(f, nil)))
	return func() { _ = f.Close() }, nil
}
