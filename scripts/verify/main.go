// Command verify looks whether everything is where it should be: it compares
// what Kafka holds, what the ledgers say, and which files are stored.
//
//	go run ./scripts/verify --topics=frames --recheck=100
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"facestream/scripts/stack/state"
	"facestream/scripts/verify/recheck"
	"facestream/transforms/kafka"
)

// The exit statuses.
const (
	exitDisagrees   = 1 // or it could not be looked at
	exitUsage       = 2
	exitInterrupted = 130 // as a shell has it for SIGINT
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, state.Running)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "verify: %v (see --help)\n", err)
		return exitUsage
	}
	report, err := verify(ctx, o, &progress{out: stderr})
	switch {
	case err != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "verify: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "verify: %v\n", err)
		if errors.Is(err, kafka.ErrUnknownTopic) || errors.Is(err, recheck.ErrCascade) {
			return exitUsage
		}
		return exitDisagrees
	}
	if o.json {
		err = printJSON(stdout, o, report)
	} else {
		err = printTable(stdout, report)
	}
	if err != nil {
		fmt.Fprintf(stderr, "verify: %v\n", err)
		return exitDisagrees
	}
	if !report.Agrees {
		return exitDisagrees
	}
	return 0
}
