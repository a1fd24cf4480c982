package bench

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testmodels"
	"facestream/transforms/face"
)

// TestPresetsFind demands of each preset of a cascade on a few frames what it was chosen for.
func TestPresetsFind(t *testing.T) {
	var said strings.Builder
	tables := testkit.Value((&bench{progress: &said}).detect(t.Context(), "../../testdata/labels.json", 1, []demoSize{{320, 240, 12}, {640, 480, 3}}))(t)
	rows := tables[0].rows.([]detectRow)
	each := len(rows) / 4 // two sizes, labelled, all
	if each < len(face.Cascades) || len(rows)%4 != 0 || !strings.Contains(said.String(), "left out: yunet: ") || !strings.Contains(said.String(), "--model=FILE") {
		t.Fatalf("%d rows, and it said %s", len(rows), &said)
	}
	if r := rows[0]; r.Pictures != "320x240" || r.Detector != parity || r.Frames != 5*12 || *r.TimesParity != 1 || r.MedianMillis <= 0 {
		t.Errorf("%+v", r)
	}
	every := rows[3*each:]
	if every[0].Faces < 50 || *every[0].RecallLarge < 0.95 {
		t.Fatalf("parity finds %v of %d faces: the pictures prove nothing", *every[0].RecallLarge, every[0].Faces)
	}
	for _, r := range every[:len(face.Cascades)] {
		if *r.RecallLarge < 0.95**every[0].RecallLarge {
			t.Errorf("%s finds %v of the large faces, parity %v", r.Detector, *r.RecallLarge, *every[0].RecallLarge)
		}
		if r.Detector == "balanced" && (*r.Recall < 0.99**every[0].Recall || r.FalseBoxes > every[0].FalseBoxes) {
			t.Errorf("balanced finds %v of the faces and %v false boxes, parity %v and %v", *r.Recall, r.FalseBoxes, *every[0].Recall, every[0].FalseBoxes)
		}
	}
}

// TestPhotographs demands of networks what they were chosen for: the faces in photographs,
// nearly all of them in those that may lie beside the checkout.
func TestPhotographs(t *testing.T) {
	testmodels.Download(t)
	type photographs struct {
		labels, model string
		recall        float64
		boxes         int // too many
	}
	all := []photographs{{"../../testdata/labels.json", "", 1, 0}}
	for _, labels := range testmodels.Shared(t, "faces/labels.xml") {
		for _, model := range testmodels.Shared(t, "models/yunet_*.onnx") {
			all = append(all, photographs{labels, model, 17.0 / 18, 2})
		}
	}
	for _, these := range all {
		tables := testkit.Value((&bench{progress: io.Discard, model: these.model}).detect(t.Context(), these.labels, 1, nil))(t)
		var text strings.Builder
		testkit.Must(t, printTables(&text, tables))
		t.Logf("%s\n%s", these.model, &text)
		networks := 0
		for _, r := range tables[0].rows.([]detectRow) {
			if !slices.Contains(face.Networks, r.Detector) {
				continue
			}
			if networks++; *r.Recall < these.recall || r.FalseBoxes > these.boxes {
				t.Errorf("%s with %q: recall %v, %d boxes too many", r.Detector, these.model, *r.Recall, r.FalseBoxes)
			}
		}
		if networks == 0 {
			t.Errorf("%s was looked at without a network", these.labels)
		}
	}
}

func TestReadLabels(t *testing.T) {
	dir := t.TempDir()
	testkit.WriteFile(t, filepath.Join(dir, "Jürgen.jpg"), testkit.ReadFile(t, "../../testdata/face.jpg"))
	const xml = "<?xml version='1.0' encoding='ISO-8859-1'?><?xml-stylesheet type='text/xsl' href='x.xsl'?>" +
		"<dataset><images><image file='J\xfcrgen.jpg' width='640' height='480'><box top='2' left='1' width='3' height='4'/><box top='6' left='5' width='7' height='8'/></image></images></dataset>"
	for content, want := range map[string]string{
		xml: "",
		`{"Jürgen.jpg":[{"x":1,"y":2,"width":3,"height":4},{"x":5,"y":6,"width":7,"height":8}]}`: "",
		`{}`:            "there are none",
		`<dataset/>`:    "there are none",
		`<dataset`:      "reading the labels in",
		`[1]`:           "reading the labels in",
		`{"no.jpg":[]}`: "no.jpg",
	} {
		file := filepath.Join(dir, "labels")
		testkit.WriteFile(t, file, []byte(content))
		got, err := readLabels(file)
		if want != "" {
			testkit.Says(t, content, err, want)
			continue
		}
		if err != nil || len(got) != 1 || !slices.Equal(got[0].faces, []record.Box{{X: 1, Y: 2, Width: 3, Height: 4}, {X: 5, Y: 6, Width: 7, Height: 8}}) {
			t.Errorf("%s: %+v, %v", content, got, err)
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
		testkit.Equal(t, name, match(tc.labels, tc.faces, 0.4), tc.want)
	}
}

func TestDetectRows(t *testing.T) {
	large, small := record.Box{Width: 100, Height: 100}, record.Box{X: 300, Width: 39, Height: 80}
	faces := []face.Face{box(40, 100), box(0, 100)}
	faces[0].Score, faces[1].Score = 0.9, 0.8
	first := tally{millis: []float64{30, 10, 20}, seen: []seen{{[]record.Box{large, small}, faces}, {}, {}}}
	rows := detectRows("some", []string{parity, "other"}, []tally{first, {millis: []float64{10}}})
	want := detectRow{"some", parity, 3, 20, new(1.0), 2, new(0.5), new(0.5), 1, new(0.0), nil, new(1.0), new(0.5), new(0.5)}
	if !equal(rows[0], want) || *rows[1].TimesParity != 2 || rows[1].Recall != nil {
		t.Errorf("got %+v, want %+v", rows, want)
	}
	for score, want := range map[float64]int{0: 2, 0.8: 2, 0.85: 1, 0.95: 0} {
		testkit.Equal(t, score, first.count(usualIoU, score).boxes, want)
	}
}
