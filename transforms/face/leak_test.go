//go:build matprofile

package face

import (
	"image"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"facestream/transforms/frame"
)

// TestNothingLeaks sends many frames through all that there is.
func TestNothingLeaks(t *testing.T) {
	const (
		frames, warm = 5000, 1000
		// Memory that grew for every frame, by 2 kB each, would be more; a picture
		// has 19 kB or more.
		mostGrowth = 8 << 20
	)
	mat := decodeColour(t, readFile(t, photo))
	small := gocv.NewMat()
	defer small.Close()
	gocv.Resize(mat, &small, image.Pt(160, 120), 0, 0, gocv.InterpolationArea)
	inputs := []frame.Frame{parse(t, encodeJPEG(t, small, gocv.IMWriteJpegQuality, 90)), rawFrame(small), rgbFrame(small)}
	before := gocv.MatProfile.Count()
	d, err := NewDetector(presetParams(t)["everything"])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	o := Output{Frame: true, Annotated: true, Crops: true, Events: true, CropMargin: 0.2}
	var resident, faces int
	for i := range frames {
		if i == warm {
			resident = residentBytes(t)
		}
		found, err := d.Detect(inputs[i%len(inputs)])
		if err != nil {
			t.Fatal(err)
		}
		faces += len(found.Faces)
		if _, err := Files(o, found); err != nil {
			t.Fatal(err)
		}
	}
	if faces < frames/2 {
		t.Errorf("%d faces in %d frames: little was drawn", faces, frames)
	}
	if after := gocv.MatProfile.Count(); after != before {
		t.Errorf("%d Mats are open, and %d were", after, before)
	}
	growth := residentBytes(t) - resident
	if growth > mostGrowth {
		t.Errorf("memory grew by %d bytes from frame %d to frame %d", growth, warm, frames)
	}
	t.Logf("%d faces; memory grew by %d bytes", faces, growth)
}

// residentBytes is how much memory the process holds, without what Go could give
// back.
func residentBytes(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
