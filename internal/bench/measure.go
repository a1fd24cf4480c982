package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"facestream/internal/camera/feed"
	"facestream/internal/cli"
	"facestream/runners"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// The presets of the detector that are measured with runners.
const (
	parity = "parity"
	fast   = "fast"
)

var (
	keys       = slices.Clip([]string{"runner", "format", "preset", "slots", "reader", "store"}) // of a combination
	allRunners = []string{runners.Prism, runners.Flink, runners.Spark}
	onlyJPEG   = []string{feed.JPEG}
)

// combination is what a run is measured with.
type combination struct {
	Runner string `json:"runner" col:"runner"`
	Format string `json:"format" col:"format"`
	Preset string `json:"preset" col:"preset"`
	Slots  int    `json:"slots" col:"slots"`
	Reader string `json:"reader" col:"reader"`
	Store  string `json:"store" col:"store"`
}

func (o combination) String() string {
	return fmt.Sprintf("%s, %s, %s, %s, %s, %s", o.Runner, o.Format, o.Preset, cli.Count(o.Slots, "slot"), o.Reader, o.Store)
}

func (c choice) combinations() []combination {
	all := []combination{{Reader: kafka.KafkaIO, Store: store.Files}}
	all = vary(all, c.runners, func(o *combination) *string { return &o.Runner })
	all = vary(all, c.formats, func(o *combination) *string { return &o.Format })
	all = vary(all, c.presets, func(o *combination) *string { return &o.Preset })
	all = vary(all, c.slots, func(o *combination) *int { return &o.Slots })
	all = vary(all, c.readers, func(o *combination) *string { return &o.Reader })
	return vary(all, c.stores, func(o *combination) *string { return &o.Store })
}

// vary returns each combination with each value of one of its fields, if there are any.
func vary[T any](all []combination, values []T, field func(*combination) *T) (out []combination) {
	if len(values) == 0 {
		return all
	}
	for _, o := range all {
		for _, v := range values {
			*field(&o) = v
			out = append(out, o)
		}
	}
	return out
}

var all = command{
	name: "all",
	about: `all measures frames a second of each runner, format, preset and number of slots in
steady state: two runs of different lengths, so that no start counts. Right before, as
many workers as slots measure two bounds: the bare detector, with frames in memory, and
the bare plumbing, from Kafka to HDFS without Beam. On Prism, which has no slots, the
program and its bounds are bound to as many processors.`,
	choices: choice{runners: allRunners, formats: []string{feed.JPEG, feed.Raw}, presets: []string{parity, fast}, slots: []int{1, 2},
		readers: []string{kafka.KafkaIO}, stores: []string{store.Files}},
	services: true,
	measure:  measureAll,
}

// rateRow is what was measured of a combination. What runs were too short to tell is nil.
type rateRow struct {
	combination
	FramesPerSecond     *float64           `json:"frames_per_second" col:"frames/s"`
	BareDetector        float64            `json:"bare_detector_frames_per_second" col:"bare detector"`
	RatioToBareDetector *float64           `json:"ratio_to_bare_detector" col:"of detector"`
	BarePlumbing        float64            `json:"bare_plumbing_frames_per_second" col:"bare plumbing"`
	RatioToBarePlumbing *float64           `json:"ratio_to_bare_plumbing" col:"of plumbing"`
	FirstFileSeconds    float64            `json:"first_file_seconds" col:"first picture s"`
	CPUSecondsPer1000   map[string]float64 `json:"cpu_seconds_per_1000" col:"CPU s"`
	PeakRSSMB           map[string]float64 `json:"peak_rss_mb" col:"peak MB"`
}

func measureAll(ctx context.Context, b *bench, c choice) ([]table, error) {
	combinations := c.combinations()
	most := map[string]int{} // frames that are read of each format
	for _, o := range combinations {
		// The first frames of a bound, warmUp of each worker, are less than a period.
		most[o.Format] = max(most[o.Format], c.boundFrames(o)+period, c.plan(o).long)
	}
	for format, frames := range most {
		if err := b.fill(ctx, format, format, frames); err != nil {
			return nil, err
		}
	}
	var rows []rateRow
	var untold error // what was too short, which the other rows need not go without
	began := time.Now()
	for i, o := range combinations {
		row, err := b.measure(ctx, c, o)
		if err != nil {
			err = fmt.Errorf("%s: %w", o, err)
			if !errors.Is(err, errTooShort) {
				return nil, err
			}
			untold = errors.Join(untold, err)
		}
		rows = append(rows, row)
		left := time.Since(began) / time.Duration(i+1) * time.Duration(len(combinations)-i-1)
		b.say("%d of %d: %s: %s frames/s, %s of the bare detector; about %s left",
			i+1, len(combinations), o, cell(row.FramesPerSecond), cell(row.RatioToBareDetector), left.Round(time.Second))
	}
	return []table{
		{"frames/s in steady state, and of the bare detector and the bare plumbing right before", rows,
			append(keys, "frames/s", "bare detector", "of detector", "bare plumbing", "of plumbing", "first picture s")},
		{"CPU seconds for 1,000 frames, by process", rows, append(keys, "CPU s")},
		{"peak memory in MB, of the largest process of its kind", rows, append(keys, "peak MB")},
	}, untold
}

// measure measures the bounds and then the job, also if another row has the same bounds:
// what a machine can do varies by the minute.
func (b *bench) measure(ctx context.Context, c choice, o combination) (row rateRow, err error) {
	row.combination = o
	frames := c.boundFrames(o)
	detector, err := bareDetector(o.Format, frames)
	if err == nil {
		row.BareDetector, err = b.bare(ctx, o, frames, detector)
	}
	if err != nil {
		return row, err
	}
	plumbing, end, err := b.barePlumbing(ctx, o.Format)
	if err != nil {
		return row, err
	}
	row.BarePlumbing, err = b.bare(ctx, o, frames, plumbing)
	end() // it would go on fetching
	if err != nil {
		return row, err
	}
	s, err := b.steady(ctx, job{combination: o, topic: o.Format}, c.plan(o), c.times)
	row.FirstFileSeconds, row.CPUSecondsPer1000, row.PeakRSSMB = s.firstFile, s.cpu, s.peak
	if err == nil {
		row.FramesPerSecond, row.RatioToBareDetector, row.RatioToBarePlumbing = &s.rate, new(s.rate/row.BareDetector), new(s.rate/row.BarePlumbing)
	}
	return row, err
}

var data = command{
	name: "data",
	about: fmt.Sprintf(`data measures frames a second from Kafka to the ledger with the detector off: the
smallest face is larger than any picture (--min_face=%d), so that OpenCV looks for
none. Frames are decoded as always, and no pictures are written, since none has a
face.`, frame.MaxSide),
	choices:  choice{runners: []string{runners.Flink}, formats: onlyJPEG, presets: []string{parity}, slots: []int{2}, readers: kafka.Readers},
	services: true,
	measure: func(ctx context.Context, b *bench, c choice) ([]table, error) {
		short, long := c.scaled(20*period), c.scaled(80*period)
		if err := b.fill(ctx, feed.JPEG, feed.JPEG, long); err != nil {
			return nil, err
		}
		var rows []rateRow
		for _, o := range c.combinations() {
			p := plan{short, long, append([]string{fmt.Sprint("--min_face=", frame.MaxSide)}, o.window()...), false}
			s, err := b.steady(ctx, job{combination: o, topic: o.Format}, p, c.times)
			if err != nil {
				return nil, err
			}
			rows = append(rows, rateRow{combination: o, FramesPerSecond: &s.rate, CPUSecondsPer1000: s.cpu})
		}
		return []table{{"the data path alone, no pictures written, and CPU seconds for 1,000 frames", rows, append(keys, "frames/s", "CPU s")}}, nil
	},
}

const (
	windowsRun = 5 * time.Minute
	window     = time.Minute
	// headroom is how much higher the rate may be without the topic running dry.
	headroom = 1.5
)

var windows = command{
	name: "windows",
	about: `windows compares frames a second of a run of five minutes in windows of a minute,
all starts included, with those of steady state.`,
	choices:  choice{runners: allRunners, formats: onlyJPEG, presets: []string{parity, fast}, slots: []int{2}},
	services: true,
	measure:  measureWindows,
}

type windowsRow struct {
	combination
	Windows int     `json:"windows" col:"windows"`
	Overall float64 `json:"frames_per_second" col:"frames/s"`
	Steady  float64 `json:"frames_per_second_steady" col:"steady"`
	Ratio   float64 `json:"ratio" col:"ratio"`
}

func measureWindows(ctx context.Context, b *bench, c choice) ([]table, error) {
	run := time.Duration(c.scale * float64(windowsRun))
	c.scale = 1
	var rows []windowsRow
	for i, o := range c.combinations() {
		p := c.plan(o)
		j := job{combination: o, topic: fmt.Sprint("steady-", i)}
		if err := b.fill(ctx, j.topic, o.Format, p.long); err != nil {
			return nil, err
		}
		s, err := b.steady(ctx, j, p, c.times)
		if err != nil {
			return nil, fmt.Errorf("%s, steady state: %w", o, err)
		}
		j.topic = fmt.Sprint("windows-", i)
		j.frames = c.scaled(int(headroom * s.rate * run.Seconds()))
		j.flags = []string{"--duration=" + run.String(), "--window=" + window.String()}
		if err := b.fill(ctx, j.topic, o.Format, j.frames); err != nil {
			return nil, err
		}
		r, err := b.run(ctx, j)
		if err != nil {
			return nil, fmt.Errorf("%s, in windows: %w", o, err)
		}
		if r.RecordsRead == j.frames {
			return nil, fmt.Errorf("%s was done with all %d frames before the end of the run", o, j.frames)
		}
		overall := float64(r.RecordsRead) / r.seconds
		rows = append(rows, windowsRow{o, r.Windows, overall, s.rate, overall / s.rate})
		b.say("%s: %s frames/s in windows, %s steady", o, number(overall), number(s.rate))
	}
	return []table{{title: "frames/s of " + run.String() + " in windows, and in steady state", rows: rows}}, nil
}

const (
	// memoryWindow is so small that there are many windows in a few minutes, and some in
	// the shorter run already: a JVM's memory still grows in its first three or four.
	memoryWindow = 4 << 20 // bytes
	memoryFrames = 8 * period
	tenfold      = 10
)

var memory = command{
	name: "memory",
	about: `memory compares the peak memory of every process with n records and with ten times
as many, in windows of 4 MiB or, with the native reader, in one window. A run of the longer
kind and two of the shorter come first, for what serves all runs: Kafka, HDFS and the clusters.`,
	choices: choice{runners: allRunners, formats: []string{feed.JPEG, feed.Raw}, presets: []string{fast}, slots: []int{2},
		readers: []string{kafka.KafkaIO}},
	services: true,
	measure:  measureMemory,
}

// memoryRow is the peak memory of one class of processes.
type memoryRow struct {
	Runner  string  `json:"runner" col:"runner"`
	Format  string  `json:"format" col:"format"`
	Reader  string  `json:"reader" col:"reader"`
	Process string  `json:"process" col:"process"`
	Records int     `json:"records" col:"records"`
	MB      float64 `json:"peak_rss_mb" col:"peak MB"`
	TenMB   float64 `json:"peak_rss_mb_tenfold" col:"with ten times as many"`
	Ratio   float64 `json:"ratio" col:"ratio"`
}

func measureMemory(ctx context.Context, b *bench, c choice) ([]table, error) {
	n := c.scaled(memoryFrames)
	for _, format := range c.formats {
		if err := b.fill(ctx, format, format, tenfold*n); err != nil {
			return nil, err
		}
	}
	var rows []memoryRow
	for _, o := range c.combinations() {
		// Those that serve all runs fill their heaps in the first of them, a job server in its
		// first three jobs. These do not count: what is kept for ever shows in the others as well.
		var used [5]map[string]use
		flags := o.window()
		if o.Reader != kafka.Native {
			flags = []string{"--drain", "--duration=1h", fmt.Sprint("--window_bytes=", memoryWindow)}
		}
		for i, frames := range []int{tenfold * n, n, n, n, tenfold * n} {
			r, err := b.run(ctx, job{combination: o, topic: o.Format, frames: frames, flags: flags})
			if err == nil {
				err = r.complete(frames, true)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o, err)
			}
			used[i] = r.used
			b.say("%s: %d records in %s, %.0f s", o, frames, cli.Count(r.Windows, "window"), r.seconds)
		}
		rows = append(rows, memoryRows(o, n, used[3], used[4])...)
	}
	return []table{{title: "peak memory of the largest process of its kind", rows: rows}}, nil
}

// memoryRows compares what the processes had that ran both times.
func memoryRows(o combination, n int, few, many map[string]use) (out []memoryRow) {
	for _, class := range slices.Sorted(maps.Keys(few)) {
		if a, b := few[class].peak, many[class].peak; a > 0 && b > 0 {
			out = append(out, memoryRow{o.Runner, o.Format, o.Reader, class, n, a, b, b / a})
		}
	}
	return out
}
