// Command bench measures parts of facestream on this machine.
//
//	go run ./scripts/bench detect
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"facestream/scripts/bench/detect"
)

const exitUsage = 2

// commands measure something each and return the exit status.
var commands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) int{
	"detect": detect.Main,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		os.Exit(commands[os.Args[1]](ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	fmt.Fprintf(os.Stderr, "bench: say what to measure: %s\n", strings.Join(slices.Sorted(maps.Keys(commands)), ", "))
	os.Exit(exitUsage)
}
