package camera

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/kafkaconf"
	"facestream/internal/metrics"
	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

const (
	demo       = "demo" // the source that needs no file
	demoFrames = 300
	maxQuality = 100
)

// camera is one source and what it is called.
type camera struct {
	name   string
	source string
	kind   kind
}

type kind int

const (
	kindDemo kind = iota
	kindFile
	kindFolder
	kindURL
	kindDevice
)

// options is the command line, checked.
type options struct {
	feed     feed.Config
	cameras  []camera
	demo     video.DemoConfig
	loop     bool
	duration time.Duration // 0 stands for no limit
	truth    string        // file name, or empty
	metrics  string        // HOST:PORT to listen at, or empty
}

const usage = `camera sends videos to a Kafka topic, one record a picture. Without flags it sends the
demo, as fast as possible.

Flags:
`

const examples = `
Examples:
  facestream-camera --source=demo --camera=door --source=demo --camera=hall --fps=25 --duration=1m
      Two demos at a camera's pace for a minute.
  facestream-camera --source=holiday.mp4 --real_time --loop
      A video file, again and again as if it were live.
  facestream-camera --source=pictures/ --format=png
      A folder's pictures as PNG.
  facestream-camera --source=rtsp://USER:PASSWORD@door.example/stream --source=/dev/video0 --fps=5
      A network camera and this machine's own, five pictures a second of each.
  facestream-camera --source=holiday.mp4 --format=raw --dry_run
      What would be sent, without Kafka.
`

// appendTo sets a flag that may be given several times.
func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// flags are the settings as given.
type flags struct {
	set            *flag.FlagSet // tells which were given
	o              options
	kafka          cli.List
	size           string
	security       kafkaconf.Config
	sources, names []string
	partitions     int
	spread         bool
	state          paths.State
}

func newFlags(f *flag.FlagSet) *flags {
	v := &flags{set: f}
	f.Var(&v.kafka, "kafka", "`HOST:PORT` of the Kafka brokers, comma-separated. Default: the broker of the local stack (make up).")
	v.security.Add(f)
	f.StringVar(&v.o.feed.Topic, "topic", "frames", "The `topic` to send to. It is made if it is missing.")
	f.Func("source", "A `video`: demo for a made-up one with faces at known places, a video file, a folder of .jpg, .jpeg and .png pictures, an rtsp:// or http:// URL, or a camera of this machine such as /dev/video0. Give it several times for several cameras at once. Without it, the demo. A stream that is lost is opened again until the end.", appendTo(&v.sources))
	f.Func("camera", "The camera's `name`: key and camera header of every record. Given several times, each is for the source at the same place in the order. Without it, demo, the file's or folder's base name, or the URL's host.", appendTo(&v.names))
	f.StringVar(&v.o.feed.Format, "format", feed.JPEG, "How a picture is sent: jpeg, png, or raw for the blue, green and red bytes. A folder's JPEG files are sent unchanged as jpeg.")
	f.IntVar(&v.o.feed.Quality, "quality", 0, fmt.Sprintf("Quality of JPEGs, 1 to %d; a folder's files are then encoded anew. 0 stands for %d, and a folder's JPEG files as they are.", maxQuality, video.JPEGQuality))
	f.IntVar(&v.o.feed.Frames, "frames", 0, fmt.Sprintf("Send at most this `number` of frames of each camera. 0 stands for all of a file's or folder's, and for a demo or a stream without an end. Without this flag, --loop and --duration, the demo has %d.", demoFrames))
	f.DurationVar(&v.o.duration, "duration", 0, "End after this `time`, such as 90s or 5m. 0 stands for no limit.")
	f.DurationVar(&v.o.feed.GiveUp, "give_up", 0, "End with an error when for this `time` no camera's picture came, or Kafka took none. 0 stands for never: a network camera or a broker that is away is waited for. Meanwhile a live camera's pictures are dropped, oldest first; files wait.")
	f.BoolVar(&v.o.loop, "loop", false, "Begin files and folders anew at their end.")
	f.Float64Var(&v.o.feed.FPS, "fps", 0, "Send this many `frames a second` of each camera; the timestamp of each is when it is due. 0 stands for as fast as possible. A stream loses the frames that are too many.")
	f.BoolVar(&v.o.feed.RealTime, "real_time", false, "Send video files at their own pace; the timestamp of each frame is when it is due.")
	f.BoolVar(&v.spread, "spread", false, "Spread the frames of each camera evenly over all partitions. Without it, a camera's name chooses the partition, so that its frames stay in order.")
	f.IntVar(&v.partitions, "partitions", 4, "The `number` of partitions of a topic that is missing. A topic that is there keeps its own.")
	f.IntVar(&v.o.demo.Faces, "faces", video.MixedFaces, fmt.Sprintf("The `number` of faces in each frame of the demo, 0 to %d. %d stands for none, one and two by turns.", video.MaxFaces, video.MixedFaces))
	f.StringVar(&v.size, "size", fmt.Sprintf("%dx%d", video.DemoWidth, video.DemoHeight), fmt.Sprintf("Size of the demo's frames, `WIDTHxHEIGHT`, %dx%d or more.", video.MinDemoWidth, video.MinDemoHeight))
	f.IntVar(&v.o.demo.Noise, "noise", 0, fmt.Sprintf("The `most` that noise adds to or takes from a byte of the demo's frames, 0 to %d.", video.MaxNoise))
	f.BoolVar(&v.o.feed.DryRun, "dry_run", false, "Do everything but send: open the sources, encode, and print what would be sent. No Kafka is needed.")
	f.StringVar(&v.o.truth, "truth", "", "Write to this `file` what was sent and where the demo's faces are: one JSON object a line and frame.")
	f.StringVar(&v.o.metrics, "metrics", "", metrics.Usage)
	v.state.Add(f)
	return v
}

// options checks the flags. Its errors say what is wrong and what would be right.
func (v *flags) options() (options, error) {
	o := v.o
	given := map[string]bool{}
	v.set.Visit(func(f *flag.Flag) { given[f.Name] = true })

	err := cli.CheckTopic("--topic", o.feed.Topic)
	if err == nil {
		err = cli.OneOf("format", o.feed.Format, feed.Formats)
	}
	if err == nil && o.metrics != "" {
		err = metrics.CheckAddr(o.metrics)
	}
	switch {
	case err != nil:
		return o, err
	case o.feed.Quality < 0 || o.feed.Quality > maxQuality:
		return o, fmt.Errorf("--quality=%d: it must be 1 to %d, or 0 for the usual one", o.feed.Quality, maxQuality)
	case o.feed.Quality > 0 && o.feed.Format != feed.JPEG:
		return o, fmt.Errorf("--quality=%d: only --format=%s has one", o.feed.Quality, feed.JPEG)
	case o.feed.Frames < 0:
		return o, fmt.Errorf("--frames=%d: it must be 0 or more", o.feed.Frames)
	case o.feed.GiveUp < 0:
		return o, fmt.Errorf("--give_up=%v: it must be 0 or more", o.feed.GiveUp)
	case o.duration < 0:
		return o, fmt.Errorf("--duration=%v: it must be 0 or more", o.duration)
	case !(o.feed.FPS >= 0) || math.IsInf(o.feed.FPS, 1): // not NaN either
		return o, fmt.Errorf("--fps=%v: it must be 0 or more", o.feed.FPS)
	case o.feed.FPS > 0 && o.feed.RealTime:
		return o, fmt.Errorf("--fps=%v and --real_time: only one of them can set the pace", o.feed.FPS)
	case v.partitions < 1 || v.partitions > math.MaxInt32:
		return o, fmt.Errorf("--partitions=%d: it must be 1 or more", v.partitions)
	case o.truth != "" && o.feed.DryRun:
		return o, fmt.Errorf("--truth=%s: a --dry_run sends nothing that could be told of", o.truth)
	}
	o.feed.Partitions, o.feed.ByCamera = int32(v.partitions), !v.spread
	if o.cameras, err = parseCameras(v.sources, v.names); err != nil {
		return o, err
	}
	hasDemo := false
	for _, c := range o.cameras {
		hasDemo = hasDemo || c.kind == kindDemo
		switch {
		case o.feed.RealTime && (c.kind == kindDemo || c.kind == kindFolder):
			return o, fmt.Errorf("--real_time: %s has no pace of its own: give one with --fps", c.source)
		case o.truth != "" && c.kind != kindDemo:
			return o, fmt.Errorf("--truth=%s: where the faces are is known only with --source=%s", o.truth, demo)
		}
	}
	for _, name := range []string{"faces", "size", "noise"} {
		if given[name] && !hasDemo {
			return o, fmt.Errorf("--%s is for --source=%s only", name, demo)
		}
	}
	if o.demo.Width, o.demo.Height, err = cli.CheckSize("--size", v.size); err != nil {
		return o, err
	}
	if err := o.demo.Check(); err != nil {
		return o, fmt.Errorf("--faces, --size or --noise: %w", err)
	}
	o.demo.Frames = o.feed.Frames
	if !given["frames"] && !o.loop && o.duration == 0 {
		o.demo.Frames = demoFrames
	}

	if !o.feed.DryRun {
		o.feed.Brokers, err = v.brokers()
		o.feed.Security = v.security
	}
	if err == nil {
		err = cli.CheckNewFile("--truth", o.truth)
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

// parseSource returns what a source is, and what its camera is called without a
// name.
func parseSource(source string) (camera, error) {
	if source == demo {
		return camera{name: demo, source: source}, nil
	}
	if cli.Scheme(source) != "" {
		u, err := video.ParseURL(source)
		if err != nil {
			return camera{}, fmt.Errorf("--source=%s: %w", cli.Address(source), err)
		}
		return camera{name: u.Hostname(), source: source, kind: kindURL}, nil
	}
	info, err := os.Stat(source)
	if err != nil {
		// Its text has the source in it, which may be an address that is broken.
		if bad, ok := errors.AsType[*os.PathError](err); ok {
			err = bad.Err
		}
		return camera{}, fmt.Errorf("--source=%s: it must be %s, a video file, a folder of pictures, a URL, or a camera such as /dev/video0: %w", cli.Address(source), demo, err)
	}
	c := camera{name: strings.ToValidUTF8(filepath.Base(source), "_"), source: source, kind: kindFile}
	switch {
	case info.IsDir():
		c.kind = kindFolder
	case info.Mode()&os.ModeCharDevice != 0:
		c.kind = kindDevice
	}
	return c, nil
}

// brokers returns those that are named, else the local stack's.
func (v *flags) brokers() ([]string, error) {
	if v.kafka == "" {
		dir, err := v.state.Dir()
		if err != nil {
			return nil, err
		}
		local, _ := state.Running(dir)
		v.kafka = cli.List(local.Kafka)
		if err := v.security.Default(local.Secret(dir, state.KafkaConfig)); err != nil {
			return nil, err
		}
	}
	if v.kafka == "" {
		return nil, errors.New("no local Kafka runs: start one with make up, or give --kafka=HOST:PORT")
	}
	return cli.Brokers("--kafka", string(v.kafka))
}
