package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/text/encoding/charmap"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/record"
	"facestream/transforms/face"
)

// usualIoU is what a box and a label must have in common to be the same face, strictIoU
// where the size of the box matters, too: detectors draw it in different sizes.
const usualIoU, strictIoU = 0.3, 0.5

// faceSizes are the classes of faces, by the shorter side of the label in pixels.
var faceSizes = []int32{0, 40, 64}

// labelledTimes is how often labelled pictures are looked at, of which there are few.
const labelledTimes = 5

// curveScores are the smallest scores at which a network is shown.
var curveScores = []float64{0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95}

var detect = command{
	name: "detect",
	about: fmt.Sprintf(`detect measures the presets of the face detector whose files are there: how fast each is
with one thread of OpenCV, the decoding of the JPEG included (ms are the median), and what
it finds on demo videos (three sizes; clean, noisy, dark and bright; none to three faces)
and on labelled pictures. A face is found if a box and its label share %.0f %% of what they
cover together, or %.0f %%; each box counts for one label. Precision is the part of the boxes
that have a label: not every face in a photograph has one. px are sides of labels.`, 100*usualIoU, 100*strictIoU),
	measure: func(ctx context.Context, b *bench, c choice) ([]table, error) {
		return b.detect(ctx, c.labels, labelledTimes, demoSizes)
	},
}

// detectRow is what a preset did with some pictures.
type detectRow struct {
	Pictures        string   `json:"pictures" col:"pictures"` // their size; labelled, or all
	Detector        string   `json:"detector" col:"detector"`
	Frames          int      `json:"frames" col:"frames"`
	MedianMillis    float64  `json:"median_ms" col:"ms/frame"`
	TimesParity     *float64 `json:"times_parity" col:"x parity"`
	Faces           int      `json:"faces" col:"faces"`
	Recall          *float64 `json:"recall" col:"recall"`
	Precision       *float64 `json:"precision" col:"precision"`
	FalseBoxes      int      `json:"false_boxes" col:"boxes too many"`
	RecallSmall     *float64 `json:"recall_below_40_px" col:"below 40 px"`
	RecallMedium    *float64 `json:"recall_40_to_63_px" col:"40 to 63 px"`
	RecallLarge     *float64 `json:"recall_64_px" col:"64 px and more"`
	StrictRecall    *float64 `json:"recall_iou_50" col:"recall at 50 %"`
	StrictPrecision *float64 `json:"precision_iou_50" col:"precision at 50 %"`
}

// curveRow is what a network finds on labelled pictures from a score on.
type curveRow struct {
	Detector   string   `json:"detector" col:"detector"`
	MinScore   float64  `json:"min_score" col:"smallest score"`
	Recall     *float64 `json:"recall" col:"recall"`
	FalseBoxes int      `json:"false_boxes" col:"boxes too many"`
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

// detect measures all presets on demo videos and, so many times, on the labelled pictures.
func (b *bench) detect(ctx context.Context, labels string, times int, sizes []demoSize) ([]table, error) {
	labelled, err := readLabels(labels)
	if err != nil {
		return nil, cli.Usagef("--labels: %w", err)
	}
	var names []string
	var detectors []*face.Detector
	for _, name := range face.Presets {
		d, err := b.newDetector(name, 0)
		if err != nil {
			b.say("left out: %v", err)
			continue
		}
		defer d.Close()
		names, detectors = append(names, name), append(detectors, d)
	}
	var rows []detectRow
	every := make([]tally, len(names))
	measure := func(pictures string, some []input, times int) error {
		b.say("%s: %d frames", pictures, len(some))
		tallies, err := detectEach(ctx, detectors, some, times)
		if err != nil {
			return err
		}
		for i, t := range tallies {
			every[i].millis, every[i].seen = append(every[i].millis, t.millis...), append(every[i].seen, t.seen...)
		}
		rows = append(rows, detectRows(pictures, names, tallies)...)
		return nil
	}
	for _, size := range sizes {
		some, err := demoInputs(size)
		if err == nil {
			err = measure(fmt.Sprintf("%dx%d", size.width, size.height), some, 1)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := measure("labelled", labelled, times); err != nil {
		return nil, err
	}
	rows = append(rows, detectRows("all", names, every)...)
	curve, err := b.curve(ctx, names, labelled)
	return []table{{title: "the detector's presets", rows: rows}, {title: "networks on the labelled pictures, by score", rows: curve}}, err
}

// curve shows what each network finds from each score on.
func (b *bench) curve(ctx context.Context, names []string, labelled []input) (rows []curveRow, err error) {
	for _, name := range names {
		if !slices.Contains(face.Networks, name) {
			continue
		}
		d, err := b.newDetector(name, face.MinMinScore)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		tallies, err := detectEach(ctx, []*face.Detector{d}, labelled, 1)
		if err != nil {
			return nil, err
		}
		for _, score := range curveScores {
			c := tallies[0].count(usualIoU, score)
			rows = append(rows, curveRow{name, score, c.recall(-1), c.boxes - sum(c.found)})
		}
	}
	return rows, nil
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

// readLabels returns the pictures that a file names, which are beside it. The file is XML as
// dlib's imglab writes it, or a JSON object with a list of boxes for each name.
func readLabels(file string) ([]input, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the labels: %w", err)
	}
	labels := map[string][]record.Box{}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		err = unmarshalXML(data, labels)
	} else {
		err = json.Unmarshal(data, &labels)
	}
	if err == nil && len(labels) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
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

// unmarshalXML adds the labels of dlib's XML, which says that it is Latin-1.
func unmarshalXML(data []byte, labels map[string][]record.Box) error {
	var dataset struct {
		Images []struct {
			File  string `xml:"file,attr"`
			Boxes []struct {
				Left   int32 `xml:"left,attr"`
				Top    int32 `xml:"top,attr"`
				Width  int32 `xml:"width,attr"`
				Height int32 `xml:"height,attr"`
			} `xml:"box"`
		} `xml:"images>image"`
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return charmap.ISO8859_1.NewDecoder().Reader(in), nil }
	err := d.Decode(&dataset)
	for _, image := range dataset.Images {
		labels[image.File] = []record.Box{}
		for _, b := range image.Boxes {
			labels[image.File] = append(labels[image.File], record.Box{X: b.Left, Y: b.Top, Width: b.Width, Height: b.Height})
		}
	}
	return err
}

// detectEach gives each detector the same frames, in turn, so that what else the machine
// does at the time slows all of them. The first frame of each size is not measured.
func detectEach(ctx context.Context, detectors []*face.Detector, inputs []input, times int) ([]tally, error) {
	tallies := make([]tally, len(detectors))
	known := map[[2]int32]bool{}
	for time := range times {
		for _, in := range inputs {
			size := [2]int32{in.frame.Width, in.frame.Height}
			for i, d := range detectors {
				if !known[size] {
					if _, err := d.Detect(in.frame); err != nil {
						return nil, err
					}
				}
				found, err := d.Detect(in.frame)
				if err := cmp.Or(err, ctx.Err()); err != nil {
					return nil, err
				}
				tallies[i].millis = append(tallies[i].millis, found.Millis)
				if time == 0 {
					tallies[i].seen = append(tallies[i].seen, seen{in.faces, found.Faces})
				}
			}
			known[size] = true
		}
	}
	return tallies, nil
}

// tally is what a detector did with some frames.
type tally struct {
	millis []float64
	seen   []seen
}

// seen are the labels of a frame, and the faces that were found in it.
type seen struct {
	labels []record.Box
	faces  []face.Face
}

// counts are labels and those that were found, by class of size, and all boxes.
type counts struct {
	labels, found [3]int
	boxes         int
}

// count compares what was found, with a smallest score, with the labels.
func (t tally) count(iou, minScore float64) (c counts) {
	for _, s := range t.seen {
		faces := slices.DeleteFunc(slices.Clone(s.faces), func(f face.Face) bool { return f.Score < minScore })
		c.boxes += len(faces)
		for i, matched := range match(s.labels, faces, iou) {
			size := len(faceSizes) - 1
			for min(s.labels[i].Width, s.labels[i].Height) < faceSizes[size] {
				size--
			}
			c.labels[size]++
			if matched {
				c.found[size]++
			}
		}
	}
	return c
}

// recall is that of a class of sizes, or of all of them if it is negative.
func (c counts) recall(size int) *float64 {
	if size >= 0 {
		return ratio(float64(c.found[size]), float64(c.labels[size]))
	}
	return ratio(float64(sum(c.found)), float64(sum(c.labels)))
}

func (c counts) precision() *float64 { return ratio(float64(sum(c.found)), float64(c.boxes)) }

func sum(n [3]int) int { return n[0] + n[1] + n[2] }

// match reports which labels have a box: the pairs with most in common first, each box
// and each label once, down to an IoU.
func match(labels []record.Box, faces []face.Face, least float64) []bool {
	type pair struct {
		label, face int
		iou         float64
	}
	var pairs []pair
	for i, label := range labels {
		for j, f := range faces {
			if iou := label.IoU(f.Box); iou >= least {
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
func detectRows(pictures string, names []string, tallies []tally) (rows []detectRow) {
	var parity float64
	for i, t := range tallies {
		slices.Sort(t.millis)
		frames := len(t.millis)
		median := t.millis[(frames-1)/2]
		if i == 0 {
			parity = median
		}
		usual, strict := t.count(usualIoU, 0), t.count(strictIoU, 0)
		rows = append(rows, detectRow{
			Pictures: pictures, Detector: names[i], Frames: frames, MedianMillis: median, TimesParity: ratio(parity, median),
			Faces: sum(usual.labels), Recall: usual.recall(-1), Precision: usual.precision(), FalseBoxes: usual.boxes - sum(usual.found),
			RecallSmall: usual.recall(0), RecallMedium: usual.recall(1), RecallLarge: usual.recall(2),
			StrictRecall: strict.recall(-1), StrictPrecision: strict.precision(),
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
