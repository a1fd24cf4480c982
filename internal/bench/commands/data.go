package commands

import (
	"context"
	"fmt"
	"io"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
	"facestream/internal/camera/feed"
	"facestream/runners"
	"facestream/transforms/frame"
)

// Data measures the data path alone.
var Data = command{
	name: "data",
	about: fmt.Sprintf(`data measures frames a second from Kafka to the ledger with the detector off: the
smallest face is larger than any picture (--min_face=%d), so that OpenCV looks for
none. Frames are decoded as always, and no pictures are written, since none has a
face.`, frame.MaxSide),
	defaults: choice{runners: []string{runners.Flink}, formats: []string{feed.JPEG}, presets: []string{parity}, slots: []int{2}},
	measure:  measureData,
}

// The frames of the two runs. The longer is still one window.
const (
	dataShort = 20 * bare.Period
	dataLong  = 80 * bare.Period
)

func measureData(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error {
	short, long := c.scaled(dataShort), c.scaled(dataLong)
	if err := l.Fill(ctx, feed.JPEG, feed.JPEG, lab.Partitions, long); err != nil {
		return err
	}
	steady, err := l.Steady(ctx, lab.Job{
		Runner: c.runners[0], Topic: feed.JPEG, Preset: c.presets[0], Slots: c.slots[0],
		Flags: append([]string{fmt.Sprint("--min_face=", frame.MaxSide)}, lab.InOneWindow...),
	}, short, long, c.times)
	if err != nil {
		return err
	}
	row := struct {
		Runner            string             `json:"runner"`
		Slots             int                `json:"slots"`
		FramesPerSecond   float64            `json:"frames_per_second"`
		CPUSecondsPer1000 map[string]float64 `json:"cpu_seconds_per_1000"`
	}{c.runners[0], c.slots[0], steady.Rate, steady.CPU}
	if c.json {
		return printJSON(out, row)
	}
	fmt.Fprintf(out, "the data path alone, JPEG, no pictures written, on %s with %s: %s frames/s\nCPU seconds for 1,000 frames: %s\n",
		row.Runner, plural(row.Slots, "slot"), number(row.FramesPerSecond), byClass(row.CPUSecondsPer1000))
	return nil
}
