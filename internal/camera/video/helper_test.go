package video

import (
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.MainOfMats(m.Run)) }

// paint returns a picture with one colour per quarter.
func paint(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			c := color.RGBA{R: 200, G: 100, B: 50, A: 255}
			if x >= width/2 {
				c.R = 20
			}
			if y >= height/2 {
				c.G = 220
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

// write makes files in a new folder and returns its name.
func write(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		testkit.WriteFile(t, filepath.Join(dir, name), data)
	}
	return dir
}
