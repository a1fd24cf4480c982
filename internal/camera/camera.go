// Package camera sends videos to a Kafka topic, one record a picture: a made-up
// video with faces at known places, video files, folders of pictures, network
// cameras, or cameras of this machine.
package camera

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/metrics"
	"facestream/transforms/face"
)

// Command returns the command under a name.
func Command(name string) cli.Command {
	return cli.Command{
		Name: name, Usage: usage, Examples: examples, Interrupted: "stopped before the video's end",
		Libraries: []string{"OpenCV " + face.OpenCVVersion()},
		Setup: func(f *flag.FlagSet) cli.Run {
			v := newFlags(f)
			return func(ctx context.Context, _ []string, _, stderr io.Writer) error {
				o, err := v.options()
				if err != nil {
					return cli.Usagef("%w", err)
				}
				return send(ctx, o, stderr)
			}
		},
	}
}

// send plays until the videos end, the duration is over, or ctx ends.
func send(ctx context.Context, o options, stderr io.Writer) error {
	say := log.New(stderr, "", 0).Printf
	o.feed.Progress = say
	if o.metrics != "" {
		server, err := metrics.Listen(o.metrics)
		if err != nil {
			return err
		}
		defer server.Close()
		say("metrics are at http://%s/metrics", server.Addr)
		var c counters
		c.totals.Store(&[]feed.Total{})
		server.MustRegister(&c)
		o.feed.Watch = func(totals []feed.Total, wants string) {
			c.totals.Store(&totals)
			server.SetReady(wants)
		}
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if o.duration > 0 {
		limited, cancel = context.WithTimeout(ctx, o.duration)
	}
	defer cancel()
	start := time.Now()
	totals, err := play(limited, o)
	took := time.Since(start)
	stopped := limited.Err() != nil && errors.Is(err, limited.Err())
	if err == nil || stopped || slices.ContainsFunc(totals, func(t feed.Total) bool { return t.Frames > 0 }) {
		for _, line := range summary(o, totals, took) {
			say("%s", line)
		}
	}
	if stopped && ctx.Err() == nil { // the duration is over
		if totals == nil {
			return fmt.Errorf("--duration=%v passed before every camera had a picture", o.duration)
		}
		return nil
	}
	return err
}

// play sends the videos and writes the truth about what was sent, also when not
// all of it was.
func play(ctx context.Context, o options) (totals []feed.Total, err error) {
	cameras, err := openCameras(ctx, o)
	defer func() {
		for _, c := range cameras {
			err = errors.Join(err, c.Source.Close())
		}
	}()
	if err != nil {
		return nil, err
	}
	if o.truth == "" {
		return feed.SendAll(ctx, o.feed, cameras, nil)
	}
	var sent []feed.Sent
	totals, err = feed.SendAll(ctx, o.feed, cameras, func(s feed.Sent) { sent = append(sent, s) })
	if len(sent) > 0 || err == nil { // else an earlier truth stays
		err = errors.Join(err, writeTruth(o.truth, sent))
	}
	return totals, err
}

// openCameras opens all sources at once, since a network camera takes seconds.
// With an error it returns those that could be opened.
func openCameras(ctx context.Context, o options) ([]feed.Camera, error) {
	sources := make([]video.Source, len(o.cameras))
	var group errgroup.Group // without a context: a stream lives longer than the group
	for i, c := range o.cameras {
		group.Go(func() error {
			source, err := openSource(ctx, o, c)
			switch {
			case err == nil:
				sources[i] = source
			case c.kind == kindFile || c.kind == kindFolder: // what is away may come back, but these
				err = cli.Usagef("--source: %w", err)
			}
			return err
		})
	}
	err := group.Wait()
	var cameras []feed.Camera
	for i, source := range sources {
		if source != nil {
			cameras = append(cameras, feed.Camera{Name: o.cameras[i].name, Source: source})
		}
	}
	return cameras, err
}

// openSource opens the video of one camera.
func openSource(ctx context.Context, o options, c camera) (video.Source, error) {
	note := func(line string) { o.feed.Progress("%s: %s", c.name, line) }
	open := video.OpenFile
	switch c.kind {
	case kindDemo:
		return video.NewDemoOf(o.demo)
	case kindURL:
		return video.OpenURL(ctx, c.source, o.feed.GiveUp, note)
	case kindDevice:
		return video.OpenDevice(ctx, c.source, o.feed.GiveUp, note)
	case kindFolder:
		open = video.OpenFolder
	}
	if o.loop {
		return video.Loop(func() (video.Source, error) { return open(c.source) })
	}
	return open(c.source)
}

// writeTruth writes one JSON object a line and frame, in the order of each
// video.
func writeTruth(file string, sent []feed.Sent) error {
	slices.SortStableFunc(sent, func(a, b feed.Sent) int { return a.Frame - b.Frame })
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, s := range sent {
		if err := encoder.Encode(s); err != nil {
			return err
		}
	}
	return os.WriteFile(file, lines.Bytes(), 0o644)
}

// summary returns the last lines: how much was sent of each camera, and in all.
func summary(o options, totals []feed.Total, took time.Duration) []string {
	verb, where := "sent", " at "+strings.Join(o.feed.Brokers, ",")
	if o.feed.DryRun {
		verb, where = "would send", ""
	}
	var lines []string
	var all feed.Total
	for i, t := range totals {
		line := fmt.Sprintf("%s %d frames (%s, %.1f MB) of camera %s to topic %s%s in %.1f s: %.0f frames/s",
			verb, t.Frames, o.feed.Format, float64(t.Bytes)/1e6, t.Camera, o.feed.Topic, where, took.Seconds(), float64(t.Frames)/took.Seconds())
		if o.cameras[i].kind == kindDemo {
			line += fmt.Sprintf("; %d frames have %d faces", t.WithFaces, t.Faces)
		}
		if t.Passed > 0 {
			line += fmt.Sprintf("; %d passed over, since they could not be read", t.Passed)
		}
		if t.Dropped > 0 {
			line += fmt.Sprintf("; %d dropped, since they could not be sent in time", t.Dropped)
		}
		if o.feed.DryRun {
			line += fmt.Sprintf("; %dx%d, %d to %d bytes a frame", t.Width, t.Height, t.Least, t.Most)
		}
		lines = append(lines, line)
		all.Frames += t.Frames
		all.Bytes += t.Bytes
		all.Most = max(all.Most, t.Most)
	}
	if len(totals) > 1 {
		lines = append(lines, fmt.Sprintf("%s %d frames, %.1f MB, in all: %.0f frames/s", verb, all.Frames, float64(all.Bytes)/1e6, float64(all.Frames)/took.Seconds()))
	}
	if o.feed.DryRun {
		lines = append(lines, fmt.Sprintf("a topic takes these frames with max.message.bytes=%d", feed.MaxBytesFor(all.Most)))
	}
	return lines
}
