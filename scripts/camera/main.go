// Command camera sends a video to a Kafka topic, one record a picture: a
// made-up video with faces at known places, a video file, or a folder of
// pictures.
//
//	go run ./scripts/camera --source=demo --frames=300 --truth=truth.jsonl
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"facestream/scripts/camera/feed"
	"facestream/scripts/stack/state"
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
	running, _ := state.Running()
	o, err := parseOptions(args, running.Kafka, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "camera: %v\nRun go run ./scripts/camera --help for all flags.\n", err)
		return exitUsage
	}
	o.feed.Progress = stderr
	start := time.Now()
	sent, err := play(ctx, o)
	interrupted := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if err == nil || interrupted || len(sent) > 0 {
		fmt.Fprintln(stderr, summary(o, sent, time.Since(start)))
	}
	switch {
	case interrupted:
		fmt.Fprintln(stderr, "camera: stopped before the video's end")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "camera: %v\n", err)
		return exitFailed
	}
	return 0
}

// play sends the video and writes the truth about what was sent, also when not
// all of it was.
func play(ctx context.Context, o options) (sent []feed.Sent, err error) {
	source, err := openSource(o)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	if o.truth == "" {
		return feed.Send(ctx, o.feed, source)
	}
	// Made first: a name that cannot be written is to be known before anything is sent.
	truth, err := os.Create(o.truth)
	if err != nil {
		return nil, fmt.Errorf("making the truth: %w", err)
	}
	sent, err = feed.Send(ctx, o.feed, source)
	return sent, errors.Join(err, writeTruth(truth, sent), truth.Close())
}

// writeTruth writes one JSON object a line and frame, in the order of the video.
func writeTruth(w io.Writer, sent []feed.Sent) error {
	encoder := json.NewEncoder(w)
	for _, s := range sent {
		if err := encoder.Encode(s); err != nil {
			return fmt.Errorf("writing the truth: %w", err)
		}
	}
	return nil
}

// summary is the last line: how much was sent.
func summary(o options, sent []feed.Sent, took time.Duration) string {
	bytes, faces, withFaces := 0, 0, 0
	for _, s := range sent {
		bytes += s.Bytes
		faces += len(s.Faces)
		if len(s.Faces) > 0 {
			withFaces++
		}
	}
	line := fmt.Sprintf("sent %d frames (%s, %.1f MB) of camera %s to topic %s at %s in %.1f s: %.0f frames/s",
		len(sent), o.feed.Format, float64(bytes)/1e6, o.feed.Camera, o.feed.Topic, strings.Join(o.feed.Brokers, ","),
		took.Seconds(), float64(len(sent))/took.Seconds())
	if o.source == demo {
		line += fmt.Sprintf("; %d frames have %d faces", withFaces, faces)
	}
	return line
}
