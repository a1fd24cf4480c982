// Package detect measures the presets of the face detector on pictures whose
// faces are known: how fast each is, and what it finds.
package detect

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"facestream/internal/cli"
	"facestream/transforms/face"
)

const usage = `bench detect measures the presets of the face detector: how fast each is with one
thread of OpenCV, the decoding of the JPEG included (ms by the clock, the median;
frames/s of a core by the time it works), and what it finds on demo
videos (three sizes; clean, noisy, dark and bright; none to three faces) and on labelled pictures. A face is found if a box and its label share %.0f %% of what they
cover together; each box counts for one label, and one without a label is false.

Flags:
`

// Command is the command line.
func Command() cli.Command {
	return cli.Command{Name: "bench detect", Usage: fmt.Sprintf(usage, 100*matchIoU), Setup: func(f *flag.FlagSet) cli.Run {
		labels := f.String("labels", "testdata/labels.json", "`FILE` of labels: a JSON object that gives for the name of each picture beside it a list of boxes with x, y, width, height in pixels.")
		asJSON := f.Bool("json", false, "Print JSON instead of a table.")
		return func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			rows, err := run(ctx, *labels, sizes, stderr)
			if err != nil {
				return err
			}
			return print(stdout, rows, *asJSON)
		}
	}}
}

// Row is what a preset did with pictures of a size.
type Row struct {
	Pictures     string   `json:"pictures"` // their size; labelled, or all
	Detector     string   `json:"detector"`
	Frames       int      `json:"frames"`
	MedianMillis float64  `json:"median_ms"`
	FramesPerSec float64  `json:"frames_per_second"` // of one core
	TimesParity  float64  `json:"times_parity"`
	Faces        int      `json:"faces"`
	Recall       *float64 `json:"recall"`       // null without faces
	RecallLarge  *float64 `json:"recall_60_px"` // of faces of 60 pixels and more
	FalsePer100  float64  `json:"false_per_100_frames"`
}

// run measures all presets on the demo videos of the sizes and on the labelled
// pictures.
func run(ctx context.Context, labels string, sizes []size, progress io.Writer) ([]Row, error) {
	pictures, err := readLabels(labels)
	if err != nil {
		return nil, err
	}
	var candidates []candidate
	for _, name := range face.Presets {
		p, err := face.NewPreset(name)
		if err != nil {
			return nil, err
		}
		p.Threads = 1
		candidates = append(candidates, candidate{name, p})
	}
	all := make([]tally, len(candidates))
	var rows []Row
	add := func(name string, tallies []tally) {
		for i, t := range tallies {
			rows = append(rows, newRow(name, candidates[i].name, t, tallies[0]))
			all[i].add(t)
		}
	}
	for _, s := range sizes {
		name := fmt.Sprintf("%dx%d", s.width, s.height)
		ofSize := make([]tally, len(candidates))
		for i, c := range clipsOf(s) {
			fmt.Fprintf(progress, "%s: clip %d of %d\n", name, i+1, len(clipsOf(s)))
			inputs, err := readClip(ctx, c)
			if err != nil {
				return nil, err
			}
			tallies, err := measure(ctx, candidates, inputs)
			if err != nil {
				return nil, err
			}
			for n, t := range tallies {
				ofSize[n].add(t)
			}
		}
		add(name, ofSize)
	}
	tallies, err := measure(ctx, candidates, pictures)
	if err != nil {
		return nil, err
	}
	add("labelled", tallies)
	for i, t := range all {
		rows = append(rows, newRow("all", candidates[i].name, t, all[0]))
	}
	return rows, nil
}

func newRow(pictures, detector string, t, parity tally) Row {
	part := func(some, all int) *float64 {
		if all == 0 {
			return nil
		}
		x := float64(some) / float64(all)
		return &x
	}
	frames := float64(len(t.millis))
	r := Row{
		Pictures: pictures, Detector: detector, Frames: len(t.millis), Faces: t.faces,
		Recall: part(t.found, t.faces), RecallLarge: part(t.foundLarge, t.large),
	}
	if len(t.millis) > 0 {
		r.MedianMillis = median(t.millis)
		r.FalsePer100 = 100 * float64(t.falseBoxes) / frames
	}
	if t.core > 0 { // a few frames may take less than the kernel counts
		r.FramesPerSec = 1000 * frames / t.core
		r.TimesParity = parity.core / t.core
	}
	return r
}

// median returns the middle one, or the lower of two.
func median(all []float64) float64 { return slices.Sorted(slices.Values(all))[(len(all)-1)/2] }

func print(out io.Writer, rows []Row, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	part := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprintf("%.3f", *x)
	}
	fmt.Fprintln(w, "PICTURES\tDETECTOR\tFRAMES\tMS/FRAME\tFRAMES/S\tX PARITY\tFACES\tRECALL\tRECALL 60 PX\tFALSE/100 FRAMES")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.1f\t%.1f\t%d\t%s\t%s\t%.1f\n",
			r.Pictures, r.Detector, r.Frames, r.MedianMillis, r.FramesPerSec, r.TimesParity, r.Faces, part(r.Recall), part(r.RecallLarge), r.FalsePer100)
	}
	return w.Flush()
}
