package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/runners"
	"facestream/transforms/kafka"
)

const (
	// oneWindow is more than any run takes.
	oneWindow = 30 * time.Minute
	// windowBytes are those of a window that holds a whole run, on every runner: what a
	// TaskManager or an executor has the memory for.
	windowBytes = 256 << 20
	// rawLimit is how many raw frames fit into such a window, in whole periods. What the
	// pipeline counts for a record beside its value is less than the slack.
	rawSlack = 64 << 10
	rawLimit = windowBytes / (video.DemoWidth*video.DemoHeight*3 + rawSlack) / period * period
)

var (
	// toTheEnd makes a run read all there is, in windows of the runner's default size.
	toTheEnd = []string{"--drain", "--window=" + oneWindow.String(), "--duration=" + oneWindow.String()}
	// inOneWindow makes such a run one window.
	inOneWindow = append(slices.Clip(toTheEnd), "--window_bytes="+strconv.Itoa(windowBytes))
)

// plan is the two runs whose difference tells a rate.
type plan struct {
	short, long int // frames
	flags       []string
	windows     bool // A run may be several.
}

// plan returns runs whose difference is some seconds more than what a start varies by.
func (c choice) plan(o combination) plan {
	short, more := period, 2*period*o.Slots
	if o.Preset != parity {
		short, more = 3*period, 12*period*o.Slots
	}
	switch {
	case o.Runner == runners.Prism && o.Format == feed.Raw && o.Reader != kafka.Native:
		// Prism holds ten times what is in a window: in one of all raw frames, new memory
		// would be measured mostly. The longer run has five windows of the default size
		// more; with parity, where each takes four times as long, half as many.
		short, more = c.scaled(2*period), 6*period
		if o.Preset == parity {
			more /= 2
		}
		return plan{short, short + c.scaled(more), toTheEnd, true}
	case o.Runner == runners.Spark:
		// A run has executors of its own, which compile for their first seconds.
		short += more / 2
	}
	short, long := c.scaled(short), c.scaled(short+more)
	if o.Format == feed.Raw && o.Reader != kafka.Native {
		short, long = min(short, period), min(long, rawLimit)
	}
	return plan{short, max(long, short+period), o.window(), false}
}

// window returns the flags of a run that is one window.
func (o combination) window() []string {
	if o.Reader == kafka.Native { // whose windows have no bound
		return toTheEnd
	}
	return inOneWindow
}

// boundFrames is how many frames a bound is measured with. Its start is not measured.
func (c choice) boundFrames(o combination) int {
	if o.Preset == parity {
		return c.scaled(period * o.Slots)
	}
	return c.scaled(3 * period * o.Slots)
}

// scaled returns a number of frames in which every mix of faces is as often as in others.
func (c choice) scaled(frames int) int {
	return max(1, int(math.Round(float64(frames)*c.scale/period))) * period
}

// errTooShort is wrapped by errors that say that a rate cannot be told: what else
// happened on the machine made more of a difference than the number of frames.
var errTooShort = errors.New("too little to tell how long a frame takes; give a larger --scale")

// steady is what a job does once it runs, and what its start costs.
type steady struct {
	rate      float64            // frames a second; 0 with errTooShort
	firstFile float64            // seconds from the start of the program to the first picture; 0 without one
	cpu       map[string]float64 // seconds for 1,000 frames, by class of process
	peak      map[string]float64 // MB of the largest process of a class
}

// steady measures a job as planned, several times; the median of the times counts. With
// errTooShort it still returns what the runs have used.
func (b *bench) steady(ctx context.Context, j job, p plan, times int) (steady, error) {
	j.flags = append(j.flags, p.flags...)
	if err := b.warmUp(ctx, j, p.short); err != nil {
		return steady{}, err
	}
	var all [2][]ran
	for range times {
		for i, frames := range []int{p.short, p.long} {
			j.frames = frames
			r, err := b.run(ctx, j)
			if err == nil {
				err = r.complete(frames, p.windows)
			}
			if err != nil {
				return steady{}, err
			}
			all[i] = append(all[i], r)
		}
	}
	return difference(median(all[0]), median(all[1]))
}

// warmUp runs the first job of a runner once more, and on Flink that with more slots: a
// new cluster is slow, and so is a TaskManager that was idle so far. The shorter run
// would have all of that. Executors of Spark are new for each run, as all of Prism is.
func (b *bench) warmUp(ctx context.Context, j job, frames int) error {
	warm := b.warm[j.Runner]
	if j.Runner == runners.Prism || warm >= j.Slots || j.Runner == runners.Spark && warm > 0 {
		return nil
	}
	b.warm[j.Runner], j.frames = j.Slots, frames
	_, err := b.run(ctx, j)
	return err
}

// complete returns an error unless the run has read n records, in one window if it may
// not be several.
func (r ran) complete(n int, windows bool) error {
	if r.State != "DONE" || r.RecordsRead != n || r.Windows != 1 && !windows {
		return fmt.Errorf("the run has state %s, %d of %d records, and %s", r.State, r.RecordsRead, n, cli.Count(r.Windows, "window"))
	}
	return nil
}

// median returns the run of the middle by its time, the slower of two.
func median(all []ran) ran {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b ran) int { return cmp.Compare(a.seconds, b.seconds) })
	return sorted[len(sorted)/2]
}

// difference takes what the shorter run did out of the longer, which has more frames.
func difference(short, long ran) (steady, error) {
	frames, seconds := float64(long.RecordsRead-short.RecordsRead), long.seconds-short.seconds
	s := steady{cpu: map[string]float64{}, peak: map[string]float64{}}
	for class, used := range long.used {
		// A process that does nothing for the frames may have used less.
		s.cpu[class] = max(0, used.cpu-short.used[class].cpu) / frames * 1000
		s.peak[class] = used.peak
	}
	if short.FirstFileSeconds != nil {
		s.firstFile = *short.FirstFileSeconds
	}
	if seconds <= 0 {
		return s, fmt.Errorf("%d frames took %.1f s and %d frames %.1f s: %w", short.RecordsRead, short.seconds, long.RecordsRead, long.seconds, errTooShort)
	}
	s.rate = frames / seconds
	return s, nil
}
