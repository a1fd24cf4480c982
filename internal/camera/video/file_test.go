package video

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestFile(t *testing.T) {
	source := testkit.Value(OpenFile(writeVideo(t, 320, 176)))(t)
	defer source.Close()
	var pictures []Picture
	for {
		p, err := source.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, p)
	}
	if len(pictures) != len(greys) {
		t.Fatalf("%d frames, want %d", len(pictures), len(greys))
	}
	for i, p := range pictures { // all of them stay valid
		if p.Width != 320 || p.Height != 176 || len(p.BGR) != 320*176*3 {
			t.Errorf("frame %d is %dx%d with %d bytes", i, p.Width, p.Height, len(p.BGR))
			continue
		}
		if want := time.Duration(i) * time.Second / plainFPS; p.At != want {
			t.Errorf("frame %d is at %v of the video, want %v", i, p.At, want)
		}
		if got := float64(p.BGR[len(p.BGR)/2]); got < greys[i]-6 || got > greys[i]+6 {
			t.Errorf("frame %d has the grey %v, want about %v", i, got, greys[i])
		}
	}
	if _, err := source.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want io.EOF", err)
	}
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
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", name, err, want)
		}
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
		if want := time.Duration(i) * time.Second / plainFPS; p.At != want {
			t.Errorf("frame %d is at %v, want %v", i, p.At, want)
		}
		if first = append(first, p); !bytes.Equal(p.BGR, first[i%len(greys)].BGR) {
			t.Errorf("frame %d is not frame %d again", i, i%len(greys))
		}
	}
	testkit.Must(t, os.Remove(path))
	if _, err := source.Next(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the video is gone: got error %v", err)
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Loop(func() (Source, error) { return OpenFile(path) }); err == nil {
		t.Error("a missing video was accepted")
	}
}
