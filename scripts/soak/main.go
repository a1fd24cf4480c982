// Command soak runs the pipeline on Prism and on a Flink cluster at the same
// time while one part after another is killed or stopped, and looks at the end
// whether everything is where it should be.
//
//	go run ./scripts/soak --duration=20m
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
	"time"
)

// The exit statuses.
const (
	exitFailed      = 1
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
	o, err := parseOptions(args, time.Now())
	switch {
	case errors.Is(err, flag.ErrHelp):
		printHelp(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "soak: %v (see --help)\n", err)
		return exitUsage
	}
	dir, unlock, err := emptyFolder()
	if err != nil {
		fmt.Fprintf(stderr, "soak: %v\n", err)
		return exitFailed
	}
	defer unlock()
	if err := newSoak(o, dir, stdout).run(ctx); err != nil {
		fmt.Fprintf(stderr, "soak: %v\nsoak: all logs and files stay in %s until the next soak\n", err, dir)
		return exitFailed
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintf(stderr, "soak: %v\n", err)
		return exitFailed
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "soak: interrupted")
		return exitInterrupted
	}
	return 0
}
