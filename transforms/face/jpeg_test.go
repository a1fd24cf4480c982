package face

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

// jpegs are files of several encoders, with every way of sampling colours.
var jpegs = []string{"420.jpg", "422.jpg", "440.jpg", "444.jpg", "411.jpg", "410.jpg",
	"grey.jpg", "optimised.jpg", "restart.jpg", "separate.jpg", "rgb.jpg", "demo.jpg", "progressive.jpg"}

// readJPEG returns a file of frame's testdata, large enough to be looked at.
func readJPEG(t testing.TB, name string) []byte {
	return padded(testkit.ReadFile(t, filepath.Join("../frame/testdata", name)))
}

// padded adds a comment to a JPEG, so that it is not skipped for its size.
func padded(file []byte) []byte {
	return frametest.Segment(file, 0xFE, strings.Repeat("\x00", frame.MinBytes))
}

// withOrientation adds EXIF data to a JPEG that say which way is up.
func withOrientation(file []byte, orientation byte) []byte {
	return frametest.Segment(file, 0xE1, "Exif\x00\x00"+strings.Replace(turned, "\x00\x06\x00\x00", string([]byte{0, orientation, 0, 0}), 1))
}

// sameGrey demands that a frame is as grey as OpenCV makes its file.
func sameGrey(t *testing.T, name string, f frame.Frame) {
	t.Helper()
	got, err := greyMat(f)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer got.Close()
	want := testkit.Value(gocv.IMDecode(complete(f), gocv.IMReadGrayScale))(t)
	defer want.Close()
	if got.Rows() != want.Rows() || got.Cols() != want.Cols() || !bytes.Equal(got.ToBytes(), want.ToBytes()) {
		t.Errorf("%s: the picture of %dx%d differs from OpenCV's of %dx%d", name, got.Cols(), got.Rows(), want.Cols(), want.Rows())
	}
}

// smooth paints a picture whose blocks end early.
func smooth(img draw.Image) image.Image {
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			img.Set(x, y, color.RGBA{byte(3 * x), byte(5 * y), byte(x + y), 255})
		}
	}
	return img
}

// TestGreyIsOpenCVs compares the pixels of real and of made JPEGs with OpenCV's own.
func TestGreyIsOpenCVs(t *testing.T) {
	for _, name := range jpegs {
		sameGrey(t, name, parse(t, readJPEG(t, name)))
		sameGrey(t, name+" without its end", parse(t, bytes.TrimSuffix(readJPEG(t, name), jpegEnd)))
		sameGrey(t, name+" with more behind its end", parse(t, append(readJPEG(t, name), "\xFF\xD8 and more"...)))
	}
	for i, file := range [][]byte{readPhoto(t), readProgressive(t), frametest.WithoutTables(readPhoto(t)), frametest.WithoutTables(readJPEG(t, "demo.jpg"))} {
		sameGrey(t, fmt.Sprint("photograph ", i), parse(t, file))
	}
	for orientation := byte(0); orientation <= 9; orientation++ {
		sameGrey(t, fmt.Sprint("orientation ", orientation), parse(t, withOrientation(readPhoto(t), orientation)))
	}
	for quality := 1; quality <= 100; quality++ {
		for i, paint := range []func(draw.Image) image.Image{frametest.Noise, smooth} {
			size := image.Rect(0, 0, 10+7*quality%41, 10+11*quality%37)
			for _, img := range []draw.Image{image.NewRGBA(size), image.NewGray(size)} {
				var b bytes.Buffer
				testkit.Must(t, jpeg.Encode(&b, paint(img), &jpeg.Options{Quality: quality}))
				sameGrey(t, fmt.Sprintf("%T of quality %d, %d", img, quality, i), parse(t, padded(b.Bytes())))
			}
		}
	}
	colour := decoded(t, readPhoto(t), gocv.IMReadColor)
	for n := range 240 {
		part := colour.Region(image.Rect(200, 150, 201+7*n%67, 151+11*n%53))
		sameGrey(t, fmt.Sprint("part ", n), parse(t, padded(encoded(t, gocv.JPEGFileExt, part, gocv.IMWriteJpegQuality, 1+13*n%100,
			gocv.IMWriteJpegProgressive, n%2, gocv.IMWriteJpegRstInterval, n%5, gocv.IMWriteJpegOptimize, n/2%2))))
		part.Close()
	}
}

// A JPEG is decoded a second time only if it may be turned.
func TestMayBeTurned(t *testing.T) {
	for tiff, want := range map[string]bool{
		turned: true,
		strings.Replace(turned, "\x00\x06\x00\x00", "\x00\x01\x00\x00", 1):                false,
		"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x03\x00\x00\x00": true,
		"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00": false,
		"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01":                                         false,
	} {
		testkit.Equal(t, tiff, mayBeTurned([]byte("\xFF\xD8\xFF\xE1Exif\x00\x00"+tiff)), want)
	}
}

// TestCutJPEG demands that a JPEG that is cut short anywhere is a reject, but where only
// the marker of its end is missing.
func TestCutJPEG(t *testing.T) {
	for _, name := range []string{"420.jpg", "grey.jpg", "restart.jpg", "optimised.jpg"} {
		file := readJPEG(t, name)
		whole := parse(t, file)
		first := bytes.Index(file, []byte{0xFF, 0xDA})
		for n := first; n < len(file); n++ {
			f := whole
			f.Data = file[:n]
			m, err := greyMat(f)
			if err == nil {
				m.Close()
			}
			if reject := Reject(frame.Config{}, f, err); (reject == nil) != (n >= len(file)-2) || reject != nil && reject.Reason != frame.CorruptJPEG {
				t.Errorf("%s, %d of %d bytes: %v", name, n, len(file), err)
			}
		}
	}
}

// TestDamagedJPEG has the reasons of rejects for what is wrong behind the header.
func TestDamagedJPEG(t *testing.T) {
	file := readJPEG(t, "420.jpg")
	change := func(old, new string) []byte {
		if !bytes.Contains(file, []byte(old)) {
			t.Fatalf("the test's file has no % x", old)
		}
		return bytes.Replace(file, []byte(old), []byte(new), 1)
	}
	header := bytes.Index(file, []byte{0xFF, 0xC0})
	for name, tt := range map[string]struct {
		value []byte
		want  string
	}{
		"bytes between segments":   {change("\xFF\xC0", "some\xFF\xC0"), "extraneous bytes before marker 0xc0"},
		"no quantization table":    {bytes.ReplaceAll(file, []byte{0xFF, 0xDB}, []byte{0xFF, 0xFE}), "Quantization table"},
		"two frame headers":        {slices.Concat(file[:header+19], file[header:]), "two SOF markers"},
		"a Huffman table too long": {change("\xFF\xC4\x00", "\xFF\xC4\x01"), "Huffman"},
		"no scan":                  {append(slices.Clone(file[:bytes.Index(file, []byte{0xFF, 0xDA})]), 0xFF, 0xD9), ""},
		"only a header":            {frametest.JPEGHeader(2000, frametest.Baseline, 8, 64, 48, 3), ""},
	} {
		f := parse(t, tt.value)
		_, err := newDetector(t, quickParams(t)).Detect(f)
		if reject := Reject(frame.Config{}, f, err); reject == nil || reject.Reason != frame.CorruptJPEG || !strings.Contains(reject.Detail, tt.want) {
			t.Errorf("%s: got %+v, %v, want a reject with %q", name, reject, err, tt.want)
		}
	}
	f := parse(t, readPhoto(t))
	f.Width--
	_, err := greyMat(f)
	testkit.Says(t, "a frame of another size than its JPEG", err, "two sizes")
}

// TestMutated changes files at random, the same way each time: each is a picture or a
// reject, and never an error, which would fail a bundle for ever. The checksums of PNGs are
// set right.
func TestMutated(t *testing.T) {
	random, d := rand.New(rand.NewPCG(1, 2)), newDetector(t, quickParams(t))
	files := pngs(t)
	for _, name := range jpegs {
		files[name] = readJPEG(t, name)
	}
	whole, damaged := 0, 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for range 150 {
			value := slices.Clone(files[name])
			for range 1 + random.IntN(3) {
				at := 2 + random.IntN(len(value)-2)
				switch random.IntN(4) {
				case 0:
					value = slices.Delete(value, at, min(len(value), at+1+random.IntN(4)))
				case 1:
					value = slices.Insert(value, at, byte(random.Uint32()))
				default:
					value[at] = byte(random.Uint32())
				}
			}
			value = frametest.Repaired(value)
			f, reject := frame.Parse(frame.Config{Width: 640, Height: 480}, &kafka.Record{Value: &value})
			if reject != nil || f.Width*f.Height > 1<<18 {
				continue
			}
			if isPicture(t, d, f) {
				whole++
			} else {
				damaged++
			}
		}
	}
	if whole < 500 || damaged < 300 {
		t.Errorf("%d pictures and %d rejects test little", whole, damaged)
	}
}
