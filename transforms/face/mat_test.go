package face

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/color/palette"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
)

// pngs returns a PNG of every kind that Parse lets through, of 61x47 pixels.
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
				want := decoded(t, file, flag)
				got := testkit.Value(decodeFile(f, flag))(t)
				defer got.Close()
				if got.Type() != want.Type() || !bytes.Equal(got.ToBytes(), want.ToBytes()) {
					t.Errorf("flag %d: the picture differs from OpenCV's", flag)
				}
				byGo := testkit.Value(decodeByGo(f, flag))(t)
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
	upright := decoded(t, readPhoto(t), gocv.IMReadColor)
	lying := derived(t, func(to *gocv.Mat) { gocv.Rotate(upright, to, gocv.Rotate90CounterClockwise) })
	asJPEG := withOrientation(encoded(t, gocv.JPEGFileExt, lying, gocv.IMWriteJpegQuality, 95), 6)
	img := testkit.Value(lying.ToImage())(t)
	asPNG := frametest.PNG(img, frametest.Chunk("eXIf", []byte(turned)))

	d := newDetector(t, defaultParams(t))
	want := mustFind(t, d, rawFrame(upright))
	for _, file := range [][]byte{asJPEG, asPNG} {
		f := parse(t, file)
		if got := mustFind(t, d, f); len(got) != 1 || len(want) != 1 || got[0].IoU(want[0]) < 0.9 {
			t.Errorf("%s: got %v, want about %v", f.Format, got, want)
		}
		stored := testkit.Value(jpegOf(f))(t)
		if m := decoded(t, stored, gocv.IMReadColor); m.Cols() != 640 || m.Rows() != 480 { // it turns, if EXIF data are there
			t.Errorf("%s: a viewer shows %dx%d pixels", f.Format, m.Cols(), m.Rows())
		}
	}
}

// TestOpenCVGetsEssentialChunksOnly takes a PNG that OpenCV refuses for a chunk that is
// of no use. By gamma OpenCV's picture differs from Go's, which would stand in for it.
func TestOpenCVGetsEssentialChunksOnly(t *testing.T) {
	colour := frametest.Noise(image.NewRGBA(image.Rect(0, 0, 61, 47)))
	gamma := frametest.Chunk("gAMA", binary.BigEndian.AppendUint32(nil, 100_000))
	file := frametest.PNG(colour, gamma, frametest.Chunk("ABCD", []byte("critical, says the first letter")))
	whole := testkit.Value(gocv.IMDecode(file, gocv.IMReadGrayScale))(t)
	defer whole.Close()
	got := testkit.Value(greyMat(parse(t, file)))(t)
	defer got.Close()
	want := decoded(t, frametest.PNG(colour, gamma), gocv.IMReadGrayScale)
	if !whole.Empty() || !bytes.Equal(got.ToBytes(), want.ToBytes()) {
		t.Errorf("OpenCV refuses the file: %v; the picture differs from that without the chunk: %v", whole.Empty(), !bytes.Equal(got.ToBytes(), want.ToBytes()))
	}
}
