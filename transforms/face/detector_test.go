package face

import (
	"fmt"
	"image"
	"image/color/palette"
	"slices"
	"sync"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

// picture has the number of faces that a person sees.
type picture struct {
	mat   gocv.Mat // blue, green, red
	faces int
}

func pictures(t *testing.T) map[string]picture {
	original := decoded(t, readPhoto(t), gocv.IMReadColor)
	mirrored := derived(t, func(to *gocv.Mat) { gocv.Flip(original, to, 1) })
	resize := func(from gocv.Mat, to *gocv.Mat, width, height int) {
		gocv.Resize(from, to, image.Pt(width, height), 0, 0, gocv.InterpolationArea)
	}
	return map[string]picture{
		"as it is":              {original, 1},
		"mirrored":              {mirrored, 1},
		"half the size":         {derived(t, func(to *gocv.Mat) { resize(original, to, 320, 240) }), 1},
		"two beside each other": {derived(t, func(to *gocv.Mat) { gocv.Hconcat(original, mirrored, to) }), 2},
		"two of odd size": {derived(t, func(to *gocv.Mat) {
			gocv.Vconcat(mirrored, original, to)
			resize(*to, to, 401, 603)
		}), 2},
		"upside down": {derived(t, func(to *gocv.Mat) { gocv.Flip(original, to, 0) }), 0},
		"one colour": {derived(t, func(to *gocv.Mat) {
			original.CopyTo(to)
			to.SetTo(gocv.NewScalar(90, 120, 200, 0))
		}), 0},
	}
}

// TestParity compares the boxes with those of gocv's own classifier.
func TestParity(t *testing.T) {
	oracle, d := loadOracle(t), newDetector(t, defaultParams(t))
	for name, p := range pictures(t) {
		check := func(grey gocv.Mat, frames ...frame.Frame) {
			t.Helper()
			want := sorted(oracle.DetectMultiScale(grey))
			for _, f := range frames {
				got := mustFind(t, d, f)
				if slices.Equal(got, want) && len(got) == p.faces {
					continue
				}
				t.Errorf("%s as %s: got %v, gocv gives %v, there are %d faces", name, f.Format, got, want, p.faces)
			}
		}
		grey := greyOf(t, p.mat)
		check(grey, rawFrame(p.mat), rgbFrame(p.mat), rawFrame(grey))
		for _, file := range [][]byte{
			encoded(t, gocv.JPEGFileExt, p.mat, gocv.IMWriteJpegQuality, 90),
			encoded(t, gocv.JPEGFileExt, p.mat, gocv.IMWriteJpegQuality, 60, gocv.IMWriteJpegProgressive, 1),
			encoded(t, gocv.PNGFileExt, p.mat, gocv.IMWritePngCompression, 1),
		} {
			check(decoded(t, file, gocv.IMReadGrayScale), parse(t, file))
		}
	}
}

// TestParityWithParams compares other settings than the defaults.
func TestParityWithParams(t *testing.T) {
	oracle, file := loadOracle(t), readPhoto(t)
	grey := decoded(t, file, gocv.IMReadGrayScale)
	for _, tt := range []struct {
		scale          float64
		neighbors, min int
	}{{1.2, 3, 48}, {1.1, 0, 0}, {1.3, 1, 0}, {1.1, 3, 400}, {10, 3, 16384}} {
		p := defaultParams(t)
		p.ScaleFactor, p.MinNeighbors, p.MinFace = tt.scale, tt.neighbors, tt.min
		testkit.Must(t, p.Validate())
		got := mustFind(t, newDetector(t, p), parse(t, file))
		want := sorted(oracle.DetectMultiScaleWithParams(grey, tt.scale, tt.neighbors, 0, image.Pt(tt.min, tt.min), image.Pt(0, 0)))
		testkit.Equal(t, tt, got, want)
	}
}

// TestThreads demands the same boxes in the same order of every preset, however many
// threads and detectors there are at a time.
func TestThreads(t *testing.T) {
	single := decoded(t, readPhoto(t), gocv.IMReadColor)
	double := derived(t, func(to *gocv.Mat) {
		gocv.Hconcat(single, single, to)
		gocv.Resize(*to, to, image.Pt(480, 180), 0, 0, gocv.InterpolationArea)
	})
	f := rawFrame(double)
	all := presetParams(t)
	network := anyNetwork(t)
	network.DetectWidth = 480
	all["network"] = network
	for name, p := range all {
		want := mustFind(t, newDetector(t, p), f)
		if len(want) < 2 {
			t.Fatalf("%s: got %v, want two faces", name, want)
		}
		for _, n := range []int{-1, 1, 2, 3} {
			testkit.Must(t, setThreads(n))
			var wg sync.WaitGroup
			for range 3 {
				d := newDetector(t, p)
				wg.Go(func() {
					found, err := d.Detect(f)
					if got := boxesOf(found); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s, %d threads: got %v, %v, want %v", name, n, got, err, want)
					}
				})
			}
			wg.Wait()
		}
	}
	testkit.Must(t, setThreads(1))
}

// TestOddPictures sends what Decode lets through and OpenCV may not like, with the
// defaults and with everything on.
func TestOddPictures(t *testing.T) {
	everything := withProfile(t, defaultParams(t))
	everything.Equalize, everything.Downscale = true, MaxDownscale
	for _, p := range []Params{defaultParams(t), everything} {
		d := newDetector(t, p)
		for _, size := range []image.Point{{1, 1}, {334, 1}, {1, 334}, {19, 19}, {20, 20}, {21, 21}, {201, 207}, {16384, 1}, {1, 16384}, {16384, 21}, {21, 16384}} {
			raw := frame.Frame{Format: frame.BGR, Width: int32(size.X), Height: int32(size.Y), Data: make([]byte, size.X*size.Y*3)}
			file := append(frametest.JPEG(image.NewGray(image.Rectangle{Max: size})), make([]byte, frame.MinBytes)...)
			for _, f := range []frame.Frame{raw, parse(t, file)} {
				if found, err := d.Detect(f); err != nil || len(found.Faces) != 0 {
					t.Errorf("%s %v: got %v, %v", f.Format, size, found.Faces, err)
				}
			}
		}
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
		{frame.Frame{Format: frame.JPEG, Width: 8, Height: 8, Data: []byte{0xFF, 0xD8, 0xFF}}, "decoding the JPEG: "},
		{frame.Frame{Format: "gif"}, `unknown format "gif"`},
	} {
		_, err := d.Detect(tt.frame)
		testkit.Says(t, fmt.Sprintf("%s %dx%d", tt.frame.Format, tt.frame.Width, tt.frame.Height), err, tt.want)
	}
}

// TestExceptionIsAnError has OpenCV throw: it demands pictures of bytes.
func TestExceptionIsAnError(t *testing.T) {
	d := newDetector(t, defaultParams(t))
	floats := gocv.NewMatWithSize(100, 100, gocv.MatTypeCV32F)
	defer floats.Close()
	_, err := d.frontal.detect(floats, d.params)
	testkit.Says(t, "a picture of floats", err, "CV_8U")
	if found := mustFind(t, d, parse(t, readPhoto(t))); len(found) != 1 { // the classifier is none the worse for it
		t.Errorf("afterwards: got %v, want one face", found)
	}
}

// FuzzDetect sends values all the way to the bytes of pictures: what Parse lets
// through is a picture or a reject, is as grey as OpenCV makes it, and never an error or
// the end of the process. The checksums of PNGs are set right, or hardly one would come
// so far.
//
//	go test ./transforms/face -run '^$' -fuzz FuzzDetect -fuzztime 5m -fuzzminimizetime 1x
func FuzzDetect(f *testing.F) {
	const side = 20
	size, wide := image.Rect(0, 0, side, side), image.Rect(0, 0, 2*side, 33)
	colour, grey := frametest.Noise(image.NewRGBA(size)), frametest.Noise(image.NewGray(size))
	for _, name := range jpegs {
		f.Add(readJPEG(f, name), "")
	}
	for _, file := range [][]byte{
		frametest.JPEG(frametest.Noise(image.NewRGBA(wide))),
		frametest.JPEG(frametest.Noise(image.NewGray(wide))),
		readProgressive(f),
		frametest.PNG(colour, frametest.Chunk("eXIf", []byte(turned))),
		frametest.PNG(frametest.Noise(image.NewNRGBA64(size)), frametest.Chunk("gAMA", []byte{0, 0, 0xB1, 0x8F})),
		frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.Plan9))),
		frametest.InterlacedPNG(frametest.Noise(image.NewGray(wide)).(*image.Gray)),
		frametest.PNG(grey, frametest.Chunk("tEXt", make([]byte, frame.MinBytes)), frametest.Chunk("tRNS", []byte{0, 1})),
		make([]byte, side*side*3),
	} {
		f.Add(file, "")
	}
	f.Add(make([]byte, side*side*3), "video/x-raw;format=RGB;width=20;height=20")
	f.Add(make([]byte, side*side*3), "video/x-raw;format=GRAY8;width=60;height=20")
	p := quickParams(f)
	f.Fuzz(func(t *testing.T, data []byte, contentType string) {
		data = frametest.Repaired(data)
		header := []byte(contentType)
		frm, reject := frame.Parse(frame.Config{Width: side, Height: side},
			&kafka.Record{Value: &data, Headers: &[]kafka.Header{{Key: frame.ContentType, Value: &header}}})
		if reject != nil || frm.Width*frm.Height > 1<<16 {
			return
		}
		isPicture(t, newDetector(t, p), frm)
	})
}

// isPicture reports whether a frame of Parse is a picture, and not a reject. A JPEG is as
// grey as OpenCV makes it, and all files can be made of any picture.
func isPicture(t *testing.T, d *Detector, f frame.Frame) bool {
	t.Helper()
	found, err := d.Detect(f)
	colour, _, colourErr := colourMat(f, 20)
	if colourErr == nil {
		colour.Close()
	}
	if (err == nil) != (colourErr == nil) || err != nil && Reject(frame.Config{}, f, err) == nil {
		t.Errorf("a %s: grey it is %v, in colour %v", f.Format, err, colourErr)
	}
	if err != nil {
		return false
	}
	if f.Format == frame.JPEG {
		sameGrey(t, "the JPEG", f)
	}
	found.Faces = []Face{{Box: box(0, 0, 1, 1)}}
	testkit.Value(Files(everything, found))(t)
	return true
}
