// Package chaos runs the pipeline while one part after another is killed or stopped,
// and looks whether everything is where it should be at the end.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"facestream/internal/cli"
)

// Command is the command line of soak.
func Command() cli.Command {
	return cli.Command{Name: "soak", Usage: usage, Examples: examples, Setup: func(f *flag.FlagSet) cli.Run {
		var o options
		var onRunners string
		o.add(f, &onRunners)
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if err := o.check(onRunners, time.Now()); err != nil {
				return cli.Usagef("%w", err)
			}
			dir, unlock, err := emptyFolder()
			if err != nil {
				return err
			}
			defer unlock()
			if err := newSoak(o, dir, stdout).run(ctx); err != nil {
				return fmt.Errorf("%w\nsoak: all logs and files stay in %s until the next soak", err, dir)
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return ctx.Err()
		}
	}}
}
