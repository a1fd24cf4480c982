package video

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"gocv.io/x/gocv"
)

var (
	update      = flag.Bool("update", false, "write the golden files anew")
	checkFrames = flag.Int("frames", 300, "how many frames of the demo TestDemoDetected looks at")
)

const (
	goldenFile = "testdata/demo.sha256"
	// Debian's opencv-data, as scripts/setup.sh installs it.
	cascadeFile = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_alt.xml"
)

func newDemo(t testing.TB, frames int) *Demo {
	t.Helper()
	d, err := NewDemo(frames)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDemoGolden(t *testing.T) {
	d := newDemo(t, 0)
	var got bytes.Buffer
	for _, i := range []int{0, 1, 2, 4, 33, 299, 2999, 1_000_000} {
		fmt.Fprintf(&got, "%x frame %d\n", sha256.Sum256(d.Frame(i).BGR), i)
	}
	if *update {
		if err := os.WriteFile(goldenFile, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the demo's pixels have changed; got\n%swant\n%s", &got, want)
	}
}

// Two demos give the same bytes, whichever frames were asked for before.
func TestDemoSameFrameSameBytes(t *testing.T) {
	inOrder, direct := newDemo(t, 0), newDemo(t, 0)
	for i := range 30 {
		a, err := inOrder.Next()
		if err != nil {
			t.Fatal(err)
		}
		b := direct.Frame(i)
		if a.Width != 640 || a.Height != 480 || len(a.BGR) != 921_600 {
			t.Fatalf("frame %d is %dx%d with %d bytes", i, a.Width, a.Height, len(a.BGR))
		}
		if !bytes.Equal(a.BGR, b.BGR) {
			t.Errorf("frame %d: its pixels differ from one time to the next", i)
		}
		first, err := EncodeJPEG(a)
		if err != nil {
			t.Fatal(err)
		}
		second, err := EncodeJPEG(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("frame %d: its JPEG differs from one time to the next", i)
		}
	}
}

func TestDemoEnds(t *testing.T) {
	d := newDemo(t, 2)
	for i := range 2 {
		if _, err := d.Next(); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if _, err := d.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
	if _, err := NewDemo(-1); err == nil {
		t.Error("a demo of -1 frames was accepted")
	}
}

// The faces are whole, apart from each other, and as many as the doc says; no
// picture comes twice; the JPEGs are about as large as a camera's.
func TestDemoPictures(t *testing.T) {
	const frames = 600
	d := newDemo(t, frames)
	seen := map[[sha256.Size]byte]int{}
	sizes := map[int]int{}
	total, encoded := 0, 0
	for i := range frames {
		p, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := 1
		switch {
		case i%3 == 2:
			want = 0
		case i%12 == 4:
			want = 2
		}
		if len(p.Faces) != want {
			t.Errorf("frame %d has %d faces, want %d", i, len(p.Faces), want)
		}
		for j, f := range p.Faces {
			sizes[f.Width]++
			if f.Width != f.Height || !rect(f).In(image.Rect(0, 0, 640, 480)) {
				t.Errorf("frame %d: the face %+v is not a square within the picture", i, f)
			}
			if j > 0 && rect(f).Overlaps(rect(p.Faces[0])) {
				t.Errorf("frame %d: the faces %+v overlap", i, p.Faces)
			}
		}
		sum := sha256.Sum256(p.BGR)
		if first, ok := seen[sum]; ok {
			t.Errorf("frames %d and %d are the same picture", first, i)
		}
		seen[sum] = i
		if i%10 == 0 {
			data, err := EncodeJPEG(p)
			if err != nil {
				t.Fatal(err)
			}
			total += len(data)
			encoded++
		}
	}
	if len(sizes) < 8 {
		t.Errorf("only %d sizes of faces: %v", len(sizes), sizes)
	}
	if mean := total / encoded; mean < 30_000 || mean > 40_000 {
		t.Errorf("a JPEG has %d bytes on average, want 30000 to 40000", mean)
	}
}

// OpenCV with default parameters finds each face exactly once, and nothing
// else, in raw frames and in JPEGs. This is what makes the demo's truth true.
func TestDemoDetected(t *testing.T) {
	if testing.Short() {
		t.Skip("detecting faces in hundreds of frames takes half a minute")
	}
	frames := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		classifier := gocv.NewCascadeClassifier()
		defer classifier.Close()
		if !classifier.Load(cascadeFile) {
			t.Fatalf("%s cannot be loaded: run make setup", cascadeFile)
		}
		d := newDemo(t, 0)
		workers.Go(func() {
			for i := range frames {
				p := d.Frame(i)
				checkFaces(t, &classifier, p, "raw", greyOfBGR(t, p))
				checkFaces(t, &classifier, p, "jpeg", greyOfJPEG(t, p))
			}
		})
	}
	for i := range *checkFrames {
		frames <- i
	}
	close(frames)
	workers.Wait()
}

func checkFaces(t *testing.T, classifier *gocv.CascadeClassifier, p Picture, format string, grey gocv.Mat) {
	defer grey.Close()
	if grey.Empty() {
		t.Errorf("%s as %s cannot be decoded", p.Name, format)
		return
	}
	found := classifier.DetectMultiScale(grey)
	if len(found) != len(p.Faces) {
		t.Errorf("%s as %s: %d faces were found, want %d: %v", p.Name, format, len(found), len(p.Faces), found)
	}
	for _, face := range p.Faces {
		best := 0.0
		for _, box := range found {
			common := area(box.Intersect(rect(face)))
			best = max(best, common/(area(box)+area(rect(face))-common))
		}
		if best < 0.7 {
			t.Errorf("%s as %s: the face at %+v was not found there: %v", p.Name, format, face, found)
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
	data, err := EncodeJPEG(p)
	if err != nil {
		t.Error(err)
		return gocv.NewMat()
	}
	grey, err := gocv.IMDecode(data, gocv.IMReadGrayScale)
	if err != nil {
		t.Errorf("%s: %v", p.Name, err)
	}
	return grey
}

func rect(b Box) image.Rectangle { return image.Rect(b.X, b.Y, b.X+b.Width, b.Y+b.Height) }

func area(r image.Rectangle) float64 { return float64(r.Dx() * r.Dy()) }

func BenchmarkDemo(b *testing.B) {
	d := newDemo(b, 0)
	b.Run("raw", func(b *testing.B) {
		for i := range b.N {
			d.Frame(i)
		}
	})
	b.Run("jpeg", func(b *testing.B) {
		for i := range b.N {
			if _, err := EncodeJPEG(d.Frame(i)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
