package commands

import (
	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/runners"
)

// rawLimit is how many raw frames fit into one window, in whole periods. What
// the pipeline counts for a record beside its value is less than the slack.
const (
	rawSlack = 64 << 10
	rawLimit = lab.WindowBytes / (video.DemoWidth*video.DemoHeight*3 + rawSlack) / bare.Period * bare.Period
)

// lengths are the numbers of frames of the two runs that tell a rate. The longer
// is long enough that the difference is some seconds more than what a start
// varies by, and still one window. On Spark a run has executors of its own, which
// compile for their first seconds: there the shorter is that long.
func (c choice) lengths(runner, format, preset string, slots int) (short, long int) {
	short, more := 60, 120*slots
	if preset != parity {
		short, more = 180, 720*slots
	}
	if runner == runners.Spark {
		short += more / 2
	}
	short, long = c.scaled(short), c.scaled(short+more)
	if format == feed.Raw {
		short, long = min(short, bare.Period), min(long, rawLimit)
	}
	return short, max(long, short+bare.Period)
}

// windowed says that a combination is measured in windows of the runner's default
// size. All raw frames of a run would be several of Prism's windows, of which it
// holds ten times what is in them: one of them all would measure new memory mostly.
func windowed(runner, format string) bool { return runner == runners.Prism && format == feed.Raw }

// windowedLengths are the numbers of frames of two runs in windows. The longer has
// five of Prism's default windows more, which hold 72 raw frames each: together six
// periods. With parity, where a window takes four times as long, half as many do.
func (c choice) windowedLengths(preset string) (short, long int) {
	short, more := 2*bare.Period, 6*bare.Period
	if preset == parity {
		more /= 2
	}
	short = c.scaled(short)
	return short, short + c.scaled(more)
}

// boundFrames is how many frames a bound is measured with. Its start is not
// measured.
func (c choice) boundFrames(preset string, slots int) int {
	frames := bare.Period
	if preset != parity {
		frames = 3 * bare.Period
	}
	return c.scaled(frames * slots)
}
