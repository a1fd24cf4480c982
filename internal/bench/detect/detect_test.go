package detect

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/transforms/face"
)

const labels = "../../../testdata/labels.json"

// TestPresetsFind demands of each preset on a few frames what it was chosen for.
func TestPresetsFind(t *testing.T) {
	var inputs []input
	for _, s := range []size{{320, 240, 12}, {640, 480, 6}} {
		for _, c := range clipsOf(s) {
			clip, err := readClip(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			inputs = append(inputs, clip...)
		}
	}
	pictures, err := readLabels(labels)
	if err != nil {
		t.Fatal(err)
	}
	inputs = append(inputs, pictures...)
	var candidates []candidate
	for _, name := range face.Presets {
		p, err := face.NewPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		candidates = append(candidates, candidate{name, p})
	}
	tallies, err := measure(t.Context(), candidates, inputs)
	if err != nil {
		t.Fatal(err)
	}
	parity := tallies[0]
	if parity.large < 50 || parity.foundLarge < parity.large*95/100 {
		t.Fatalf("parity finds %d of %d faces: the pictures prove nothing", parity.foundLarge, parity.large)
	}
	for i, tt := range tallies {
		t.Logf("%s: %d of %d faces, %d of %d large ones, %d false boxes", face.Presets[i], tt.found, tt.faces, tt.foundLarge, tt.large, tt.falseBoxes)
		if tt.foundLarge*100 < parity.foundLarge*95 {
			t.Errorf("%s finds %d of the %d large faces that parity finds", face.Presets[i], tt.foundLarge, parity.foundLarge)
		}
		if face.Presets[i] == "balanced" && (tt.found*100 < parity.found*99 || tt.falseBoxes > parity.falseBoxes) {
			t.Errorf("balanced finds %d faces and %d false boxes, parity %d and %d", tt.found, tt.falseBoxes, parity.found, parity.falseBoxes)
		}
	}
}

func TestMatch(t *testing.T) {
	a, b := record.Box{X: 0, Y: 0, Width: 100, Height: 100}, record.Box{X: 40, Y: 0, Width: 100, Height: 100}
	for _, tt := range []struct {
		name          string
		labels, boxes []record.Box
		want          []bool
	}{
		{"the same", []record.Box{a}, []record.Box{a}, []bool{true}},
		{"one box for two labels", []record.Box{b, a}, []record.Box{a}, []bool{false, true}},
		{"two boxes for one label", []record.Box{a}, []record.Box{b, a}, []bool{true}},
		{"IoU of 0.4", []record.Box{a}, []record.Box{{X: 0, Y: 0, Width: 40, Height: 100}}, []bool{true}},
		{"IoU of 0.39", []record.Box{a}, []record.Box{{X: 0, Y: 0, Width: 39, Height: 100}}, []bool{false}},
		{"far away", []record.Box{a}, []record.Box{{X: 500, Y: 0, Width: 100, Height: 100}}, []bool{false}},
		{"no box", []record.Box{a}, nil, []bool{false}},
	} {
		if got := match(tt.labels, tt.boxes); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	found := face.Detection{Faces: []face.Face{{Box: b}, {Box: a}}}
	small := record.Box{X: 300, Y: 300, Width: 59, Height: 80}
	if got := score([]record.Box{a, small}, found); got.faces != 2 || got.found != 1 || got.large != 1 || got.foundLarge != 1 || got.falseBoxes != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestClips looks at what a clip does to the pictures.
func TestClips(t *testing.T) {
	mean := func(light float64) (sum int) {
		in, err := readClip(t.Context(), clip{video.DemoConfig{Frames: 1, Width: 320, Height: 240}, light})
		if err != nil || len(in) != 1 || len(in[0].faces) != 0 || in[0].frame.Width != 320 {
			t.Fatalf("got %v, %v", in, err)
		}
		return len(in[0].frame.Data)
	}
	if mean(0) >= mean(1) {
		t.Error("a black picture is as large a JPEG as a bright one")
	}
}

func TestRun(t *testing.T) {
	rows, err := run(t.Context(), labels, []size{{320, 240, 2}}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3*len(face.Presets) { // the size, the labelled, all
		t.Fatalf("%d rows", len(rows))
	}
	if r := rows[0]; r.Pictures != "320x240" || r.Detector != "parity" || r.Frames != 10 || r.Faces != 2*(1+3+1+2) {
		t.Errorf("got %+v", r)
	}
	var out bytes.Buffer
	if err := print(&out, rows, true); err != nil {
		t.Fatal(err)
	}
	var again []Row
	if err := json.Unmarshal(out.Bytes(), &again); err != nil || len(again) != len(rows) || again[4].Detector != rows[4].Detector {
		t.Errorf("%v: %s", err, &out)
	}
	out.Reset()
	if err := print(&out, rows, false); err != nil || strings.Count(out.String(), "\n") != len(rows)+1 {
		t.Errorf("%v: %s", err, &out)
	}
}

func TestMainStatus(t *testing.T) {
	for _, tt := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"--help", 0, "-labels", ""},
		{"--nonsense", 2, "", "nonsense"},
		{"now", 2, "", "only flags"},
		{"--labels=missing.json", 1, "", "missing.json"},
		{"--labels=detect.go", 1, "", "detect.go"},
	} {
		var stdout, stderr bytes.Buffer
		status := Main(t.Context(), []string{tt.args}, &stdout, &stderr)
		if status != tt.status || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%s: status %d, want %d: %s%s", tt.args, status, tt.status, &stdout, &stderr)
		}
	}
}
