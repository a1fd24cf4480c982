// Package config reads the settings of a run from its flags. A wrong one is an error
// that says what is wrong and what would be right.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"time"

	"facestream/internal/cli"
	"facestream/internal/metrics"
	"facestream/internal/notify"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/hdfs"
	"facestream/transforms/kafka"
)

// Options are the settings of a run, checked.
type Options struct {
	Endpoints

	Runner        runners.Config
	Reader        string        // one of kafka.Readers
	WindowBytes   int64         // the most that the records of a window may take
	Duration      time.Duration // Forever has no end
	DrainTimeout  time.Duration // until a window under way ends when the run is asked to
	Drain         bool          // end when no record is waiting
	Window        time.Duration // the most a window may take
	StallTimeout  time.Duration // beyond Window, until a window without progress fails
	Frame         frame.Config
	Consumer      map[string]string
	Face          face.Params
	Sampling      face.Sampling // without what earlier windows have left
	Model         string        // the file of the cascade or the network in Face
	Profile       string        // the other cascade in Face, or empty
	ExpansionAddr string        // empty: start one
	Summary       string        // a file, or empty
	CPUProfile    string        // a file, or empty
	Write         face.Output
	SegmentBytes  int64 // up to which Parquet files grow
	Latest        bool  // keep a copy of the latest picture
	Umask         hdfs.Umask
	Retain        time.Duration // what is older is removed once a day; 0 for never
	LogFormat     string        // one of cli.LogFormats
	LogLevel      slog.Level
	Metrics       string // HOST:PORT to listen at, or empty
	Notify        notify.Config
}

// Forever is a duration without an end.
const Forever = time.Duration(math.MaxInt64)

// OwnExpansion reports whether a run starts an expansion service for KafkaIO.
func (o Options) OwnExpansion() bool { return o.Reader == kafka.KafkaIO && o.ExpansionAddr == "" }

// Flags are the settings as given.
type Flags struct {
	o                   Options // what needs no more than a check
	endpoints           EndpointFlags
	output              outputFlags
	detector            detectorFlags
	sampling            samplingFlags
	notify              notifyFlags
	duration, frameSize string
	keepRejects, quiet  bool
}

// New adds the flags of a run to f.
func New(f *flag.FlagSet) *Flags {
	v := &Flags{o: Options{Consumer: map[string]string{}, Runner: runners.Config{Options: map[string]string{}}}}
	v.endpoints.Add(f)
	v.output.add(f, &v.o)
	v.detector.add(f)
	f.StringVar(&v.o.Runner.Name, "runner", runners.Prism, "`NAME` of the Beam runner: prism (nothing else is needed), flink, spark, or direct (inside this process, without Java).")
	f.StringVar(&v.o.Reader, "reader", "", "`NAME` of what reads from Kafka: kafkaio, which is Beam's and in Java, a window at a time; or native, in Go and in the workers, which stores what comes at once and needs no Java on prism. Default: kafkaio, but native with --runner=direct.")
	f.StringVar(&v.o.Runner.Endpoint, "endpoint", "", "`HOST:PORT` of a running Beam job server for Flink or Spark. Default: one is started and ended.")
	f.StringVar(&v.o.Runner.Master, "master", "", "Cluster that the started job server submits to, `ADDRESS` of Flink's REST API, HOST:PORT, or spark://HOST:PORT; or yarn, that of $HADOOP_CONF_DIR, where Flink has a session. Default: one inside of the job server.")
	f.StringVar(&v.o.Runner.DriverHost, "driver_host", "", "`ADDRESS` of this machine at which a Spark cluster's executors call the job server that is started for --master. Default: the one on the way to the Master, or to YARN's ResourceManager.")
	f.StringVar(&v.o.Runner.Worker, "worker", "", "`PATH` of this program on every node of the cluster. Default: its path on this machine; with Spark on YARN, the program is sent there with Spark's jars.")
	f.StringVar(&v.o.Runner.WorkerKeytab, "worker_keytab", "", "`PATH` of a keytab for --kerberos_principal on every node of the cluster. Default: that of --kerberos_keytab.")
	f.IntVar(&v.o.Runner.Parallelism, "parallelism", 0, "`SLOTS` of the cluster to use. Default: this machine's cores, or all slots of the cluster.")
	f.Var(cli.KeyValues(v.o.Runner.Options), "runner_option", "A further pipeline option for Flink or Spark, `NAME=VALUE`, such as checkpointing_interval=10000 (ms) or max_bundle_size=100. May be given several times.")
	f.StringVar(&v.duration, "duration", "5m", "The `TIME` that the run takes, such as 90s or 5m, or a number of minutes; or forever, until SIGTERM or Ctrl-C. A run without end waits for services that are away.")
	f.DurationVar(&v.o.DrainTimeout, "drain_timeout", 75*time.Second, "The `TIME` that a window under way has to end after SIGTERM, which ends the run behind it.")
	f.BoolVar(&v.o.Drain, "drain", false, "End before the duration is over when no record is waiting.")
	f.DurationVar(&v.o.Window, "window", 0, "The most `TIME` that one window, a Beam job of its own, should take. Offsets are committed after each, and its events published. Default: 1m, or 5m where pictures do not wait for it: with --reader=native and --store=files, but for --drain.")
	f.DurationVar(&v.o.StallTimeout, "stall_timeout", 5*time.Minute, "The `TIME` beyond --window after which a window that stores nothing fails.")
	f.Var((*cli.Bytes)(&v.o.Runner.MaxBytes), "window_bytes", "The most `BYTES` of records that one window may hold, such as 64MiB; this bounds the memory. With --reader=native, which needs no bound, by the average size of the records before. Default: with kafkaio 64MiB on prism, 256MiB elsewhere.")
	f.Var((*cli.Age)(&v.o.Retain), "retain", "Once a day, remove what is older than this `TIME`, such as 30d, as facestream purge --older does. Default: keep everything.")
	f.StringVar(&v.frameSize, "frame_size", "640x480", "`WIDTHxHEIGHT` in pixels of raw frames without a content-type header; their pixels are blue, green, red.")
	f.BoolVar(&v.keepRejects, "keep_rejects", false, fmt.Sprintf("Also store the value of each rejected record, its first %d bytes, beside the file about it in _rejects.", frame.MaxKeepBytes))
	v.sampling.add(f, &v.o)
	f.Var(cli.KeyValues(v.o.Consumer), "consumer_config", "A setting of the Kafka consumer, `KEY=VALUE`. May be given several times; only harmless settings are allowed.")
	f.StringVar(&v.o.ExpansionAddr, "expansion_addr", "", "`HOST:PORT` of a running Beam expansion service with KafkaIO. Default: one is started and ended.")
	f.StringVar(&v.o.Summary, "summary", "", "`FILE` to write the run's counts to, as JSON.")
	f.StringVar(&v.o.CPUProfile, "cpu_profile", "", "`FILE` to write a CPU profile of this process to, for go tool pprof. On Prism it shows all but the runner and the reading; a cluster's workers are other processes.")
	v.notify.add(f)
	f.StringVar(&v.o.Metrics, "metrics", "", metrics.Usage)
	f.BoolVar(&v.quiet, "quiet", false, "Print warnings and errors only.")
	f.StringVar(&v.o.LogFormat, "log_format", cli.LogPlain, "`FORMAT` of what is printed: plain, lines for a person and on a terminal one that renews itself; or json, an object a line.")
	return v
}

// Parse reads the flags of a command line.
func Parse(args ...string) (Options, error) {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the caller prints the error
	v := New(f)
	if err := f.Parse(args); err != nil {
		return Options{}, err
	}
	return v.Options()
}

// Options checks the flags.
func (v *Flags) Options() (Options, error) {
	o := v.o
	for _, check := range []func(*Options) error{
		v.checkPrinting, v.checkRunner, v.checkEndpoints, v.checkTimes, v.checkFrames, v.sampling.check, v.output.check, v.notify.check, v.checkReader, v.detector.check,
	} {
		if err := check(&o); err != nil {
			return o, err
		}
	}
	o.Face.InOrder = o.Sampling.Frames.InOrder && o.Sampling.CooldownMillis > 0
	if o.Runner.Name == runners.Prism || o.Runner.Name == runners.Direct {
		o.Face.Parallel = runtime.GOMAXPROCS(0) // elsewhere, each slot is one
	}
	return o, nil
}

// checkPrinting checks what is told of a run, and where.
func (v *Flags) checkPrinting(o *Options) error {
	if v.quiet {
		o.LogLevel = slog.LevelWarn
	}
	err := cli.OneOf("log_format", o.LogFormat, cli.LogFormats)
	if err == nil && o.Metrics != "" {
		err = metrics.CheckAddr(o.Metrics)
	}
	return errors.Join(err, cli.CheckNewFile("--summary", o.Summary), cli.CheckNewFile("--cpu_profile", o.CPUProfile))
}

// checkEndpoints checks where things are, and with what workers log in there.
func (v *Flags) checkEndpoints(o *Options) (err error) {
	if o.Endpoints, err = v.endpoints.Check(); err != nil {
		return err
	}
	return errors.Join(o.checkWorkerKeytab(), cli.CheckFolder("--state_dir", o.StateDir))
}

func (v *Flags) checkTimes(o *Options) (err error) {
	if o.Duration, err = parseDuration(v.duration); err != nil {
		return err
	}
	switch {
	case o.Duration == Forever && o.Drain:
		return errors.New("--drain ends a run when no record is waiting, and --duration=forever never does: give one of them")
	case o.DrainTimeout < 0:
		return fmt.Errorf("--drain_timeout=%s: it must be 0s or more", o.DrainTimeout)
	case o.Window < time.Second && o.Window != 0:
		return fmt.Errorf("--window=%s: it must be at least 1s", o.Window)
	case o.StallTimeout < time.Second:
		return fmt.Errorf("--stall_timeout=%s: it must be at least 1s", o.StallTimeout)
	}
	return nil
}

func (v *Flags) checkFrames(o *Options) (err error) {
	if o.Frame.Width, o.Frame.Height, err = cli.CheckSize("--frame_size", v.frameSize); err != nil {
		return err
	}
	if err := o.Frame.Validate(); err != nil {
		return fmt.Errorf("--frame_size: %w", err)
	}
	if v.keepRejects {
		o.Frame.KeepBytes = frame.MaxKeepBytes
	}
	return nil
}

// checkReader checks what reads, and what is for it.
func (v *Flags) checkReader(o *Options) error {
	direct := o.Runner.Name == runners.Direct
	if o.Reader == "" {
		if o.Reader = kafka.KafkaIO; direct {
			o.Reader = kafka.Native
		}
	}
	if err := cli.OneOf("reader", o.Reader, kafka.Readers); err != nil {
		return err
	}
	o.WindowBytes = o.Runner.MaxBytes
	check := kafka.CheckConsumerSettings
	if o.Reader == kafka.Native {
		check = kafka.CheckNativeSettings
		if v.o.Runner.MaxBytes == 0 {
			o.WindowBytes = math.MaxInt64
		}
		o.Sampling.Frames.InOrder = true
		if o.ExpansionAddr != "" {
			return errors.New("--expansion_addr is for --reader=kafkaio: the native reader needs no expansion service")
		}
	} else if direct {
		return errors.New("--reader=kafkaio is for the other runners: with --runner=direct it must be native")
	} else if o.ExpansionAddr != "" {
		if err := cli.CheckAddr("--expansion_addr", o.ExpansionAddr); err != nil {
			return err
		}
	}
	if err := check(o.Consumer); err != nil {
		return fmt.Errorf("--consumer_config: %w", err)
	}
	if o.Window == 0 {
		o.Window = time.Minute
		if o.Follows() && !o.Write.Rows {
			o.Window = 5 * time.Minute
		}
	}
	return nil
}

// Follows reports whether a window also reads what comes while it lasts.
func (o *Options) Follows() bool { return o.Reader == kafka.Native && !o.Drain }

// parseDuration takes Go's form, a bare number, which is minutes, or forever.
func parseDuration(s string) (time.Duration, error) {
	if s == "forever" {
		return Forever, nil
	}
	d, err := time.ParseDuration(s)
	if minutes, nerr := strconv.ParseFloat(s, 64); nerr == nil {
		d, err = time.Duration(minutes*float64(time.Minute)), nil
	}
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("--duration=%s: it must be a time of at least 1s, such as 90s or 5m, a number of minutes, or forever", s)
	}
	return d, nil
}
