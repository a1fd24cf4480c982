package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"facestream/scripts/camera/feed"
	"facestream/scripts/camera/video"
)

const (
	demo       = "demo" // the source that needs no file
	demoFrames = 300
)

// topicName is what Kafka takes as a topic's name, but for "." and "..".
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// options is the command line, checked.
type options struct {
	feed   feed.Config
	source string
	truth  string // file name, or empty
}

const intro = `camera sends a video to a Kafka topic, one record a picture.

Usage: go run ./scripts/camera [--flag=value ...]

`

// parseOptions reads the command line. stackKafka is the address of the local
// stack's Kafka, or empty if none runs. The error is flag.ErrHelp when help was
// asked for and written.
func parseOptions(args []string, stackKafka string, help io.Writer) (options, error) {
	var o options
	var kafka string
	var partitions int
	fs := flag.NewFlagSet("camera", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&kafka, "kafka", "", "Kafka's `brokers`, HOST:PORT,... Without it, the Kafka that make up started is used.")
	fs.StringVar(&o.feed.Topic, "topic", "frames", "The `topic` to send to. It is made if it is missing.")
	fs.StringVar(&o.source, "source", demo, "The `video`: demo for a made-up one with faces at known places, or a video file, or a folder of .jpg, .jpeg and .png pictures.")
	fs.StringVar(&o.feed.Format, "format", feed.JPEG, "How a picture is sent: jpeg, or raw for the blue, green and red bytes. A folder's JPEG files are sent unchanged as jpeg.")
	fs.IntVar(&o.feed.Frames, "frames", 0, fmt.Sprintf("Send no more than so many `frames`. 0 stands for all of a file's or folder's, and for a demo without an end. Without it, the demo has %d, and the others all.", demoFrames))
	fs.Float64Var(&o.feed.FPS, "fps", 0, "Send so many `frames a second`. 0 stands for as fast as possible.")
	fs.StringVar(&o.feed.Camera, "camera", "", "The camera's `name`: key and camera header of every record. Without it, demo, or the file's or folder's base name.")
	fs.IntVar(&partitions, "partitions", 4, "The `number` of partitions of a topic that is missing. A topic that is there keeps its own.")
	fs.StringVar(&o.truth, "truth", "", "Write to this `file` what was sent and where the demo's faces are: one JSON object a line and frame.")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, intro)
			fs.SetOutput(help)
			fs.PrintDefaults()
		}
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q is not a flag: write --source=%s for a source, and = between a flag and its value", fs.Arg(0), fs.Arg(0))
	}
	framesGiven := false
	fs.Visit(func(f *flag.Flag) { framesGiven = framesGiven || f.Name == "frames" })

	switch {
	case !topicName.MatchString(o.feed.Topic) || o.feed.Topic == "." || o.feed.Topic == "..":
		return options{}, fmt.Errorf("--topic=%s: a topic's name has 1 to 249 letters, digits, dots, underscores and hyphens", o.feed.Topic)
	case o.feed.Format != feed.JPEG && o.feed.Format != feed.Raw:
		return options{}, fmt.Errorf("--format=%s: it must be %s or %s", o.feed.Format, feed.JPEG, feed.Raw)
	case o.feed.Frames < 0:
		return options{}, fmt.Errorf("--frames=%d: it must be 0 or more", o.feed.Frames)
	case !(o.feed.FPS >= 0) || math.IsInf(o.feed.FPS, 1): // not NaN either
		return options{}, fmt.Errorf("--fps=%v: it must be 0 or more", o.feed.FPS)
	case partitions < 1 || partitions > math.MaxInt32:
		return options{}, fmt.Errorf("--partitions=%d: it must be 1 or more", partitions)
	case o.truth != "" && o.source != demo:
		return options{}, fmt.Errorf("--truth=%s: where the faces are is known only with --source=%s", o.truth, demo)
	}
	o.feed.Partitions = int32(partitions)
	if o.source == demo {
		if !framesGiven {
			o.feed.Frames = demoFrames
		}
	} else if _, err := os.Stat(o.source); err != nil {
		return options{}, fmt.Errorf("--source=%s: it must be %s, a video file, or a folder of pictures: %w", o.source, demo, err)
	}
	if o.feed.Camera == "" {
		o.feed.Camera = filepath.Base(o.source)
	}

	if kafka == "" {
		kafka = stackKafka
	}
	if kafka == "" {
		return options{}, errors.New("no local Kafka runs: start one with make up, or give --kafka=HOST:PORT")
	}
	o.feed.Brokers = strings.Split(kafka, ",")
	for _, broker := range o.feed.Brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || port == "" {
			return options{}, fmt.Errorf("--kafka=%s: each broker must be HOST:PORT", kafka)
		}
	}
	return o, nil
}

// openSource opens the video that the options name.
func openSource(o options) (video.Source, error) {
	if o.source == demo {
		return video.NewDemo(o.feed.Frames)
	}
	info, err := os.Stat(o.source)
	if err != nil {
		return nil, fmt.Errorf("opening the source: %w", err)
	}
	if info.IsDir() {
		return video.OpenFolder(o.source)
	}
	return video.OpenFile(o.source)
}
