package video

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"
)

// greys of the frames of the video that writeVideo makes.
var greys = []float64{40, 90, 140, 190, 240}

// writeVideo makes a video of plain grey pictures.
func writeVideo(t *testing.T, width, height int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain.avi")
	w, err := gocv.VideoWriterFile(path, "MJPG", 25, width, height, true)
	if err != nil {
		t.Fatal(err)
	}
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
	source, err := OpenFile(writeVideo(t, 320, 176))
	if err != nil {
		t.Fatal(err)
	}
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
		if got := float64(p.BGR[len(p.BGR)/2]); got < greys[i]-6 || got > greys[i]+6 {
			t.Errorf("frame %d has the grey %v, want about %v", i, got, greys[i])
		}
	}
	if _, err := source.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want io.EOF", err)
	}
}

func TestFileErrors(t *testing.T) {
	video, err := os.ReadFile(writeVideo(t, 64, 48))
	if err != nil {
		t.Fatal(err)
	}
	dir := write(t, map[string][]byte{
		"text.mp4":  []byte("this is not a video"),
		"empty.mp4": nil,
		"cut.avi":   video[:200],
		"one.jpg":   jpegOf(t, paint(64, 48)),
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
