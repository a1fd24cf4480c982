package face

import (
	"bytes"
	"image"
	"image/color/palette"
	"image/jpeg"
	"slices"
	"strings"
	"sync"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

// pictures gives pictures in colour with the number of faces that a person sees.
func pictures(t *testing.T) map[string]struct {
	mat   gocv.Mat
	faces int
} {
	original := decodeColour(t, readFile(t, photo))
	derive := func(change func(dst *gocv.Mat)) gocv.Mat {
		m := gocv.NewMat()
		t.Cleanup(func() { m.Close() })
		change(&m)
		return m
	}
	mirrored := derive(func(dst *gocv.Mat) { gocv.Flip(original, dst, 1) })
	return map[string]struct {
		mat   gocv.Mat
		faces int
	}{
		"as it is": {original, 1},
		"mirrored": {mirrored, 1},
		"half the size": {derive(func(dst *gocv.Mat) {
			gocv.Resize(original, dst, image.Pt(320, 240), 0, 0, gocv.InterpolationArea)
		}), 1},
		"two beside each other": {derive(func(dst *gocv.Mat) { gocv.Hconcat(original, mirrored, dst) }), 2},
		"two of odd size": {derive(func(dst *gocv.Mat) {
			gocv.Vconcat(mirrored, original, dst)
			gocv.Resize(*dst, dst, image.Pt(401, 603), 0, 0, gocv.InterpolationArea)
		}), 2},
		"upside down": {derive(func(dst *gocv.Mat) { gocv.Flip(original, dst, 0) }), 0},
		"one colour": {derive(func(dst *gocv.Mat) {
			m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(90, 120, 200, 0), 480, 640, gocv.MatTypeCV8UC3)
			defer m.Close()
			m.CopyTo(dst)
		}), 0},
	}
}

// sorted gives rectangles as boxes in the order that Detect promises.
func sorted(rects []image.Rectangle) []record.Box {
	var boxes []record.Box
	for _, r := range rects {
		boxes = append(boxes, box(int32(r.Min.X), int32(r.Min.Y), int32(r.Dx()), int32(r.Dy())))
	}
	slices.SortFunc(boxes, func(a, b record.Box) int {
		return slices.Compare([]int32{a.Y, a.X, a.Width, a.Height}, []int32{b.Y, b.X, b.Width, b.Height})
	})
	return boxes
}

// loadOracle gives gocv's own classifier with the default cascade.
func loadOracle(t *testing.T) gocv.CascadeClassifier {
	cascade := mustCascade(t)
	oracle := gocv.NewCascadeClassifier()
	t.Cleanup(func() { oracle.Close() })
	if !oracle.Load(cascade) {
		t.Fatalf("gocv does not load %s", cascade)
	}
	return oracle
}

// TestParity compares the boxes with those of gocv's own classifier.
func TestParity(t *testing.T) {
	oracle := loadOracle(t)
	d := newDetector(t, defaultParams(t))

	check := func(t *testing.T, f frame.Frame, grey gocv.Mat, faces int) {
		t.Helper()
		want := sorted(oracle.DetectMultiScale(grey))
		got, err := boxes(d.Detect(f))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, gocv gives %v", f.Format, got, want)
		}
		if len(got) != faces {
			t.Errorf("%s: %d faces found, there are %d", f.Format, len(got), faces)
		}
	}
	for name, p := range pictures(t) {
		t.Run(name, func(t *testing.T) {
			grey := gocv.NewMat()
			defer grey.Close()
			gocv.CvtColor(p.mat, &grey, gocv.ColorBGRToGray)
			check(t, rawFrame(p.mat), grey, p.faces)
			check(t, rgbFrame(p.mat), grey, p.faces)
			check(t, greyFrame(grey), grey, p.faces)

			for _, params := range [][]int{
				{gocv.IMWriteJpegQuality, 90},
				{gocv.IMWriteJpegQuality, 60, gocv.IMWriteJpegProgressive, 1},
			} {
				file := encodeJPEG(t, p.mat, params...)
				grey, err := gocv.IMDecode(file, gocv.IMReadGrayScale)
				if err != nil {
					t.Fatal(err)
				}
				defer grey.Close()
				check(t, parse(t, file), grey, p.faces)
			}

			asPNG := pngFrame(t, p.mat)
			ofPNG, err := gocv.IMDecode(asPNG.Data, gocv.IMReadGrayScale)
			if err != nil {
				t.Fatal(err)
			}
			defer ofPNG.Close()
			check(t, asPNG, ofPNG, p.faces)
		})
	}
}

// TestParityWithParams compares other settings than the defaults.
func TestParityWithParams(t *testing.T) {
	oracle := loadOracle(t)
	file := readFile(t, photo)
	grey, err := gocv.IMDecode(file, gocv.IMReadGrayScale)
	if err != nil {
		t.Fatal(err)
	}
	defer grey.Close()
	f := parse(t, file)
	for _, tt := range []struct {
		scale          float64
		neighbors, min int
	}{{1.2, 3, 48}, {1.1, 0, 0}, {1.3, 1, 0}, {1.1, 3, 400}, {10, 3, 16384}} {
		p := defaultParams(t)
		p.ScaleFactor, p.MinNeighbors, p.MinFace = tt.scale, tt.neighbors, tt.min
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := boxes(newDetector(t, p).Detect(f))
		if err != nil {
			t.Fatal(err)
		}
		want := sorted(oracle.DetectMultiScaleWithParams(grey, tt.scale, tt.neighbors, 0, image.Pt(tt.min, tt.min), image.Pt(0, 0)))
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, gocv gives %v", tt, got, want)
		}
	}
}

// TestThreads demands the same boxes in the same order, however many threads
// and detectors there are.
func TestThreads(t *testing.T) {
	file := readFile(t, photo)
	single := decodeColour(t, file)
	double := gocv.NewMat()
	defer double.Close()
	gocv.Hconcat(single, single, &double)
	gocv.Resize(double, &double, image.Pt(480, 180), 0, 0, gocv.InterpolationArea)
	f := rawFrame(double)

	all := defaultParams(t)
	want, err := boxes(newDetector(t, all).Detect(f))
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 2 {
		t.Fatalf("got %v, want two faces", want)
	}
	var wg sync.WaitGroup
	for n := range 4 {
		p := all
		p.Threads = n
		d := newDetector(t, p)
		wg.Go(func() {
			for range 3 {
				got, err := boxes(d.Detect(f))
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%d threads: got %v, %v, want %v", n, got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestOddPictures sends what Decode lets through and OpenCV may not like.
func TestOddPictures(t *testing.T) {
	d := newDetector(t, defaultParams(t))
	for _, size := range []image.Point{{334, 1}, {1, 334}, {19, 19}, {20, 20}, {21, 21}, {16384, 1}, {1, 16384}, {16384, 21}, {21, 16384}} {
		f := frame.Frame{Format: frame.BGR, Width: int32(size.X), Height: int32(size.Y), Data: make([]byte, size.X*size.Y*3)}
		if found, err := boxes(d.Detect(f)); err != nil || len(found) != 0 {
			t.Errorf("raw %v: got %v, %v", size, found, err)
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, image.NewGray(image.Rectangle{Max: size}), nil); err != nil {
			t.Fatal(err)
		}
		file := append(b.Bytes(), make([]byte, frame.MinBytes)...)
		if found, err := boxes(d.Detect(parse(t, file))); err != nil || len(found) != 0 {
			t.Errorf("JPEG %v: got %v, %v", size, found, err)
		}
	}
}

// TestJPEGThatOpenCVRefuses takes a photograph that has lost the marker of a
// quantization table: Go decodes it, libjpeg does not.
func TestJPEGThatOpenCVRefuses(t *testing.T) {
	file := readFile(t, photo)
	table := []byte{0xFF, 0xDB}
	i := bytes.LastIndex(file[:1000], table)
	if i < 0 {
		t.Fatal("the photograph has no quantization table")
	}
	file[i] = 0
	m, err := gocv.IMDecode(file, gocv.IMReadGrayScale)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !m.Empty() {
		t.Fatal("OpenCV decodes the damaged photograph")
	}
	found, err := boxes(newDetector(t, defaultParams(t)).Detect(parse(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	// The table of the colours is lost, and the grey picture is whole.
	want, err := boxes(newDetector(t, defaultParams(t)).Detect(parse(t, readFile(t, photo))))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(want) {
		t.Errorf("got %v, about %v of the whole photograph are right", found, want)
	}
}

func TestDetectRefusesWhatDecodeDoesNotGive(t *testing.T) {
	d := newDetector(t, defaultParams(t))
	for _, tt := range []struct {
		frame frame.Frame
		want  string
	}{
		{frame.Frame{Format: frame.BGR, Width: 640, Height: 480, Data: make([]byte, 921_599)}, "640x480 pixels cannot have 921599 bytes"},
		{frame.Frame{Format: frame.RGB, Width: 640, Height: 480, Data: make([]byte, 921_601)}, "640x480 pixels cannot have 921601 bytes"},
		{frame.Frame{Format: frame.Grey, Width: 640, Height: 480, Data: make([]byte, 921_600)}, "640x480 pixels cannot have 921600 bytes"},
		{frame.Frame{Format: frame.BGR}, "0x0 pixels"},
		{frame.Frame{Format: frame.BGR, Width: -1, Height: -1, Data: make([]byte, 3)}, "-1x-1"},
		{frame.Frame{Format: frame.BGR, Width: 1 << 30, Height: 1 << 30}, "cannot have 0 bytes"},
		{frame.Frame{Format: frame.JPEG}, "is none"},
		{frame.Frame{Format: frame.JPEG, Data: []byte("GIF89a")}, "is none"},
		{frame.Frame{Format: frame.PNG}, "is none"},
		{frame.Frame{Format: frame.PNG, Data: []byte("\x89PNG\r\n\x1a\n")}, "decoding the png"},
		{frame.Frame{Format: frame.JPEG, Data: []byte{0xFF, 0xD8, 0xFF}}, "decoding the jpeg"},
		{frame.Frame{Format: "gif"}, `unknown format "gif"`},
	} {
		found, err := d.Detect(tt.frame)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %dx%d: got %v, %v, want an error with %q", tt.frame.Format, tt.frame.Width, tt.frame.Height, found, err, tt.want)
		}
	}
}

// TestExceptionIsAnError has OpenCV throw: it demands pictures of bytes.
func TestExceptionIsAnError(t *testing.T) {
	p := defaultParams(t)
	c, err := classifiers.lease(p.Cascade)
	if err != nil {
		t.Fatal(err)
	}
	defer classifiers.giveBack(c)
	floats := gocv.NewMatWithSize(100, 100, gocv.MatTypeCV32F)
	defer floats.Close()
	if boxes, err := c.detect(floats, p); err == nil || !strings.Contains(err.Error(), "CV_8U") {
		t.Errorf("got %v, %v, want OpenCV's own words about CV_8U", boxes, err)
	}
	// The classifier is none the worse for it.
	d := &Detector{params: p, classifier: c}
	if found, err := boxes(d.Detect(parse(t, readFile(t, photo)))); err != nil || len(found) != 1 {
		t.Errorf("afterwards: got %v, %v, want one face", found, err)
	}
}

// FuzzDetect sends values all the way to the bytes of a picture: nothing that
// Parse lets through is an error, or ends the process. The checksums of PNGs are
// set right, or hardly one would come so far.
//
//	go test ./transforms/face -run '^$' -fuzz FuzzDetect -fuzztime 5m -fuzzminimizetime 1x
func FuzzDetect(f *testing.F) {
	const side = 20
	size := image.Rect(0, 0, side, side)
	colour, grey := frametest.Noise(image.NewRGBA(size)), frametest.Noise(image.NewGray(size))
	f.Add(frametest.JPEG(frametest.Noise(image.NewRGBA(image.Rect(0, 0, 40, 24)))), "")
	f.Add(frametest.JPEG(frametest.Noise(image.NewGray(image.Rect(0, 0, 40, 33)))), "image/jpeg")
	f.Add(readFile(f, progressive), "")
	f.Add(frametest.PNG(colour, frametest.Chunk("eXIf", []byte(turned))), "image/png")
	f.Add(frametest.PNG(frametest.Noise(image.NewNRGBA64(size)), frametest.Chunk("gAMA", []byte{0, 0, 0xB1, 0x8F})), "")
	f.Add(frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.Plan9))), "")
	f.Add(frametest.InterlacedPNG(frametest.Noise(image.NewGray(image.Rect(0, 0, 40, 33))).(*image.Gray)), "")
	f.Add(frametest.PNG(grey, frametest.Chunk("tEXt", make([]byte, frame.MinBytes)), frametest.Chunk("tRNS", []byte{0, 1})), "")
	f.Add(make([]byte, side*side*3), "")
	f.Add(make([]byte, side*side*3), "video/x-raw;format=RGB;width=20;height=20")
	f.Add(make([]byte, side*side*3), "video/x-raw;format=GRAY8;width=60;height=20")
	p := quick(f)
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		data = frametest.Repaired(data)
		header := []byte(contentType)
		frm, reject := frame.Parse(frame.Config{Width: side, Height: side},
			&kafka.Record{Value: &data, Headers: &[]kafka.Header{{Key: frame.ContentType, Value: &header}}})
		if reject != nil || frm.Width*frm.Height > 1<<16 {
			t.Skip()
		}
		d, err := NewDetector(p)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.Detect(frm); err != nil {
			t.Fatal(err)
		}
		if stored, err := jpegOf(frm); err != nil || len(stored) == 0 {
			t.Fatal(err)
		}
	})
}
