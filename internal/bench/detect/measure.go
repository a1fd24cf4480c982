package detect

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"facestream/internal/record"
	"facestream/transforms/face"
)

const (
	// matchIoU is what a box and a label must have in common at least. Cascades
	// draw a face's box in different sizes.
	matchIoU = 0.4
	// largeFace is the side in pixels of a face that every preset should find.
	largeFace = 60
)

// candidate is a detector to measure.
type candidate struct {
	name   string
	params face.Params
}

// tally is what a candidate did with some frames.
type tally struct {
	millis       []float64 // by the clock, for each frame
	core         float64   // milliseconds that a core was at work, for all frames
	faces, found int       // labels, and those with a box
	large        int       // labels of largeFace and more
	foundLarge   int
	falseBoxes   int // without a label
}

func (t *tally) add(o tally) {
	t.millis = append(t.millis, o.millis...)
	t.core += o.core
	t.faces += o.faces
	t.found += o.found
	t.large += o.large
	t.foundLarge += o.foundLarge
	t.falseBoxes += o.falseBoxes
}

// measure gives each candidate the same frames, in turn, so that what else the
// machine does at the time slows all of them. With Params.Threads of 1 all is done
// by this thread, and the time that a core was at work for it counts nothing else.
func measure(ctx context.Context, candidates []candidate, inputs []input) ([]tally, error) {
	detectors := make([]*face.Detector, len(candidates))
	for i, c := range candidates {
		d, err := face.NewDetector(c.params)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		defer d.Close()
		detectors[i] = d
	}
	tallies := make([]tally, len(candidates))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, in := range inputs {
		for i, d := range detectors {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			began, err := threadMillis()
			if err != nil {
				return nil, err
			}
			found, err := d.Detect(in.frame)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", candidates[i].name, err)
			}
			ended, err := threadMillis()
			if err != nil {
				return nil, err
			}
			t := score(in.faces, found)
			t.core = ended - began
			tallies[i].add(t)
		}
	}
	return tallies, nil
}

// threadMillis is how long a core has been at work for this thread. The kernel
// counts in steps of some milliseconds: only sums over many frames say something.
func threadMillis() (float64, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("asking for the thread's time: %w", err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6, nil
}

// score compares what was found in a frame with its labels.
func score(labels []record.Box, d face.Detection) tally {
	boxes := make([]record.Box, len(d.Faces))
	for i, f := range d.Faces {
		boxes[i] = f.Box
	}
	t := tally{millis: []float64{d.Millis}, faces: len(labels)}
	matched := match(labels, boxes)
	for i, label := range labels {
		large := min(label.Width, label.Height) >= largeFace
		if large {
			t.large++
		}
		if matched[i] {
			t.found++
			if large {
				t.foundLarge++
			}
		}
	}
	t.falseBoxes = len(boxes) - t.found
	return t
}

// match says which labels have a box: the pairs with most in common first, each
// box and each label once, down to matchIoU.
func match(labels, boxes []record.Box) []bool {
	type pair struct {
		label, box int
		iou        float64
	}
	var pairs []pair
	for i, label := range labels {
		for j, box := range boxes {
			if iou := label.IoU(box); iou >= matchIoU {
				pairs = append(pairs, pair{i, j, iou})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.iou, a.iou) })
	matched, used := make([]bool, len(labels)), make([]bool, len(boxes))
	for _, p := range pairs {
		if !matched[p.label] && !used[p.box] {
			matched[p.label], used[p.box] = true, true
		}
	}
	return matched
}
