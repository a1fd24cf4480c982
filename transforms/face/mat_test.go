package face

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/color/palette"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
)

// pngs gives a PNG of every kind that Parse lets through, of 61x47 pixels.
func pngs(t *testing.T) map[string][]byte {
	t.Helper()
	size := image.Rect(0, 0, 61, 47)
	translucent := append(color.Palette{}, palette.WebSafe[:200]...)
	for i := range translucent {
		r, g, b, _ := translucent[i].RGBA()
		translucent[i] = color.NRGBA{byte(r >> 8), byte(g >> 8), byte(b >> 8), byte(i)}
	}
	// Noise paints opaque pixels.
	fade := func(pix []byte, first, step int) {
		for i := first; i < len(pix); i += step {
			pix[i] = byte(i)
		}
	}
	alpha, alpha16 := image.NewNRGBA(size), image.NewNRGBA64(size)
	frametest.Noise(alpha)
	frametest.Noise(alpha16)
	fade(alpha.Pix, 3, 4)
	fade(alpha16.Pix, 6, 8)
	grey := frametest.Noise(image.NewGray(size)).(*image.Gray)
	colour := frametest.Noise(image.NewRGBA(size))
	return map[string][]byte{
		"grey":                      frametest.PNG(grey),
		"grey, 16 bits":             frametest.PNG(frametest.Noise(image.NewGray16(size))),
		"grey, interlaced":          frametest.InterlacedPNG(grey),
		"colour":                    frametest.PNG(colour),
		"colour, 16 bits":           frametest.PNG(frametest.Noise(image.NewRGBA64(size))),
		"transparency":              frametest.PNG(alpha),
		"transparency, 16 bits":     frametest.PNG(alpha16),
		"palette":                   frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.Plan9))),
		"palette, 4 bits":           frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.Plan9[100:116]))),
		"palette with transparency": frametest.PNG(frametest.Noise(image.NewPaletted(size, translucent))),
		"one transparent colour":    frametest.PNG(colour, frametest.Chunk("tRNS", []byte{0, 1, 0, 2, 0, 3})),
		"gamma":                     frametest.PNG(colour, frametest.Chunk("gAMA", binary.BigEndian.AppendUint32(nil, 100_000))),
		"sRGB":                      frametest.PNG(colour, frametest.Chunk("sRGB", []byte{0})),
		"texts":                     frametest.PNG(colour, frametest.Bombs(2)[1:]...),
	}
}

// TestPNGIsDecodedAsOpenCVDoes compares with OpenCV's own reading of the whole
// file, and with Go's, which stands in where OpenCV refuses.
func TestPNGIsDecodedAsOpenCVDoes(t *testing.T) {
	for name, file := range pngs(t) {
		t.Run(name, func(t *testing.T) {
			f := parse(t, file)
			if f.Format != frame.PNG || f.Width != 61 || f.Height != 47 {
				t.Fatalf("a frame of %s, %dx%d", f.Format, f.Width, f.Height)
			}
			for _, flag := range []gocv.IMReadFlag{gocv.IMReadGrayScale, gocv.IMReadAnyColor} {
				want, err := gocv.IMDecode(file, flag)
				if err != nil {
					t.Fatal(err)
				}
				defer want.Close()
				got, err := decodeFile(f, flag)
				if err != nil {
					t.Fatal(err)
				}
				defer got.Close()
				if want.Empty() || got.Type() != want.Type() || !bytes.Equal(got.ToBytes(), want.ToBytes()) {
					t.Errorf("flag %d: the picture differs from OpenCV's", flag)
				}
				byGo, err := decodeByGo(f, flag)
				if err != nil {
					t.Fatal(err)
				}
				defer byGo.Close()
				if byGo.Type() != want.Type() || byGo.Rows() != want.Rows() || byGo.Cols() != want.Cols() {
					t.Fatalf("flag %d: Go gives the type %v and %dx%d", flag, byGo.Type(), byGo.Cols(), byGo.Rows())
				}
				if name == "gamma" || name == "sRGB" {
					continue // Go ignores it
				}
				worst := 0
				for i, b := range byGo.ToBytes() {
					diff := int(b) - int(want.ToBytes()[i])
					worst = max(worst, diff, -diff)
				}
				if worst > 1 {
					t.Errorf("flag %d: a sample of Go's picture differs by %d", flag, worst)
				}
			}
		})
	}
}

// turned says by EXIF that a picture is to be turned by a quarter, clockwise.
const turned = "MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"

// TestUpright has EXIF say that the photograph, stored lying on its side, is to
// be turned by a quarter. A PNG, which is encoded anew, is stored upright.
func TestUpright(t *testing.T) {
	upright := decodeColour(t, readFile(t, photo))
	lying := gocv.NewMat()
	defer lying.Close()
	gocv.Rotate(upright, &lying, gocv.Rotate90CounterClockwise)
	asJPEG := encodeJPEG(t, lying, gocv.IMWriteJpegQuality, 95)
	segment := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(2+len("Exif\x00\x00"+turned)))
	asJPEG = slices.Concat(asJPEG[:2], segment, []byte("Exif\x00\x00"+turned), asJPEG[2:])
	img, err := lying.ToImage()
	if err != nil {
		t.Fatal(err)
	}
	asPNG := frametest.PNG(img, frametest.Chunk("eXIf", []byte(turned)))

	d := newDetector(t, defaultParams(t))
	want, err := boxes(d.Detect(rawFrame(upright)))
	if err != nil {
		t.Fatal(err)
	}
	near := func(a, b int32) bool { return max(a-b, b-a) <= 8 }
	for _, file := range [][]byte{asJPEG, asPNG} {
		f := parse(t, file)
		got, err := boxes(d.Detect(f))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || len(want) != 1 {
			t.Fatalf("%s: got %v, want about %v", f.Format, got, want)
		}
		if g, w := got[0], want[0]; !near(g.X, w.X) || !near(g.Y, w.Y) || !near(g.Width, w.Width) {
			t.Errorf("%s: got %v, want about %v", f.Format, g, w)
		}
		stored, err := jpegOf(f)
		if err != nil {
			t.Fatal(err)
		}
		m := decodeColour(t, stored) // it turns, if EXIF data are there
		if m.Cols() != 640 || m.Rows() != 480 {
			t.Errorf("%s: a viewer shows %dx%d pixels", f.Format, m.Cols(), m.Rows())
		}
	}
}

// TestTextsAreNotUnpacked gives OpenCV a PNG of 1.5 MB whose texts have 1.4 GB.
func TestTextsAreNotUnpacked(t *testing.T) {
	file := frametest.PNG(frametest.Noise(image.NewGray(image.Rect(0, 0, 61, 47))), frametest.Bombs(200)...)
	f := parse(t, file)
	resetPeak(t)
	before := peak(t)
	for _, mat := range []func(frame.Frame) (gocv.Mat, error){greyMat, ownMat} {
		m, err := mat(f)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.Cols() != 61 || m.Rows() != 47 {
			t.Errorf("a picture of %dx%d", m.Cols(), m.Rows())
		}
	}
	if grown := peak(t) - before; grown > 64<<20 {
		t.Errorf("the process grew by %d bytes", grown)
	}
}

// resetPeak has the kernel measure this process's peak of memory anew.
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip(err)
	}
}

// peak gives the most bytes of memory that this process had at one time.
func peak(t *testing.T) int {
	t.Helper()
	for line := range strings.Lines(string(readFile(t, "/proc/self/status"))) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kB << 10
		}
	}
	t.Skip("the kernel does not say how much memory was used")
	return 0
}
