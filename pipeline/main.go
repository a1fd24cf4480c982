// Command pipeline finds faces in video frames from Kafka and stores the pictures in
// HDFS. It is installed as facestream.
//
//	go run ./pipeline --runner=prism --topics=frames --duration=5m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/audit/verify"
	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/extract"
	"facestream/internal/kerberos"
	"facestream/internal/paths"
	"facestream/internal/preflight"
	"facestream/internal/purge"
	"facestream/internal/record"
	"facestream/internal/run"
	"facestream/internal/view"
	"facestream/runners"
	"facestream/runners/goharness"
	"facestream/transforms/face"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

const usage = `facestream finds faces in video frames from Kafka and stores the pictures in HDFS.

  facestream [flags]          run
  facestream check [flags]    check everything that a run with these flags needs
  facestream verify [flags]   check that every record is accounted for
  facestream view [flags]     show the faces as web pages
  facestream purge [flags]    remove what is too old, or is not to be kept
  facestream extract [flags]  copy pictures out, by camera, time or record

In a checkout, "go run ./pipeline" stands for facestream. A run goes on where the
group's last run stopped, in windows, until the duration is over. With a stack
started by "make up", no flag is needed.

Flags:
`

const examples = `
Examples:
  facestream --runner=flink
  facestream --kafka=broker1:9092,broker2:9092 --topics=door,hall \
      --user=video --output=hdfs://namenode:8020/faces --duration=30

Exit status: 0 done, 1 failed, or another run or consumer is at work, 2 wrong setting or no such
topic, 130 interrupted. After 2, the same command would fail again.
`

const checkUsage = `facestream check checks everything that a run with the same flags needs, changes
nothing, and prints a line for each thing. Its exit status is 0 if nothing failed.

Flags:
`

// program is the command line of facestream.
func program() cli.Command {
	return cli.Command{
		Name: "facestream", Usage: usage, Examples: examples, Libraries: []string{"OpenCV " + face.OpenCVVersion()},
		Interrupted: "interrupted; the window under way is not committed and will be read again",
		Setup: func(f *flag.FlagSet) cli.Run {
			flags := config.New(f)
			return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
				o, err := flags.Options()
				if err == nil {
					err = hdfs.SetUmask(o.Umask)
				}
				if err != nil {
					return settingsError(err)
				}
				err = runPipeline(ctx, o, stdout, stderr)
				if err != nil && ctx.Err() == nil && o.LogFormat == cli.LogJSON {
					cli.NewLog(stderr, o.LogFormat, o.LogLevel).Error(err.Error())
					err = fmt.Errorf("%w: %w", cli.ErrSaid, err)
				}
				return err
			}
		},
		Subcommands: []cli.Command{
			{Name: "facestream check", Usage: checkUsage, Setup: func(f *flag.FlagSet) cli.Run {
				flags := config.New(f)
				return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
					o, err := flags.Options()
					if err != nil {
						return settingsError(err)
					}
					if err := preflight.Check(ctx, o, stdout); err != nil {
						return fmt.Errorf("%w: %w", cli.ErrSaid, usageError(err))
					}
					return nil
				}
			}},
			verify.Command("facestream verify"),
			extract.Command("facestream extract"),
			view.Command("facestream view"),
			purge.Command("facestream purge"),
		},
	}
}

func main() {
	beam.Init()
	if goharness.Wanted() {
		fmt.Fprintln(os.Stderr, goharness.Main(os.Args[1:]))
		os.Exit(cli.ExitFailed)
	}
	cli.Main(program())
}

func runPipeline(ctx context.Context, o config.Options, stdout, stderr io.Writer) error {
	dir, err := paths.NewRun(o.StateDir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(dir, "tmp"))
	// On the terminal, what Beam logs would bury the program's own lines.
	log, err := os.OpenFile(filepath.Join(dir, "pipeline.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) // see paths.CutLogs
	if err != nil {
		return err
	}
	defer log.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	stopProfile, err := run.Profile(o.CPUProfile)
	if err != nil {
		return err
	}
	summary, err := run.Run(ctx, o, Build, dir, stdout)
	err = errors.Join(err, stopProfile())
	if o.Summary != "" {
		err = errors.Join(err, summary.Save(o.Summary))
	}
	if ctx.Err() != nil && errors.Is(err, runners.ErrNotCancelled) {
		fmt.Fprintf(stderr, "facestream: %v\n", err)
	}
	return usageError(err)
}

// settingsError marks an error about flags, unless it may pass.
func settingsError(err error) error {
	if errors.Is(err, kerberos.ErrNoTicket) {
		return err
	}
	return cli.Usagef("%w", err)
}

// usageError marks those errors that only the user can mend: a service manager tries no more.
func usageError(err error) error {
	if errors.Is(err, kafka.ErrUnknownTopic) || errors.Is(err, record.ErrTopicAnew) || errors.Is(err, runners.ErrUnknownOption) {
		return cli.Usagef("%w", err)
	}
	return err
}
