package video

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"image"
	"runtime"
	"sync"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
)

var (
	update      = flag.Bool("update", false, "write the golden files anew")
	checkFrames = flag.Int("frames", 24, "how many frames of the demo TestDemoDetected looks at: so many show every mix of faces")
)

const (
	goldenFile = "testdata/demo.sha256"
	// Debian's opencv-data, as scripts/setup.sh installs it.
	cascadeFile = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt.xml"
)

func newDemo(t testing.TB, frames int) *Demo {
	t.Helper()
	return testkit.Value(NewDemo(frames))(t)
}

func mustEncode(t testing.TB, p Picture) []byte {
	t.Helper()
	return testkit.Value(EncodeJPEG(p, 0))(t)
}

// The same frame has the same bytes and faces everywhere and for ever, with noise and without.
// TestDemoDetected shows that what was written here is right.
func TestDemoGolden(t *testing.T) {
	var got bytes.Buffer
	for _, noise := range []int{0, 20} {
		d := testkit.Value(NewDemoOf(DemoConfig{Width: DemoWidth, Height: DemoHeight, Faces: MixedFaces, Noise: noise}))(t)
		for _, i := range []int{0, 1, 2, 4, 33, 299, 2999, 1_000_000} {
			p := d.Frame(i)
			fmt.Fprintf(&got, "%x frame %d of noise %d, faces %v\n", sha256.Sum256(p.BGR), i, noise, p.Faces)
		}
	}
	if *update {
		testkit.WriteFile(t, goldenFile, got.Bytes())
	}
	testkit.Equal(t, "the demo's pixels", got.String(), string(testkit.ReadFile(t, goldenFile)))
}

// checkTruth demands a picture of a size with so many faces, squares within the
// picture and apart from each other.
func checkTruth(t *testing.T, p Picture, faces, width, height int) {
	_, err := p.Decoded()
	if p.Width != width || p.Height != height || err != nil || len(p.Faces) != faces {
		t.Errorf("%s is %dx%d with %d bytes and %d faces, want %dx%d with %d", p.Name, p.Width, p.Height, len(p.BGR), len(p.Faces), width, height, faces)
	}
	for i, f := range p.Faces {
		if f.Width != f.Height || !f.Rect().In(image.Rect(0, 0, width, height)) || i > 0 && f.Rect().Overlaps(p.Faces[i-1].Rect()) {
			t.Errorf("%s of %dx%d has faces at %+v", p.Name, width, height, p.Faces)
		}
	}
}

// OpenCV with default parameters finds each face exactly once, and nothing else, in
// raw frames and in JPEGs, and for every number of faces in every size of picture.
// This is what makes the demo's truth true.
func TestDemoDetected(t *testing.T) {
	if testing.Short() {
		t.Skip("detecting faces in hundreds of frames takes half a minute")
	}
	type job struct {
		demo  *Demo
		frame int
	}
	mixed := [12]int{1, 1, 0, 1, 2, 0, 1, 1, 0, 1, 1, 0} // faces of frames with MixedFaces
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		classifier := gocv.NewCascadeClassifier()
		defer classifier.Close()
		if !classifier.Load(cascadeFile) {
			t.Fatalf("%s cannot be loaded: run make setup", cascadeFile)
		}
		workers.Go(func() {
			for j := range jobs {
				p, cfg := j.demo.Frame(j.frame), j.demo.cfg
				checkFound(t, &classifier, p, fmt.Sprintf("as JPEG of %+v", cfg), greyOfJPEG(t, p))
				faces := cfg.Faces
				if cfg.Faces == MixedFaces {
					checkFound(t, &classifier, p, "raw", greyOfBGR(t, p))
					faces = mixed[j.frame%len(mixed)]
				}
				checkTruth(t, p, faces, cfg.Width, cfg.Height)
			}
		})
	}
	for _, cfg := range []DemoConfig{
		{Width: 640, Height: 480, Faces: MixedFaces},
		{Width: 640, Height: 480, Faces: 0},
		{Width: 640, Height: 480, Faces: 1},
		{Width: 640, Height: 480, Faces: 2},
		{Width: 640, Height: 480, Faces: 3},
		{Width: 640, Height: 480, Faces: 3, Noise: 10},
		{Width: 320, Height: 240, Faces: 3},
		{Width: 320, Height: 600, Faces: 1},
		{Width: 1280, Height: 720, Faces: 3},
		{Width: 1001, Height: 333, Faces: 2},
	} {
		d := testkit.Value(NewDemoOf(cfg))(t)
		step := 25
		if cfg.Faces == MixedFaces {
			step = 1
		}
		for i := 0; i < *checkFrames; i += step {
			jobs <- job{d, i}
		}
	}
	close(jobs)
	workers.Wait()
}

func checkFound(t *testing.T, classifier *gocv.CascadeClassifier, p Picture, format string, grey gocv.Mat) {
	defer grey.Close()
	if grey.Empty() {
		t.Errorf("%s %s cannot be decoded", p.Name, format)
		return
	}
	found := classifier.DetectMultiScale(grey)
	if len(found) != len(p.Faces) {
		t.Errorf("%s %s: %d faces were found, want %d: %v", p.Name, format, len(found), len(p.Faces), found)
	}
	for _, face := range p.Faces {
		best := 0.0
		for _, b := range found {
			best = max(best, face.IoU(record.BoxOf(b)))
		}
		if best < 0.7 {
			t.Errorf("%s %s: the face at %+v was not found there: %v", p.Name, format, face, found)
		}
	}
}

// greyOfBGR returns what the detector gets of a raw frame.
func greyOfBGR(t *testing.T, p Picture) gocv.Mat {
	grey := gocv.NewMat()
	colour, err := gocv.NewMatFromBytes(p.Height, p.Width, gocv.MatTypeCV8UC3, p.BGR)
	if err != nil {
		t.Error(err)
		return grey
	}
	defer colour.Close()
	gocv.CvtColor(colour, &grey, gocv.ColorBGRToGray)
	return grey
}

// greyOfJPEG returns what the detector gets of a JPEG frame.
func greyOfJPEG(t *testing.T, p Picture) gocv.Mat {
	data, err := EncodeJPEG(p, 0)
	if err != nil {
		t.Error(err)
		return gocv.NewMat()
	}
	grey, err := gocv.IMDecode(data, gocv.IMReadGrayScale)
	if err != nil {
		t.Error(err)
	}
	return grey
}
