package bench

import (
	"io"
	"slices"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/face"
)

// TestPresetsFind demands of each preset on a few frames what it was chosen for.
func TestPresetsFind(t *testing.T) {
	rows, err := (&lab{progress: io.Discard}).detect(t.Context(), "../../testdata/labels.json", []demoSize{{320, 240, 12}, {640, 480, 6}})
	testkit.Must(t, err)
	if len(rows) != 4*len(face.Presets) { // two sizes, labelled, all
		t.Fatalf("%d rows", len(rows))
	}
	if r := rows[0]; r.Pictures != "320x240" || r.Detector != parity || r.Frames != 5*12 || *r.TimesParity != 1 || r.MedianMillis <= 0 {
		t.Errorf("%+v", r)
	}
	every := rows[3*len(face.Presets):]
	if every[0].Faces < 50 || *every[0].RecallLarge < 0.95 {
		t.Fatalf("parity finds %v of %d faces: the pictures prove nothing", *every[0].RecallLarge, every[0].Faces)
	}
	for _, r := range every {
		t.Logf("%s: recall %.3f, of large faces %.3f, %.2f false boxes in 100 frames", r.Detector, *r.Recall, *r.RecallLarge, *r.FalsePer100)
		if *r.RecallLarge < 0.95**every[0].RecallLarge {
			t.Errorf("%s finds %v of the large faces, parity %v", r.Detector, *r.RecallLarge, *every[0].RecallLarge)
		}
		if r.Detector == "balanced" && (*r.Recall < 0.99**every[0].Recall || *r.FalsePer100 > *every[0].FalsePer100) {
			t.Errorf("balanced finds %v of the faces and %v false boxes, parity %v and %v", *r.Recall, *r.FalsePer100, *every[0].Recall, *every[0].FalsePer100)
		}
	}
}

func box(x, width int32) face.Face {
	return face.Face{Box: record.Box{X: x, Width: width, Height: 100}}
}

func TestMatch(t *testing.T) {
	a, b := record.Box{X: 0, Width: 100, Height: 100}, record.Box{X: 40, Width: 100, Height: 100}
	for name, tc := range map[string]struct {
		labels []record.Box
		faces  []face.Face
		want   []bool
	}{
		"the same":                {[]record.Box{a}, []face.Face{box(0, 100)}, []bool{true}},
		"one box for two labels":  {[]record.Box{b, a}, []face.Face{box(0, 100)}, []bool{false, true}},
		"two boxes for one label": {[]record.Box{a}, []face.Face{box(40, 100), box(0, 100)}, []bool{true}},
		"IoU of 0.4":              {[]record.Box{a}, []face.Face{box(0, 40)}, []bool{true}},
		"IoU of 0.39":             {[]record.Box{a}, []face.Face{box(0, 39)}, []bool{false}},
		"far away":                {[]record.Box{a}, []face.Face{box(500, 100)}, []bool{false}},
		"no box":                  {[]record.Box{a}, nil, []bool{false}},
	} {
		if got := match(tc.labels, tc.faces); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

func TestTally(t *testing.T) {
	tallies := make([]tally, len(face.Presets))
	large, small := record.Box{Width: 100, Height: 100}, record.Box{X: 300, Width: 59, Height: 80}
	tallies[0].add([]record.Box{large, small}, face.Detection{Millis: 30, Faces: []face.Face{box(40, 100), box(0, 100)}})
	tallies[0].add(nil, face.Detection{Millis: 10})
	tallies[0].add(nil, face.Detection{Millis: 20})
	tallies[1].add(nil, face.Detection{Millis: 20})
	tallies[2].add(nil, face.Detection{Millis: 20})
	rows := detectRows("some", tallies)
	want := detectRow{"some", parity, 3, 20, new(50.0), new(1.0), 2, new(0.5), new(1.0), new(100.0 / 3)}
	if !equal(rows[0], want) || *rows[1].TimesParity != 3 || rows[1].Recall != nil {
		t.Errorf("got %+v, want %+v", rows, want)
	}
}
