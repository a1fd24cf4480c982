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
	"slices"
	"strconv"
	"strings"
	"time"

	"facestream/scripts/camera/feed"
	"facestream/scripts/camera/video"
)

const (
	demo       = "demo" // the source that needs no file
	demoFrames = 300
	maxQuality = 100
)

// topicName is what Kafka takes as a topic's name, but for "." and "..".
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// The kinds of sources.
type kind int

const (
	kindDemo kind = iota
	kindFile
	kindFolder
	kindURL
	kindDevice
)

// camera is one source and what it is called.
type camera struct {
	name   string
	source string
	kind   kind
}

// options is the command line, checked.
type options struct {
	feed     feed.Config
	cameras  []camera
	demo     video.DemoConfig
	loop     bool
	duration time.Duration // 0 stands for no limit
	truth    string        // file name, or empty
}

const intro = `camera sends videos to a Kafka topic, one record a picture.

Usage: go run ./scripts/camera [--flag=value ...]

The demo, as fast as possible; two at once at a camera's pace for a minute:
  go run ./scripts/camera
  go run ./scripts/camera --source=demo --camera=door --source=demo --camera=hall --fps=25 --duration=1m

A video file, again and again as if it were live; a folder's pictures as PNG:
  go run ./scripts/camera --source=holiday.mp4 --real_time --loop
  go run ./scripts/camera --source=pictures/ --format=png

A network camera and this machine's own, five pictures a second of each:
  go run ./scripts/camera --source=rtsp://USER:PASSWORD@door.example/stream --source=/dev/video0 --fps=5

What would be sent, without Kafka:
  go run ./scripts/camera --source=holiday.mp4 --format=raw --dry_run

`

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// parseOptions reads the command line. stackKafka is the address of the local
// stack's Kafka, or empty if none runs. The error is flag.ErrHelp when help was
// asked for and written.
func parseOptions(args []string, stackKafka string, help io.Writer) (options, error) {
	var o options
	var kafka, size string
	var sources, names list
	var partitions int
	var spread bool
	fs := flag.NewFlagSet("camera", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&kafka, "kafka", "", "Kafka's `brokers`, HOST:PORT,... Without it, the Kafka that make up started is used.")
	fs.StringVar(&o.feed.Topic, "topic", "frames", "The `topic` to send to. It is made if it is missing.")
	fs.Var(&sources, "source", "A `video`: demo for a made-up one with faces at known places, a video file, a folder of .jpg, .jpeg and .png pictures, an rtsp:// or http:// URL, or a camera of this machine such as /dev/video0. Give it several times for several cameras at once. Without it, the demo. A stream that is lost is opened again until the end.")
	fs.Var(&names, "camera", "The camera's `name`: key and camera header of every record. Given several times, each is for the source at the same place in the order. Without it, demo, the file's or folder's base name, or the URL's host.")
	fs.StringVar(&o.feed.Format, "format", feed.JPEG, "How a picture is sent: jpeg, png, or raw for the blue, green and red bytes. A folder's JPEG files are sent unchanged as jpeg.")
	fs.IntVar(&o.feed.Quality, "quality", 0, fmt.Sprintf("Quality of JPEGs, 1 to %d; a folder's files are then encoded anew. 0 stands for %d, and a folder's JPEG files as they are.", maxQuality, video.JPEGQuality))
	fs.IntVar(&o.feed.Frames, "frames", 0, fmt.Sprintf("Send no more than so many `frames` of each camera. 0 stands for all of a file's or folder's, and for a demo or a stream without an end. Without it, and without --loop and --duration, the demo has %d.", demoFrames))
	fs.DurationVar(&o.duration, "duration", 0, "End after so much `time`, such as 90s or 5m. 0 stands for no limit.")
	fs.BoolVar(&o.loop, "loop", false, "Begin files and folders anew at their end.")
	fs.Float64Var(&o.feed.FPS, "fps", 0, "Send so many `frames a second` of each camera; the timestamp of each is when it is due. 0 stands for as fast as possible. A stream loses the frames that are too many.")
	fs.BoolVar(&o.feed.RealTime, "real_time", false, "Send video files at their own pace; the timestamp of each frame is when it is due.")
	fs.BoolVar(&spread, "spread", false, "Spread the frames of each camera evenly over all partitions. Without it, a camera's name chooses the partition, so that its frames stay in order.")
	fs.IntVar(&partitions, "partitions", 4, "The `number` of partitions of a topic that is missing. A topic that is there keeps its own.")
	fs.IntVar(&o.demo.Faces, "faces", video.MixedFaces, fmt.Sprintf("The `number` of faces in each frame of the demo, 0 to %d. %d stands for none, one and two by turns.", video.MaxFaces, video.MixedFaces))
	fs.StringVar(&size, "size", fmt.Sprintf("%dx%d", video.DemoWidth, video.DemoHeight), fmt.Sprintf("Size of the demo's frames, `WIDTHxHEIGHT`, %dx%d or more.", video.MinDemoWidth, video.MinDemoHeight))
	fs.IntVar(&o.demo.Noise, "noise", 0, fmt.Sprintf("The `most` by which noise changes a byte of the demo's frames, 0 to %d.", video.MaxNoise))
	fs.BoolVar(&o.feed.DryRun, "dry_run", false, "Do everything but send: open the sources, encode, and say what would be sent. No Kafka is needed.")
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
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })

	switch {
	case !topicName.MatchString(o.feed.Topic) || o.feed.Topic == "." || o.feed.Topic == "..":
		return options{}, fmt.Errorf("--topic=%s: a topic's name has 1 to 249 letters, digits, dots, underscores and hyphens", o.feed.Topic)
	case !slices.Contains(feed.Formats, o.feed.Format):
		return options{}, fmt.Errorf("--format=%s: it must be one of %s", o.feed.Format, strings.Join(feed.Formats, ", "))
	case o.feed.Quality < 0 || o.feed.Quality > maxQuality:
		return options{}, fmt.Errorf("--quality=%d: it must be 1 to %d, or 0 for the usual one", o.feed.Quality, maxQuality)
	case o.feed.Quality > 0 && o.feed.Format != feed.JPEG:
		return options{}, fmt.Errorf("--quality=%d: only --format=%s has one", o.feed.Quality, feed.JPEG)
	case o.feed.Frames < 0:
		return options{}, fmt.Errorf("--frames=%d: it must be 0 or more", o.feed.Frames)
	case o.duration < 0:
		return options{}, fmt.Errorf("--duration=%v: it must be 0 or more", o.duration)
	case !(o.feed.FPS >= 0) || math.IsInf(o.feed.FPS, 1): // not NaN either
		return options{}, fmt.Errorf("--fps=%v: it must be 0 or more", o.feed.FPS)
	case o.feed.FPS > 0 && o.feed.RealTime:
		return options{}, fmt.Errorf("--fps=%v and --real_time: only one of them can set the pace", o.feed.FPS)
	case partitions < 1 || partitions > math.MaxInt32:
		return options{}, fmt.Errorf("--partitions=%d: it must be 1 or more", partitions)
	case o.truth != "" && o.feed.DryRun:
		return options{}, fmt.Errorf("--truth=%s: a --dry_run sends nothing that could be told of", o.truth)
	}
	o.feed.Partitions = int32(partitions)
	o.feed.ByCamera = !spread

	var err error
	if o.cameras, err = parseCameras(sources, names); err != nil {
		return options{}, err
	}
	hasDemo := false
	for _, c := range o.cameras {
		hasDemo = hasDemo || c.kind == kindDemo
		switch {
		case o.feed.RealTime && (c.kind == kindDemo || c.kind == kindFolder):
			return options{}, fmt.Errorf("--real_time: %s has no pace of its own: give one with --fps", c.source)
		case o.truth != "" && c.kind != kindDemo:
			return options{}, fmt.Errorf("--truth=%s: where the faces are is known only with --source=%s", o.truth, demo)
		}
	}
	for _, name := range []string{"faces", "size", "noise"} {
		if given[name] && !hasDemo {
			return options{}, fmt.Errorf("--%s is for --source=%s only", name, demo)
		}
	}
	if err := o.parseDemo(size); err != nil {
		return options{}, err
	}
	o.demo.Frames = o.feed.Frames
	if !given["frames"] && !o.loop && o.duration == 0 {
		o.demo.Frames = demoFrames
	}

	if !o.feed.DryRun {
		o.feed.Brokers, err = parseBrokers(kafka, stackKafka)
	}
	return o, err
}

// parseCameras pairs sources and names.
func parseCameras(sources, names []string) ([]camera, error) {
	if len(sources) == 0 {
		sources = []string{demo}
	}
	if len(names) > len(sources) {
		return nil, fmt.Errorf("--camera=%s: there is no --source for it: give both as often", names[len(sources)])
	}
	var cameras []camera
	seen := map[string]bool{}
	for i, source := range sources {
		c, err := parseSource(source)
		if err != nil {
			return nil, err
		}
		if i < len(names) && names[i] != "" {
			c.name = names[i]
		}
		if seen[c.name] {
			return nil, fmt.Errorf("two cameras would be called %s: give each --source a --camera of its own", c.name)
		}
		seen[c.name] = true
		cameras = append(cameras, c)
	}
	return cameras, nil
}

// parseSource says what a source is, and what its camera is called without a
// name.
func parseSource(source string) (camera, error) {
	if source == demo {
		return camera{name: demo, source: source}, nil
	}
	if scheme, _, ok := strings.Cut(source, "://"); ok {
		u, err := video.ParseURL(source)
		if err != nil { // not the whole: there may be a password in it
			return camera{}, fmt.Errorf("--source=%s://...: %w", scheme, err)
		}
		return camera{name: u.Hostname(), source: source, kind: kindURL}, nil
	}
	info, err := os.Stat(source)
	if err != nil {
		return camera{}, fmt.Errorf("--source=%s: it must be %s, a video file, a folder of pictures, a URL, or a camera such as /dev/video0: %w", source, demo, err)
	}
	c := camera{name: filepath.Base(source), source: source, kind: kindFile}
	switch {
	case info.IsDir():
		c.kind = kindFolder
	case info.Mode()&os.ModeCharDevice != 0:
		c.kind = kindDevice
	}
	return c, nil
}

// parseDemo reads the demo's size, and tries its settings.
func (o *options) parseDemo(size string) error {
	width, height, _ := strings.Cut(size, "x")
	var err, err2 error
	o.demo.Width, err = strconv.Atoi(width)
	o.demo.Height, err2 = strconv.Atoi(height)
	if err != nil || err2 != nil {
		return fmt.Errorf("--size=%s: it must be WIDTHxHEIGHT, such as %dx%d", size, video.DemoWidth, video.DemoHeight)
	}
	if err := o.demo.Check(); err != nil {
		return fmt.Errorf("--faces, --size or --noise: %w", err)
	}
	return nil
}

// parseBrokers chooses the brokers: those that are named, else the local stack's.
func parseBrokers(kafka, stackKafka string) ([]string, error) {
	if kafka == "" {
		kafka = stackKafka
	}
	if kafka == "" {
		return nil, errors.New("no local Kafka runs: start one with make up, or give --kafka=HOST:PORT")
	}
	brokers := strings.Split(kafka, ",")
	for _, broker := range brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("--kafka=%s: each broker must be HOST:PORT", kafka)
		}
	}
	return brokers, nil
}
