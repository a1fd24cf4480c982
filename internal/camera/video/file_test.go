package video

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"

	"gocv.io/x/gocv"
)

// greys of the frames of the video that writeVideo makes.
var greys = []float64{40, 90, 140, 190, 240}

const plainFPS = 25 // of that video

// writeVideo makes a video of plain grey pictures.
func writeVideo(t *testing.T, width, height int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain.avi")
	w := testkit.Value(gocv.VideoWriterFile(path, "MJPG", plainFPS, width, height, true))(t)
	defer w.Close()
	for _, grey := range greys {
		mat := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(grey, grey, grey, 0), height, width, gocv.MatTypeCV8UC3)
		err := w.Write(mat)
		mat.Close()
		testkit.Must(t, err)
	}
	return path
}

func TestFile(t *testing.T) {
	path := writeVideo(t, 320, 176)
	file := testkit.ReadFile(t, path)
	source := testkit.Value(OpenFile(path))(t)
	defer source.Close()
	var pictures []Picture
	for {
		p, err := source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		testkit.Must(t, err)
		pictures = append(pictures, p)
	}
	if len(pictures) != len(greys) {
		t.Fatalf("%d frames, want %d", len(pictures), len(greys))
	}
	for i, p := range pictures { // all of them stay valid
		if !bytes.Contains(file, p.JPEG) || len(p.JPEG) == 0 {
			t.Errorf("frame %d has %d bytes, which are not the file's", i, len(p.JPEG))
		}
		p, err := p.Decoded()
		if err != nil || p.Width != 320 || p.Height != 176 {
			t.Errorf("frame %d is %dx%d with %d bytes: %v", i, p.Width, p.Height, len(p.BGR), err)
			continue
		}
		testkit.Equal(t, fmt.Sprintf("the time of frame %d", i), p.At, time.Duration(i)*time.Second/plainFPS)
		if got := float64(p.BGR[len(p.BGR)/2]); got < greys[i]-6 || got > greys[i]+6 {
			t.Errorf("frame %d has the grey %v, want about %v", i, got, greys[i])
		}
	}
	_, err := source.Next()
	testkit.Is(t, "after the end", err, io.EOF)
}

func TestFileErrors(t *testing.T) {
	video := testkit.ReadFile(t, writeVideo(t, 64, 48))
	dir := write(t, map[string][]byte{
		"text.mp4":  []byte("this is not a video"),
		"empty.mp4": nil,
		"cut.avi":   video[:200],
		"one.jpg":   frametest.JPEG(paint(64, 48)),
	})
	for name, want := range map[string]string{
		"text.mp4":    "not a video",
		"empty.mp4":   "not a video",
		"cut.avi":     "video",
		"one.jpg":     "give the folder",
		"missing.mp4": "no such file",
		"":            "not a file",
	} {
		source, err := OpenFile(filepath.Join(dir, name))
		if err == nil {
			source.Close()
		}
		testkit.Says(t, name, err, want)
	}
}

// A loop gives the same pictures again, while its time goes on evenly.
func TestLoop(t *testing.T) {
	path := writeVideo(t, 64, 48)
	source := testkit.Value(Loop(func() (Source, error) { return OpenFile(path) }))(t)
	var first []Picture
	for i := range 3 * len(greys) {
		p, err := source.Next()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		testkit.Equal(t, fmt.Sprintf("the time of frame %d", i), p.At, time.Duration(i)*time.Second/plainFPS)
		if first = append(first, p); !bytes.Equal(p.JPEG, first[i%len(greys)].JPEG) {
			t.Errorf("frame %d is not frame %d again", i, i%len(greys))
		}
	}
	testkit.Must(t, os.Remove(path))
	_, err := source.Next()
	testkit.Is(t, "the video is gone", err, os.ErrNotExist)
	testkit.Must(t, source.Close())
	_, err = Loop(func() (Source, error) { return OpenFile(path) })
	testkit.Is(t, "a missing video", err, os.ErrNotExist)
}

// rotations are the matrices of tkhd that turn a video clockwise (ISO 14496-12, 8.3.2).
var rotations = map[int][4]int32{0: {1, 0, 0, 1}, 90: {0, 1, -1, 0}, 180: {-1, 0, 0, -1}, 270: {0, -1, 1, 0}}

// turned returns an MP4 whose matrix says how it is to be turned.
func turned(t *testing.T, file []byte, matrix [4]int32) []byte {
	t.Helper()
	const behindType = 4 + 5*4 + 4*4 // version and flags; times, track, duration; layer, group, volume
	at := bytes.Index(file, []byte("tkhd"))
	if at < 0 {
		t.Fatal("the video has no tkhd")
	}
	file = bytes.Clone(file)
	for i, place := range []int{0, 1, 3, 4} { // of three rows of three
		binary.BigEndian.PutUint32(file[at+4+behindType+4*place:], uint32(matrix[i]<<16))
	}
	return file
}

// A phone's videos come upright, turned as the file says.
func TestFileUpright(t *testing.T) {
	file := testkit.ReadFile(t, "../../../testdata/faces.mp4")
	first := func(name string, degrees int) Picture {
		path := filepath.Join(write(t, map[string][]byte{name: turned(t, file, rotations[degrees])}), name)
		source := testkit.Value(OpenFile(path))(t)
		defer source.Close()
		return testkit.Value(source.Next())(t)
	}
	plain := first("0.mp4", 0)
	w, h := plain.Width, plain.Height
	for degrees, from := range map[int]func(x, y int) (int, int){ // where in the file a pixel is
		90:  func(x, y int) (int, int) { return y, h - 1 - x },
		180: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		270: func(x, y int) (int, int) { return w - 1 - y, x },
	} {
		for _, name := range []string{"phone.mp4", "phone.mov"} {
			p := first(name, degrees)
			if wide := p.Width == w; wide != (degrees == 180) || len(p.BGR) != len(plain.BGR) {
				t.Errorf("%d degrees: %dx%d pixels", degrees, p.Width, p.Height)
				continue
			}
			for _, at := range []image.Point{{0, 0}, {p.Width - 1, 0}, {10, 20}, {p.Width / 2, p.Height / 3}} {
				x, y := from(at.X, at.Y)
				testkit.Equal(t, fmt.Sprintf("%d degrees: the pixel at %v", degrees, at), p.BGR[(at.Y*p.Width+at.X)*3:][:3], plain.BGR[(y*w+x)*3:][:3])
			}
		}
	}
}

// Whatever a video is called, it is played as a file.
func TestFileNames(t *testing.T) {
	file := testkit.ReadFile(t, "../../../testdata/faces.mp4")
	t.Chdir(t.TempDir())
	for _, name := range []string{"09:30:00.mp4", "two\nlines.mp4", "shot%03d.mp4", "%d.avi", "-y.mp4", "gesicht-\u00fc\U0001F600.mp4", "http:x.mp4",
		"concat:a|b.mp4", "subfile,,start,0,end,9,,:x.mp4", "pipe:0", "file:x.mp4", " ", "a?b=c&d#e@f", "\xff\xfe.mp4", "img01.mp4", "x.mp4;y", "'\"`$(x)"} {
		testkit.WriteFile(t, name, file)
		for _, path := range []string{name, "./" + name} {
			source, err := OpenFile(path)
			if err != nil {
				t.Errorf("%q: %v", path, err)
				continue
			}
			if p, err := source.Next(); err != nil || p.Width != 320 || !utf8.ValidString(p.Name) || strings.Contains(p.Name, "\n") {
				t.Errorf("%q: %s is %d pixels wide: %v", path, p.Name, p.Width, err)
			}
			source.Close()
		}
	}
}
