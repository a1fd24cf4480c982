package main

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"facestream/pipeline/places"
	"facestream/runners"
	"facestream/scripts/stack/state"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

// Options are the settings of a run, checked.
type Options struct {
	places.Places

	Runner        runners.Config
	Duration      time.Duration
	Drain         bool          // end when no record is waiting
	Window        time.Duration // the most a window may take
	StallTimeout  time.Duration // beyond Window, until a window without progress fails
	Frame         frame.Config
	Consumer      map[string]string
	Face          face.Params
	Less          face.Less // without what earlier windows have left
	Cascade       string    // the file in Face
	Profile       string    // the other one in Face, or empty
	ExpansionAddr string    // empty: start one
	Summary       string    // a file, or empty
	CPUProfile    profiling
	Write         face.Output
	Latest        bool // keep a copy of the latest picture
}

const usage = `facestream finds faces in video frames from Kafka and stores the pictures in HDFS.

  go run ./pipeline [flags]
  go run ./pipeline check [flags]

It reads from where the group's last run stopped, in windows, until the duration
is over. With a stack started by "make up", no flag is needed. "check" looks at
everything that a run with these flags needs, and changes nothing.

Flags:
`

const examples = `
Examples:
  go run ./pipeline
  go run ./pipeline --kafka=broker1:9092,broker2:9092 --topics=door,hall \
      --user=video --output=hdfs://namenode:8020/faces --duration=30

Exit status: 0 done, 1 failed, 2 wrong setting or no such topic, 130 interrupted.
`

// settings are the flags as given.
type settings struct {
	places                                     places.Flags
	output                                     outputFlags
	detector                                   detectorFlags
	less                                       lessFlags
	profile                                    profiling
	runner, duration, frameSize, expansionAddr string
	summary, endpoint, master, worker          string
	parallelism                                int
	window, stallTimeout                       time.Duration
	windowBytes                                int64
	consumer, runnerOptions                    keyValues
	drain, keepRejects                         bool
}

func newSettings() *settings { return &settings{consumer: keyValues{}, runnerOptions: keyValues{}} }

// keyValues is a flag that may be given several times, KEY=VALUE each.
type keyValues map[string]string

func (kv keyValues) String() string { return "" }

func (kv keyValues) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("%q is not KEY=VALUE", s)
	}
	kv[strings.TrimSpace(key)] = strings.TrimSpace(value)
	return nil
}

func newFlags(v *settings) *flag.FlagSet {
	f := flag.NewFlagSet("pipeline", flag.ContinueOnError)
	v.places.Add(f)
	v.output.add(f)
	v.detector.add(f)
	f.StringVar(&v.runner, "runner", runners.Prism, "`NAME` of the Beam runner: prism (nothing else is needed), flink, spark, or direct (inside this process, without Java).")
	f.StringVar(&v.endpoint, "endpoint", "", "`HOST:PORT` of a running Beam job server for Flink or Spark. Default: one is started and ended.")
	f.StringVar(&v.master, "master", "", "Cluster that the started job server submits to, `ADDRESS` of Flink's REST API, HOST:PORT, or spark://HOST:PORT. Default: one inside of the job server.")
	f.StringVar(&v.worker, "worker", "", "`PATH` of this program on every node of the cluster. Default: its path on this machine.")
	f.IntVar(&v.parallelism, "parallelism", 0, "`SLOTS` of the cluster to use. Default: this machine's cores, or all of a Spark cluster; a Flink cluster needs the number.")
	f.Var(v.runnerOptions, "runner_option", "A further pipeline option for Flink or Spark, `NAME=VALUE`, such as checkpointing_interval=10000 (ms) or max_bundle_size=100. May be given several times.")
	f.StringVar(&v.duration, "duration", "5m", "How long to run, a `TIME` such as 90s or 5m, or a number of minutes.")
	f.BoolVar(&v.drain, "drain", false, "End before the duration is over when no record is waiting.")
	f.DurationVar(&v.window, "window", time.Minute, "The most `TIME` that one window, a Beam job of its own, should take. Offsets are committed after each.")
	f.DurationVar(&v.stallTimeout, "stall_timeout", 5*time.Minute, "A window fails when this `TIME`, and that of --window, has passed and nothing was stored.")
	f.Int64Var(&v.windowBytes, "window_bytes", 0, "The most `BYTES` of records that one window may hold; this bounds the memory. Default: 67108864 on prism, 268435456 elsewhere.")
	f.StringVar(&v.frameSize, "frame_size", "640x480", "`WIDTHxHEIGHT` in pixels of raw frames without a content-type header; their pixels are blue, green, red.")
	f.BoolVar(&v.keepRejects, "keep_rejects", false, fmt.Sprintf("Also store the value of each rejected record, its first %d bytes, beside the file about it in _rejects.", frame.MaxKeepBytes))
	v.less.add(f)
	f.Var(v.consumer, "consumer_config", "A setting of the Kafka consumer, `KEY=VALUE`. May be given several times; only harmless settings are allowed.")
	f.StringVar(&v.expansionAddr, "expansion_addr", "", "`HOST:PORT` of a running Beam expansion service with KafkaIO. Default: one is started and ended.")
	f.StringVar(&v.summary, "summary", "", "`FILE` to write the run's counts to, as JSON.")
	v.profile.add(f)
	return f
}

// PrintHelp writes what --help shows.
func PrintHelp(out io.Writer) {
	f := newFlags(newSettings())
	f.SetOutput(out)
	fmt.Fprint(out, usage)
	f.PrintDefaults()
	fmt.Fprint(out, examples)
}

// ParseOptions reads the command line. local gives the addresses of the local
// stack for what is not set. Its errors say what is wrong and what would be
// right; flag.ErrHelp means that help was asked for (see PrintHelp).
func ParseOptions(args []string, local func() (state.Addrs, bool)) (Options, error) {
	v := newSettings()
	f := newFlags(v)
	f.SetOutput(io.Discard) // the caller prints the error
	if err := f.Parse(args); err != nil {
		return Options{}, err
	}
	if f.NArg() > 0 {
		return Options{}, fmt.Errorf("%q: only flags are expected, such as --topics=A,B", f.Arg(0))
	}
	return v.options(local)
}

func (v *settings) options(local func() (state.Addrs, bool)) (Options, error) {
	o := Options{
		Window: v.window, Consumer: v.consumer, ExpansionAddr: v.expansionAddr, Summary: v.summary, Drain: v.drain,
		StallTimeout: v.stallTimeout, Latest: v.output.latest, CPUProfile: v.profile,
	}
	var err error
	if o.Runner, err = v.runnerConfig(); err != nil {
		return o, err
	}
	if o.Places, err = v.places.Check(local); err != nil {
		return o, err
	}
	if o.ExpansionAddr != "" {
		if err := places.CheckAddr("--expansion_addr", o.ExpansionAddr); err != nil {
			return o, err
		}
	}
	if o.Duration, err = parseDuration(v.duration); err != nil {
		return o, err
	}
	if o.Window < time.Second {
		return o, fmt.Errorf("--window=%s: it must be at least 1s", o.Window)
	}
	if o.StallTimeout < time.Second {
		return o, fmt.Errorf("--stall_timeout=%s: it must be at least 1s", o.StallTimeout)
	}
	if o.Frame, err = parseSize(v.frameSize); err != nil {
		return o, err
	}
	if v.keepRejects {
		o.Frame.KeepBytes = frame.MaxKeepBytes
	}
	if o.Less, err = v.less.check(); err != nil {
		return o, err
	}
	if o.Write, err = v.output.check(); err != nil {
		return o, err
	}
	if err := checkNewFile("--summary", o.Summary); err != nil {
		return o, err
	}
	if err := o.CPUProfile.check(); err != nil {
		return o, err
	}
	if err := kafka.CheckConsumerSettings(o.Consumer); err != nil {
		return o, fmt.Errorf("--consumer_config: %w", err)
	}
	found, err := v.detector.check()
	if err != nil {
		return o, err
	}
	o.Cascade, o.Profile, o.Face, o.Write.Detector = found.cascade, found.profile, found.params, v.detector.preset
	o.Face.Threads = 1
	if v.runner == runners.Prism || v.runner == runners.Direct {
		o.Face.Parallel = runtime.NumCPU() // elsewhere, each slot is one
	}
	return o, nil
}

// parseDuration takes Go's form, or a bare number: minutes.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if minutes, nerr := strconv.ParseFloat(s, 64); nerr == nil {
		d, err = time.Duration(minutes*float64(time.Minute)), nil
	}
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("--duration=%s: it must be a time of at least 1s, such as 90s or 5m, or a number of minutes", s)
	}
	return d, nil
}

func parseSize(s string) (frame.Config, error) {
	w, h, _ := strings.Cut(s, "x")
	width, werr := strconv.Atoi(w)
	height, herr := strconv.Atoi(h)
	if werr != nil || herr != nil {
		return frame.Config{}, fmt.Errorf("--frame_size=%s: it must be WIDTHxHEIGHT in pixels, such as 640x480", s)
	}
	cfg := frame.Config{Width: width, Height: height}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("--frame_size: %w", err)
	}
	return cfg, nil
}
