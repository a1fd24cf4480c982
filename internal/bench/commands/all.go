package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
)

// All measures every combination against the bounds.
var All = command{
	name: "all",
	about: `all measures frames a second of each runner, format, preset and number of slots,
against the bare detector and the bare plumbing in the same run.`,
	defaults: choice{runners: allRunners, formats: allFormats, presets: allPresets, slots: []int{1, 2}},
	measure:  measureAll,
}

// Row is what was measured of one combination.
type Row struct {
	Runner              string             `json:"runner"`
	Format              string             `json:"format"`
	Preset              string             `json:"preset"`
	Slots               int                `json:"slots"`
	FramesPerSecond     float64            `json:"frames_per_second,omitempty"` // 0: the runs were too short to tell
	BareDetector        float64            `json:"bare_detector_frames_per_second"`
	BarePlumbing        float64            `json:"bare_plumbing_frames_per_second"`
	RatioToBareDetector float64            `json:"ratio_to_bare_detector,omitempty"`
	RatioToBarePlumbing float64            `json:"ratio_to_bare_plumbing,omitempty"`
	FirstFileSeconds    float64            `json:"first_file_seconds"`
	CPUSecondsPer1000   map[string]float64 `json:"cpu_seconds_per_1000"`
	PeakRSSMB           map[string]float64 `json:"peak_rss_mb"`

	jobCPU float64 // milliseconds for a frame, all processes of the job
}

// StageRow says where the time of a frame goes, in milliseconds.
type StageRow struct {
	Format string `json:"format"`
	Preset string `json:"preset"`
	bare.Stages
	Rest map[string]float64 `json:"rest_ms"` // by runner
}

// report is all that is measured.
type report struct {
	Rows   []Row      `json:"rows"`
	Stages []StageRow `json:"stages"`
}

// bench is one measuring of everything.
type bench struct {
	*lab.Lab
	choice

	report report
}

func measureAll(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error {
	b := &bench{Lab: l, choice: c}
	if err := b.fill(ctx); err != nil {
		return err
	}
	combinations := b.combinations()
	began := time.Now()
	var untold error // what was too short, which the other rows need not go without
	for i, row := range combinations {
		if err := b.measure(ctx, &row); err != nil {
			err = fmt.Errorf("%s, %s, %s, %s: %w", row.Runner, row.Format, row.Preset, plural(row.Slots, "slot"), err)
			if !errors.Is(err, lab.ErrTooShort) {
				return err
			}
			untold = errors.Join(untold, err)
		}
		b.report.Rows = append(b.report.Rows, row)
		done := i + 1
		left := time.Since(began) / time.Duration(done) * time.Duration(len(combinations)-done)
		b.Say("%d of %d: %s, %s, %s, %s: %.1f frames/s, %.2f of the bare detector; about %s left", done, len(combinations),
			row.Runner, row.Format, row.Preset, plural(row.Slots, "slot"), row.FramesPerSecond, row.RatioToBareDetector, left.Round(time.Second))
	}
	if err := b.stages(ctx); err != nil {
		return err
	}
	if c.json {
		return errors.Join(untold, printJSON(out, b.report))
	}
	return errors.Join(untold, b.report.print(out))
}

// fill makes a topic of each format, as long as its longest run.
func (b *bench) fill(ctx context.Context) error {
	for _, format := range b.formats {
		most := 0
		for _, preset := range b.presets {
			for _, slots := range b.slots {
				// The bounds' first frames are not measured.
				most = max(most, b.boundFrames(preset, slots)+bare.Period)
				for _, runner := range b.runners {
					_, long := b.lengths(runner, format, preset, slots)
					if windowed(runner, format) {
						_, long = b.windowedLengths(preset)
					}
					most = max(most, long)
				}
			}
		}
		if err := b.Fill(ctx, format, format, lab.Partitions, most); err != nil {
			return err
		}
	}
	return nil
}

// combinations are the rows that there are to fill.
func (b *bench) combinations() []Row {
	var out []Row
	for _, runner := range b.runners {
		for _, format := range b.formats {
			for _, preset := range b.presets {
				for _, slots := range b.slots {
					out = append(out, Row{Runner: runner, Format: format, Preset: preset, Slots: slots})
				}
			}
		}
	}
	return out
}

// measure fills a row. The bounds are measured right before, also if another row
// has the same: what a machine can do varies by the minute.
func (b *bench) measure(ctx context.Context, row *Row) error {
	cpus := b.CPUs(row.Runner, row.Slots)
	detector, err := b.bound(ctx, bare.Detector, row, cpus)
	if err != nil {
		return err
	}
	plumbing, err := b.bound(ctx, bare.Plumbing, row, cpus)
	if err != nil {
		return err
	}
	short, long := b.lengths(row.Runner, row.Format, row.Preset, row.Slots)
	job := lab.Job{Runner: row.Runner, Topic: row.Format, Preset: row.Preset, Slots: row.Slots, Flags: lab.InOneWindow}
	if windowed(row.Runner, row.Format) {
		short, long = b.windowedLengths(row.Preset)
		job.Flags, job.Windows = lab.ToTheEnd, true
	}
	steady, err := b.Steady(ctx, job, short, long, b.times)
	row.fill(steady, detector, plumbing)
	return err
}

func (r *Row) fill(s lab.Steady, detector, plumbing bare.Result) {
	r.FramesPerSecond, r.BareDetector, r.BarePlumbing = s.Rate, detector.Rate(), plumbing.Rate()
	r.RatioToBareDetector = s.Rate / r.BareDetector
	r.RatioToBarePlumbing = s.Rate / r.BarePlumbing
	r.FirstFileSeconds, r.CPUSecondsPer1000, r.PeakRSSMB = s.FirstFile, s.CPU, s.Peak
	r.jobCPU = s.JobCPU()
}

// bound measures a bound for a row.
func (b *bench) bound(ctx context.Context, bound string, row *Row, cpus []int) (bare.Result, error) {
	r, err := b.Bound(ctx, bare.Config{
		Bound: bound, Format: row.Format, Preset: row.Preset, Workers: row.Slots, Topic: row.Format,
		Frames: b.boundFrames(row.Preset, row.Slots), Writers: writers,
	}, cpus)
	if err != nil {
		return r, fmt.Errorf("measuring the bare %s: %w", bound, err)
	}
	b.Say("bare %s, %s, %s, %s: %.1f frames/s", bound, row.Format, row.Preset, plural(row.Slots, "worker"), r.Rate())
	return r, nil
}

// writers is how many files the pipeline writes side by side in each slot.
const writers = 4

// stages measures where the time of a frame goes in the bare plumbing with one
// worker on one processor, which does one thing after the other; and how much
// processor time more than that each runner takes with the fewest slots.
func (b *bench) stages(ctx context.Context) error {
	for _, format := range b.formats {
		for _, preset := range b.presets {
			r, err := b.Bound(ctx, bare.Config{
				Bound: bare.Plumbing, Format: format, Preset: preset, Workers: 1, Topic: format, Frames: b.boundFrames(preset, 1),
			}, b.OneCPU())
			if err != nil {
				return fmt.Errorf("measuring the stages: %w", err)
			}
			row := StageRow{format, preset, r.Stages, map[string]float64{}}
			for _, done := range b.report.Rows {
				if _, known := row.Rest[done.Runner]; !known && done.Format == format && done.Preset == preset {
					row.Rest[done.Runner] = done.jobCPU - r.CPUSeconds/float64(r.Frames)*1000
				}
			}
			b.report.Stages = append(b.report.Stages, row)
		}
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
