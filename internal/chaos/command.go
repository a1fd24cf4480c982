// Package chaos runs the pipeline while its parts, and those of the services that it
// uses, are killed or stopped, and looks whether what it stores is exactly right. Its
// command is a soak, in which chance decides; its tests do one thing to one run.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"facestream/internal/cli"
	"facestream/internal/paths"
	"facestream/runners"
)

// options is the command line, checked.
type options struct {
	duration time.Duration
	seed     uint64
	runners  []string
}

const usage = `soak runs the pipeline on Prism and on a cluster of Flink or Spark at the same time
while one part after another is killed or stopped, and then checks that every
record is accounted for. It starts services of its own. Which cluster, and how
each pipeline reads and stores, is drawn, too.

Flags:
`

const examples = `
Examples:
  go run ./scripts/soak --duration=20m
  go run ./scripts/soak --duration=3m --runners=prism --seed=1764000000

Exit status: 0 all agrees, 1 it does not or the soak itself failed, 2 wrong
setting, 130 interrupted.
`

// Command is the command line of soak.
func Command() cli.Command {
	return cli.Command{Name: "soak", Usage: usage, Examples: examples, Setup: func(f *flag.FlagSet) cli.Run {
		var o options
		var onRunners cli.List
		f.DurationVar(&o.duration, "duration", 20*time.Minute, "How long to kill and stop parts, a `TIME` such as 20m. Start, end and looking come on top.")
		f.Uint64Var(&o.seed, "seed", 0, "`NUMBER` that what happens is drawn from: the same gives the same. 0 stands for one from the clock, which is printed.")
		f.Var(&onRunners, "runners", "`NAMES` of the runners, comma-separated: prism, flink, spark. By default prism and one of the others.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if err := o.check(string(onRunners), time.Now()); err != nil {
				return cli.Usagef("%w", err)
			}
			checkout, err := paths.Checkout()
			if err != nil {
				return err
			}
			build := filepath.Join(checkout, "build")
			if err := os.MkdirAll(build, 0o755); err != nil {
				return err
			}
			dir, err := os.MkdirTemp(build, "soak-")
			if err != nil {
				return err
			}
			if err := newSoak(o, stdout).run(ctx, dir); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%w\nsoak: all logs and files stay in %s", err, dir)
			}
			return os.RemoveAll(dir)
		}
	}}
}

// check reads the settings. Its errors say what is wrong and what would be right.
func (o *options) check(onRunners string, now time.Time) error {
	if o.seed == 0 {
		o.seed = uint64(now.Unix())
	}
	clusters := []string{runners.Flink, runners.Spark}
	if onRunners == "" {
		onRunners = runners.Prism + "," + clusters[rand.New(rand.NewPCG(o.seed, 1)).IntN(len(clusters))]
	}
	for _, name := range strings.Split(onRunners, ",") {
		name = strings.TrimSpace(name)
		if name != runners.Prism && !slices.Contains(clusters, name) {
			return fmt.Errorf("--runners=%s: each must be %s, %s or %s", onRunners, runners.Prism, runners.Flink, runners.Spark)
		}
		if !slices.Contains(o.runners, name) {
			o.runners = append(o.runners, name)
		}
	}
	if o.duration < time.Second {
		return fmt.Errorf("--duration=%s: it must be at least 1s", o.duration)
	}
	return nil
}
