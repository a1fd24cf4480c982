package face

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

var everything = Output{Frame: true, Annotated: true, Crops: true, Events: true}

// picturesOf returns the pictures of an entry by what follows the record in their
// names.
func picturesOf(t *testing.T, e store.Entry) map[string]image.Image {
	t.Helper()
	pictures := map[string]image.Image{}
	for _, f := range e.Files {
		const record = "door/2023/11/14/22/video+3+00000000000000000099"
		extension, ok := strings.CutPrefix(f.Name, record)
		if !ok {
			t.Fatalf("there is a file %s", f.Name)
		}
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		pictures[extension] = img
	}
	return pictures
}

// TestFiles makes files of a frame of each format with two faces, one of which is at
// the picture's edge.
func TestFiles(t *testing.T) {
	colour := decoded(t, readPhoto(t), gocv.IMReadColor)
	grey := greyOf(t, colour)
	landmarks := landmarksAt(230, 120, 270, 120, 250, 140, 235, 160, 265, 160)
	faces := []Face{{Box: box(200, 100, 100, 80), Landmarks: landmarks}, {Box: box(600, 440, 40, 40)}}
	for _, tt := range []struct {
		name  string
		frame frame.Frame
		want  gocv.Mat
	}{
		{"raw", rawFrame(colour), colour},
		{"RGB", rgbFrame(colour), colour},
		{"JPEG", parse(t, readPhoto(t)), colour},
		{"PNG", parse(t, encoded(t, gocv.PNGFileExt, colour, gocv.IMWritePngCompression, 1)), colour},
		{"raw, grey", rawFrame(grey), grey},
		{"PNG, grey", parse(t, encoded(t, gocv.PNGFileExt, grey, gocv.IMWritePngCompression, 1)), grey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.frame
			before := bytes.Clone(f.Data)
			d := Detection{Frame: f, Width: 640, Height: 480, Faces: faces}
			o := everything
			o.CropMargin = 0.1
			files := func(o Output) store.Entry {
				return testkit.Value(Files(o, d))(t)
			}
			e := files(o)
			testkit.Equal(t, "the frame's own bytes", f.Data, before)
			if e.Faces != 2 || e.TimestampMillis != 1_700_000_000_123 || len(e.Events) != 2 {
				t.Errorf("entry of %d faces at %d with events %q", e.Faces, e.TimestampMillis, e.Events)
			}
			if !slices.EqualFunc(e.Files, files(o).Files, func(a, b store.File) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }) {
				t.Error("the second attempt differs")
			}
			pictures := picturesOf(t, e)
			if len(pictures) != 4 || len(e.Files) != 4 || e.Files[0].Name != "door/2023/11/14/22/video+3+00000000000000000099.jpg" {
				t.Fatalf("%d files, the first is %s", len(e.Files), e.Files[0].Name)
			}
			whole, lines := pictures[".jpg"], pictures[".annotated.jpg"]
			want := testkit.Value(tt.want.ToImage())(t)
			if diff := difference(whole, want, want.Bounds(), image.Point{}); whole.Bounds() != want.Bounds() || diff > 2 {
				t.Errorf("the frame of %v is stored as one of %v, whose samples differ by %.2f on average", want.Bounds(), whole.Bounds(), diff)
			}
			if f.Format == frame.JPEG && !bytes.Equal(e.Files[0].Data, f.Data) {
				t.Error("the JPEG was encoded anew")
			}
			for i, face := range faces {
				if crop, err := Crop(e.Files[0].Data, face.Box, o.CropMargin); f.Format == frame.JPEG && (err != nil || !bytes.Equal(crop, e.Files[2+i].Data)) {
					t.Errorf("face %d, cut out later: %d bytes, want those of %s (%v)", i+1, len(crop), e.Files[2+i].Name, err)
				}
			}
			testkit.Equal(t, "the annotated picture, and the frame", whole.Bounds(), lines.Bounds())
			for _, at := range []image.Point{{250, 100}, {200, 140}, {300, 140}, {600, 460}, {230, 120}, {265, 160}} {
				if r, g, b, _ := lines.At(at.X, at.Y).RGBA(); g < 3*r/2 || g < 3*b/2 || g < 0x6000 {
					t.Errorf("at %v there is nothing green, but %x %x %x", at, r, g, b)
				}
			}
			if diff := difference(whole, lines, image.Rect(0, 200, 560, 420), image.Pt(0, 200)); diff > 2 {
				t.Errorf("away from the boxes it differs from the frame by %.1f", diff)
			}
			for extension, area := range map[string]image.Rectangle{
				".face-1.jpg": image.Rect(190, 92, 310, 188), ".face-2.jpg": image.Rect(596, 436, 640, 480),
			} {
				crop := pictures[extension]
				if crop.Bounds().Size() != area.Size() {
					t.Errorf("%s has %v, want %v", extension, crop.Bounds().Size(), area.Size())
				} else if diff := difference(crop, whole, crop.Bounds(), area.Min); diff > 3 {
					t.Errorf("%s differs from that part of the frame by %.1f", extension, diff)
				}
			}
			for _, extension := range []string{".jpg", ".face-1.jpg"} {
				_, isGrey := pictures[extension].(*image.Gray)
				testkit.Equal(t, "whether it is grey, "+extension, isGrey, tt.want.Channels() == 1)
			}
			for list, want := range map[string][]string{
				"frame": {".jpg"}, "annotated": {".annotated.jpg"}, "crops": {".face-1.jpg", ".face-2.jpg"}, "events": nil,
			} {
				one := testkit.Value(ParseOutput(list))(t)
				e := files(one)
				if got := slices.Sorted(maps.Keys(picturesOf(t, e))); !slices.Equal(got, want) || len(e.Events) > 0 != (list == "events") {
					t.Errorf("%s: pictures %v, %d events", list, got, len(e.Events))
				}
			}
		})
	}
}

// difference is by how much a sample of a's area differs on average from b's,
// which begins at a point.
func difference(a, b image.Image, area image.Rectangle, at image.Point) float64 {
	sum := 0.0
	for y := range area.Dy() {
		for x := range area.Dx() {
			p := color.NRGBAModel.Convert(a.At(area.Min.X+x, area.Min.Y+y)).(color.NRGBA)
			q := color.NRGBAModel.Convert(b.At(at.X+x, at.Y+y)).(color.NRGBA)
			sum += math.Abs(float64(p.R)-float64(q.R)) + math.Abs(float64(p.G)-float64(q.G)) + math.Abs(float64(p.B)-float64(q.B))
		}
	}
	return sum / float64(3*area.Dx()*area.Dy())
}

// TestBoxOutsideThePicture is what no detection gives: it must not reach OpenCV.
func TestBoxOutsideThePicture(t *testing.T) {
	m := gocv.NewMatWithSize(48, 64, gocv.MatTypeCV8UC1)
	defer m.Close()
	f := rawFrame(m)
	for _, b := range []record.Box{box(64, 0, 5, 5), box(-10, 0, 5, 5), box(0, 0, 0, 0)} {
		_, err := Files(Output{Crops: true}, Detection{Frame: f, Width: 64, Height: 48, Faces: []Face{{Box: b}}})
		testkit.Says(t, fmt.Sprint(b), err, "not in the picture of 64x48", "offset 99")
		b.X *= 10
		_, err = Crop(readPhoto(t), b, 0)
		testkit.Says(t, fmt.Sprint(b), err, "not in the picture of 640x480")
	}
	for _, no := range [][]byte{nil, []byte("x"), readPhoto(t)[:20_000], bytes.Repeat([]byte("<svg>"), 1000)} {
		if _, err := Crop(no, box(0, 0, 9, 9), 0); err == nil {
			t.Errorf("%d bytes that are no JPEG have a crop", len(no))
		}
	}
}

func TestEvents(t *testing.T) {
	f := frame.Frame{ID: record.In("video", 3).At(99), TimestampMillis: 1_700_000_000_123, Camera: "front \xff\"door\"", Format: frame.JPEG, Data: []byte("x")}
	d := Detection{Frame: f, Width: 640, Height: 480, Millis: 12.34567, Faces: []Face{
		{Box: box(10, 48, 64, 96), Blur: 17.987}, {Box: box(320, 240, 320, 240), Score: 0.913, Landmarks: landmarksAt(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)},
	}}
	e, err := Files(Output{Frame: true, Crops: true, Events: true, Detector: "fast", SettingsSHA256: "abc"}, d)
	if err == nil || len(e.Events) > 0 { // "x" is no JPEG, from which crops could be made
		t.Errorf("got %q, %v", e.Events, err)
	}
	e = testkit.Value(Files(Output{Events: true, Detector: "fast", SettingsSHA256: "abc"}, d))(t)
	const head = `{"topic":"video","partition":3,"offset":99,"camera":"front \ufffd\"door\"","timestamp":"2023-11-14T22:13:20.123Z","timestamp_ms":1700000000123,`
	const tail = `"picture":"","annotated":"","crop":"","detector":"fast","settings_sha256":"abc","detect_ms":12.346}`
	want := []string{
		head + `"face":1,"faces":2,"frame_width":640,"frame_height":480,"box":{"x":10,"y":48,"width":64,"height":96},"box_normalized":{"x":0.015625,"y":0.1,"width":0.1,"height":0.2},"blur":17.99,"score":null,"landmarks":null,` + tail,
		head + `"face":2,"faces":2,"frame_width":640,"frame_height":480,"box":{"x":320,"y":240,"width":320,"height":240},"box_normalized":{"x":0.5,"y":0.5,"width":0.5,"height":0.5},"blur":0,"score":0.913,"landmarks":{"right_eye":{"x":1,"y":2},"left_eye":{"x":3,"y":4},"nose_tip":{"x":5,"y":6},"right_mouth_corner":{"x":7,"y":8},"left_mouth_corner":{"x":9,"y":10}},` + tail,
	}
	testkit.Equal(t, "the events", e.Events, want)

	// Microseconds, and none at all.
	for _, number := range []int64{1_700_000_000_123_456, -1} {
		d.Frame.TimestampMillis = number
		e, err = Files(Output{Events: true}, d)
		if want := fmt.Sprintf(`"timestamp":null,"timestamp_ms":%d,`, number); err != nil || len(e.Events) != 2 || !strings.Contains(e.Events[0], want) {
			t.Errorf("got %q, %v, want %s", e.Events, err, want)
		}
	}

	d.Frame.Camera, d.Frame.TimestampMillis = "door", f.TimestampMillis
	row := rowOf(everything, d)
	row.Picture, row.Annotated, row.Faces[1].Crop = []byte("x"), []byte("x"), []byte("x")
	row.Complete()
	lines, err := EventsOf(row)
	const record = `"door/2023/11/14/22/video+3+00000000000000000099`
	paths := `"picture":` + record + `.jpg","annotated":` + record + `.annotated.jpg","crop":` + record + `.face-2.jpg",`
	if err != nil || len(lines) != 2 || !strings.Contains(lines[1], paths) {
		t.Errorf("got %q, %v, want %s", lines, err, paths)
	}
}

// A row has the pictures that would be files, under the same names, and the same events.
func TestRow(t *testing.T) {
	d := Detection{Width: 640, Height: 480, Faces: []Face{{Box: box(10, 48, 64, 96)}, {Box: box(320, 240, 100, 100), Score: 0.9, Landmarks: landmarksAt(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}}}
	d.Frame = frame.Frame{ID: record.In("video", 3).At(99), TimestampMillis: 1_700_000_000_123, Camera: "door", Format: frame.JPEG, Data: readPhoto(t)}
	for _, write := range []string{"frame,annotated,crops,events", "crops", "annotated,events"} {
		o := testkit.Value(ParseOutput(write))(t)
		files := testkit.Value(Files(o, d))(t)
		o.Rows = true
		e := testkit.Value(Files(o, d))(t)
		var got []store.File
		for _, p := range store.PicturesOf(e.Row) {
			data := map[store.Kind][]byte{store.KindPicture: e.Row.Picture, store.KindAnnotated: e.Row.Annotated, store.KindFace: e.Row.Faces[max(0, p.Face-1)].Crop}[p.Kind]
			got = append(got, store.File{Name: p.Name, Data: data})
		}
		if !reflect.DeepEqual(got, files.Files) || !reflect.DeepEqual(e.Tally, files.Tally) || len(e.Files) > 0 {
			t.Errorf("%s: the row has other pictures or events than the files: %d and %d", write, len(got), len(files.Files))
		}
	}
}
