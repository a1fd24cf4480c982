package commands

import (
	"context"
	"fmt"
	"io"
	"time"

	"facestream/internal/bench/lab"
	"facestream/internal/camera/feed"
)

// Windows measures what windows cost.
var Windows = command{
	name: "windows",
	about: `windows compares frames a second of a run of five minutes in windows of a minute,
all starts included, with those of steady state.`,
	defaults: choice{runners: allRunners, formats: []string{feed.JPEG}, presets: []string{parity, fast}, slots: []int{2}},
	measure:  measureWindows,
}

const (
	windowsRun = 5 * time.Minute
	window     = time.Minute
	// headroom is by how much the rate may be higher than measured without the
	// topic running dry.
	headroom = 1.5
)

// windowsRow is one of its measurements.
type windowsRow struct {
	Runner  string  `json:"runner"`
	Preset  string  `json:"preset"`
	Windows int     `json:"windows"`
	Overall float64 `json:"frames_per_second"`
	Steady  float64 `json:"frames_per_second_steady"`
	Ratio   float64 `json:"ratio"`
}

func measureWindows(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error {
	run := time.Duration(c.scale * float64(windowsRun))
	c.scale = 1
	var all []windowsRow
	for _, preset := range c.presets {
		for _, runner := range c.runners {
			short, long := c.lengths(runner, feed.JPEG, preset, c.slots[0])
			if err := l.Fill(ctx, preset, feed.JPEG, lab.Partitions, long); err != nil {
				return err
			}
			job := lab.Job{Runner: runner, Topic: preset, Preset: preset, Slots: c.slots[0], Flags: lab.InOneWindow}
			steady, err := l.Steady(ctx, job, short, long, c.times)
			if err != nil {
				return fmt.Errorf("%s, steady state: %w", runner, err)
			}
			job.Topic = runner + "-" + preset
			job.Frames = int(headroom * steady.Rate * run.Seconds())
			if err := l.Fill(ctx, job.Topic, feed.JPEG, lab.Partitions, job.Frames); err != nil {
				return err
			}
			job.Flags = []string{"--duration=" + run.String(), "--window=" + window.String()}
			ran, err := l.Run(ctx, job)
			if err != nil {
				return fmt.Errorf("%s, in windows: %w", runner, err)
			}
			if ran.Summary.RecordsRead == int64(job.Frames) {
				return fmt.Errorf("%s was done with all %d frames before the end of the run", runner, job.Frames)
			}
			row := windowsRow{runner, preset, ran.Summary.Windows, float64(ran.Summary.RecordsRead) / ran.Seconds, steady.Rate, 0}
			row.Ratio = row.Overall / row.Steady
			l.Say("%s, %s: %.1f frames/s in windows, %.1f steady", runner, preset, row.Overall, row.Steady)
			all = append(all, row)
		}
	}
	if c.json {
		return printJSON(out, struct {
			Rows []windowsRow `json:"rows"`
		}{all})
	}
	rows := [][]string{{"runner", "preset", "windows", "frames/s", "steady", "ratio"}}
	for _, r := range all {
		rows = append(rows, []string{r.Runner, r.Preset, fmt.Sprint(r.Windows), number(r.Overall), number(r.Steady), fmt.Sprintf("%.2f", r.Ratio)})
	}
	return table(out, rows...)
}
