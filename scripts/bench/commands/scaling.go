package commands

import (
	"context"
	"errors"
	"fmt"
	"io"

	"facestream/runners"
	"facestream/scripts/bench/lab"
	"facestream/scripts/camera/feed"
)

// Scaling measures what more partitions and slots bring.
var Scaling = command{
	name:     "scaling",
	about:    `scaling measures frames a second of each slot with 1, 2, 4 and 8 partitions.`,
	defaults: choice{runners: []string{runners.Flink, runners.Spark}, formats: []string{feed.JPEG}, presets: []string{fast, parity}, slots: []int{1, 2}},
	measure:  measureScaling,
}

var partitionCounts = []int{1, 2, 4, 8}

// scalingRow is one of its measurements.
type scalingRow struct {
	Runner     string  `json:"runner"`
	Preset     string  `json:"preset"`
	Partitions int     `json:"partitions"`
	Slots      int     `json:"slots"`
	Rate       float64 `json:"frames_per_second,omitempty"` // 0: the runs were too short to tell
	EachSlot   float64 `json:"frames_per_second_per_slot,omitempty"`
}

func measureScaling(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error {
	var all []scalingRow
	var untold error // as in all
	for _, partitions := range partitionCounts {
		topic, most := fmt.Sprint("partitions-", partitions), 0
		for _, runner := range c.runners {
			for _, preset := range c.presets {
				for _, slots := range c.slots {
					_, long := c.lengths(runner, feed.JPEG, preset, slots)
					most = max(most, long)
				}
			}
		}
		if err := l.Fill(ctx, topic, feed.JPEG, partitions, most); err != nil {
			return err
		}
		for _, runner := range c.runners {
			for _, preset := range c.presets {
				for _, slots := range c.slots {
					short, long := c.lengths(runner, feed.JPEG, preset, slots)
					s, err := l.Steady(ctx, lab.Job{Runner: runner, Topic: topic, Preset: preset, Slots: slots, Flags: lab.InOneWindow}, short, long, c.times)
					if err != nil {
						err = fmt.Errorf("%s, %s, %s, %s: %w", runner, preset, plural(partitions, "partition"), plural(slots, "slot"), err)
						if !errors.Is(err, lab.ErrTooShort) {
							return err
						}
						untold = errors.Join(untold, err)
					}
					row := scalingRow{runner, preset, partitions, slots, s.Rate, s.Rate / float64(slots)}
					l.Say("%s, %s, %s, %s: %.1f frames/s", runner, preset, plural(partitions, "partition"), plural(slots, "slot"), row.Rate)
					all = append(all, row)
				}
			}
		}
	}
	if c.json {
		return errors.Join(untold, printJSON(out, struct {
			Rows []scalingRow `json:"rows"`
		}{all}))
	}
	rows := [][]string{{"runner", "preset", "partitions", "slots", "frames/s", "of each slot"}}
	for _, r := range all {
		rows = append(rows, []string{r.Runner, r.Preset, fmt.Sprint(r.Partitions), fmt.Sprint(r.Slots), number(r.Rate), number(r.EachSlot)})
	}
	return errors.Join(untold, table(out, rows...))
}
