package video

import (
	"bytes"
	"image"
	"io"
	"path/filepath"
	"testing"

	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
)

func TestFolder(t *testing.T) {
	first, second := frametest.JPEG(paint(64, 48)), frametest.JPEG(image.NewGray(image.Rect(0, 0, 32, 16)))
	dir := write(t, map[string][]byte{
		"a.JPG":     first,
		"b.png":     frametest.PNG(paint(40, 30)),
		"c.jpeg":    second,
		"notes.txt": []byte("not a picture"),
	})
	source := testkit.Value(OpenFolder(dir))(t)
	defer source.Close()
	for _, want := range []struct {
		name          string
		width, height int
		jpeg          []byte
	}{
		{"a.JPG", 64, 48, first},
		{"b.png", 40, 30, nil},
		{"c.jpeg", 32, 16, second},
	} {
		p, err := source.Next()
		if err != nil {
			t.Fatalf("%s: %v", want.name, err)
		}
		if p.Name != filepath.Join(dir, want.name) || p.Width != want.width || p.Height != want.height {
			t.Errorf("got %s of %dx%d, want %s of %dx%d", p.Name, p.Width, p.Height, want.name, want.width, want.height)
		}
		testkit.Equal(t, "the JPEG of "+want.name, p.JPEG, want.jpeg)
		if p, err := p.Decoded(); err != nil || p.Width != want.width || p.Height != want.height {
			t.Errorf("%s: decoded it has %dx%d pixels: %v", want.name, p.Width, p.Height, err)
		}
		testkit.Equal(t, "the faces of "+want.name, p.Faces, nil)
	}
	_, err := source.Next()
	testkit.Is(t, "after the last picture", err, io.EOF)
}

func TestFolderPixels(t *testing.T) {
	p := testkit.Value(decode(frametest.PNG(paint(4, 2))))(t)
	want := []byte{ // blue, green, red
		50, 100, 200, 50, 100, 200, 50, 100, 20, 50, 100, 20,
		50, 220, 200, 50, 220, 200, 50, 220, 20, 50, 220, 20,
	}
	testkit.Equal(t, "the pixels", p.BGR, want)
}

// A PNG has the picture's pixels; a JPEG has fewer bytes the lower its quality.
func TestEncode(t *testing.T) {
	p := newDemo(t, 0).Frame(0)
	data := testkit.Value(EncodePNG(p))(t)
	back, err := decode(data)
	if err != nil || !bytes.Equal(back.BGR, p.BGR) {
		t.Errorf("the PNG has other pixels: %v", err)
	}
	last := 0
	for _, quality := range []int{10, 50, JPEGQuality, 100} {
		data := testkit.Value(EncodeJPEG(p, quality))(t)
		if len(data) <= last {
			t.Errorf("quality %d gives %d bytes, a lower one %d", quality, len(data), last)
		}
		last = len(data)
	}
	p.JPEG = []byte("the source's file")
	testkit.Gives(EncodeJPEG(p, 0))(t, "the source's own JPEG", p.JPEG)
	if data, err := EncodeJPEG(p, JPEGQuality); err != nil || bytes.Equal(data, p.JPEG) {
		t.Errorf("the source's JPEG is not encoded anew: %v", err)
	}
}
