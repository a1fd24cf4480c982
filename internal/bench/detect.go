package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/transforms/face"
)

const (
	// matchIoU is what a box and a label must have in common at least. Cascades draw a
	// face's box in different sizes.
	matchIoU = 0.4
	// largeFace is the side in pixels of a face that every preset should find.
	largeFace = 60
)

var detect = command{
	name: "detect",
	about: fmt.Sprintf(`detect measures the presets of the face detector: how fast each is with one thread of
OpenCV, the decoding of the JPEG included (ms are the median), and what it finds on demo
videos (three sizes; clean, noisy, dark and bright; none to three faces) and on labelled
pictures. A face is found if a box and its label share %.0f %% of what they cover together;
each box counts for one label, and one without a label is false.`, 100*matchIoU),
	measure: func(ctx context.Context, l *lab, c choice) ([]table, error) {
		rows, err := l.detect(ctx, c.labels, demoSizes)
		return []table{{title: "the detector's presets", rows: rows}}, err
	},
}

// detectRow is what a preset did with some pictures.
type detectRow struct {
	Pictures     string   `json:"pictures" col:"pictures"` // their size; labelled, or all
	Detector     string   `json:"detector" col:"detector"`
	Frames       int      `json:"frames" col:"frames"`
	MedianMillis float64  `json:"median_ms" col:"ms/frame"`
	FramesPerSec *float64 `json:"frames_per_second" col:"frames/s"`
	TimesParity  *float64 `json:"times_parity" col:"x parity"`
	Faces        int      `json:"faces" col:"faces"`
	Recall       *float64 `json:"recall" col:"recall"`
	RecallLarge  *float64 `json:"recall_60_px" col:"recall 60 px"` // of faces of largeFace and more
	FalsePer100  *float64 `json:"false_per_100_frames" col:"false/100 frames"`
}

// demoSize is that of pictures, and how many there are of each clip.
type demoSize struct{ width, height, frames int }

// demoSizes are the usual ones; large pictures take long.
var demoSizes = []demoSize{{320, 240, 48}, {640, 480, 36}, {1280, 720, 20}}

// clips are demo videos: clean, noisy, dark and bright, with none to three faces.
var clips = []struct {
	faces, noise int
	light        float64 // what each byte of the picture is multiplied by
}{{video.MixedFaces, 0, 1}, {3, 20, 1}, {1, 0, 0.35}, {2, 10, 1.6}, {0, 30, 1}}

// detect measures all presets on demo videos and on the labelled pictures.
func (l *lab) detect(ctx context.Context, labels string, sizes []demoSize) (rows []detectRow, err error) {
	labelled, err := readLabels(labels)
	if err != nil {
		return nil, err
	}
	every := make([]tally, len(face.Presets))
	measure := func(name string, some []input) error {
		l.say("%s: %d frames", name, len(some))
		tallies, err := detectEach(ctx, some, every)
		if err == nil {
			rows = append(rows, detectRows(name, tallies)...)
		}
		return err
	}
	for _, size := range sizes {
		some, err := demoInputs(size)
		if err == nil {
			err = measure(fmt.Sprintf("%dx%d", size.width, size.height), some)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := measure("labelled", labelled); err != nil {
		return nil, err
	}
	return append(rows, detectRows("all", every)...), nil
}

// demoInputs returns the frames of all clips, as JPEG.
func demoInputs(size demoSize) (all []input, err error) {
	for _, c := range clips {
		demo := video.DemoConfig{Frames: size.frames, Width: size.width, Height: size.height, Faces: c.faces, Noise: c.noise}
		pictures, err := pictures(demo, c.light, feed.JPEG)
		if err != nil {
			return nil, err
		}
		some, err := inputs(pictures)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// readLabels returns the pictures that a file names, which are beside it: it is a JSON
// object with a list of boxes for each name.
func readLabels(file string) ([]input, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the labels: %w", err)
	}
	var labels map[string][]record.Box
	if err := json.Unmarshal(data, &labels); err != nil {
		return nil, fmt.Errorf("reading the labels in %s: %w", file, err)
	}
	var pictures []video.Picture
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(file), name))
		if err != nil {
			return nil, fmt.Errorf("reading a labelled picture: %w", err)
		}
		pictures = append(pictures, video.Picture{Name: name, JPEG: data, Faces: labels[name]})
	}
	return inputs(pictures)
}

// detectEach gives each preset the same frames, in turn, so that what else the machine
// does at the time slows all of them. What they do is also added to the tallies of all
// pictures.
func detectEach(ctx context.Context, inputs []input, every []tally) ([]tally, error) {
	detectors := make([]*face.Detector, len(face.Presets))
	for i, name := range face.Presets {
		var err error
		if detectors[i], err = newDetector(name); err != nil {
			return nil, err
		}
		defer detectors[i].Close()
	}
	tallies := make([]tally, len(detectors))
	for _, in := range inputs {
		for i, d := range detectors {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			found, err := d.Detect(in.frame)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", face.Presets[i], err)
			}
			tallies[i].add(in.faces, found)
			every[i].add(in.faces, found)
		}
	}
	return tallies, nil
}

// tally is what a preset did with some frames.
type tally struct {
	millis            []float64 // for each frame
	sum               float64   // of them
	faces, found      int       // labels, and those with a box
	large, foundLarge int       // of them, those of largeFace and more
	falseBoxes        int       // without a label
}

// add compares what was found in a frame with its labels.
func (t *tally) add(labels []record.Box, d face.Detection) {
	t.millis, t.sum = append(t.millis, d.Millis), t.sum+d.Millis
	t.faces += len(labels)
	t.falseBoxes += len(d.Faces)
	for i, matched := range match(labels, d.Faces) {
		large := min(labels[i].Width, labels[i].Height) >= largeFace
		if large {
			t.large++
		}
		if matched {
			t.found++
			t.falseBoxes--
		}
		if matched && large {
			t.foundLarge++
		}
	}
}

// match reports which labels have a box: the pairs with most in common first, each box
// and each label once, down to matchIoU.
func match(labels []record.Box, faces []face.Face) []bool {
	type pair struct {
		label, face int
		iou         float64
	}
	var pairs []pair
	for i, label := range labels {
		for j, f := range faces {
			if iou := label.IoU(f.Box); iou >= matchIoU {
				pairs = append(pairs, pair{i, j, iou})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(b.iou, a.iou) })
	matched, used := make([]bool, len(labels)), make([]bool, len(faces))
	for _, p := range pairs {
		if !matched[p.label] && !used[p.face] {
			matched[p.label], used[p.face] = true, true
		}
	}
	return matched
}

// detectRows sums up what each preset did; the first is parity.
func detectRows(pictures string, tallies []tally) (rows []detectRow) {
	for i, t := range tallies {
		slices.Sort(t.millis)
		frames := len(t.millis)
		rows = append(rows, detectRow{
			Pictures: pictures, Detector: face.Presets[i], Frames: frames, MedianMillis: t.millis[(frames-1)/2],
			FramesPerSec: ratio(1000*float64(frames), t.sum), TimesParity: ratio(tallies[0].sum, t.sum),
			Faces: t.faces, Recall: ratio(float64(t.found), float64(t.faces)), RecallLarge: ratio(float64(t.foundLarge), float64(t.large)),
			FalsePer100: ratio(100*float64(t.falseBoxes), float64(frames)),
		})
	}
	return rows
}

// ratio is nil where there is nothing to compare with.
func ratio(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	return new(a / b)
}
