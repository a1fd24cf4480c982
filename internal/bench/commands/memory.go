package commands

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
	"facestream/internal/bench/procs"
	"facestream/internal/camera/feed"
)

// Memory measures whether memory depends on the number of records.
var Memory = command{
	name: "memory",
	about: `memory compares the peak memory of every process with n records and with ten times
as many, in windows of the same size. A run of the longer kind comes first, for what
serves all runs: Kafka, HDFS and the clusters.`,
	defaults: choice{runners: allRunners, formats: []string{feed.JPEG}, presets: []string{fast}, slots: []int{2}},
	measure:  measureMemory,
}

const (
	// So that there are many windows in a few minutes, and some in the shorter run
	// already: a JVM's memory still grows in its first three or four.
	memoryWindow = 4 << 20 // bytes
	memoryFrames = 8 * bare.Period
	tenfold      = 10
)

// memoryRow is the peak memory of one class of processes.
type memoryRow struct {
	Runner  string  `json:"runner"`
	Process string  `json:"process"`
	MB      float64 `json:"peak_rss_mb"`
	TenMB   float64 `json:"peak_rss_mb_tenfold"`
	Ratio   float64 `json:"ratio"`
}

func measureMemory(ctx context.Context, l *lab.Lab, c choice, out io.Writer) error {
	frames := c.scaled(memoryFrames)
	if err := l.Fill(ctx, feed.JPEG, feed.JPEG, lab.Partitions, tenfold*frames); err != nil {
		return err
	}
	var all []memoryRow
	for _, runner := range c.runners {
		// Those that serve all runs fill their heaps in the first of them, which
		// does not count: what they have kept for ever shows in the others as well.
		var used [3]map[string]procs.Use
		for i, n := range []int{tenfold * frames, frames, tenfold * frames} {
			ran, err := l.Run(ctx, lab.Job{
				Runner: runner, Topic: feed.JPEG, Preset: c.presets[0], Slots: c.slots[0], Frames: n,
				Flags: []string{"--drain", "--duration=1h", fmt.Sprint("--window_bytes=", memoryWindow)},
			})
			if err != nil {
				return fmt.Errorf("%s, %d records: %w", runner, n, err)
			}
			if ran.Summary.RecordsRead != int64(n) {
				return fmt.Errorf("%s has read %d records, not %d", runner, ran.Summary.RecordsRead, n)
			}
			l.Say("%s: %d records in %s, %.0f s", runner, n, plural(ran.Summary.Windows, "window"), ran.Seconds)
			used[i] = ran.Used
		}
		all = append(all, memoryRows(runner, used[1], used[2])...)
	}
	if c.json {
		return printJSON(out, struct {
			Frames int         `json:"frames"`
			Window int64       `json:"window_bytes"`
			Rows   []memoryRow `json:"rows"`
		}{frames, memoryWindow, all})
	}
	fmt.Fprintf(out, "peak memory in MB with %d and %d records, windows of %d bytes:\n", frames, tenfold*frames, memoryWindow)
	rows := [][]string{{"runner", "process", fmt.Sprint(frames), fmt.Sprint(tenfold * frames), "ratio"}}
	for _, r := range all {
		rows = append(rows, []string{r.Runner, r.Process, number(r.MB), number(r.TenMB), fmt.Sprintf("%.2f", r.Ratio)})
	}
	return table(out, rows...)
}

// memoryRows compares what the processes had that ran both times.
func memoryRows(runner string, few, many map[string]procs.Use) []memoryRow {
	var out []memoryRow
	for _, class := range slices.Sorted(maps.Keys(few)) {
		a, b := float64(few[class].Peak)/1e6, float64(many[class].Peak)/1e6
		if a > 0 && b > 0 {
			out = append(out, memoryRow{runner, class, a, b, b / a})
		}
	}
	return out
}
