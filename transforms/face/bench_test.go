package face

import (
	"fmt"
	"testing"

	"gocv.io/x/gocv"

	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

// The photograph has 640x480 pixels and one face. With 0 threads OpenCV takes
// one for each core.
func BenchmarkDetect(b *testing.B) {
	file := readFile(b, photo)
	mat, err := gocv.IMDecode(file, gocv.IMReadColor)
	if err != nil {
		b.Fatal(err)
	}
	defer mat.Close()
	for _, f := range []frame.Frame{parse(b, file), rawFrame(mat)} {
		for _, n := range []int{0, 1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", f.Format, n), func(b *testing.B) {
				p := defaultParams(b)
				p.Threads = n
				d := newDetector(b, p)
				for b.Loop() {
					if _, err := d.Detect(f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkGrey(b *testing.B) {
	f := parse(b, readFile(b, photo))
	for b.Loop() {
		m, err := greyMat(f)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkEncode(b *testing.B) {
	mat, err := gocv.IMDecode(readFile(b, photo), gocv.IMReadColor)
	if err != nil {
		b.Fatal(err)
	}
	defer mat.Close()
	f := rawFrame(mat)
	for b.Loop() {
		if _, err := jpegOf(f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse is what frame.Decode does with the same photograph.
func BenchmarkParse(b *testing.B) {
	file := readFile(b, photo)
	for b.Loop() {
		if _, reject := frame.Parse(frame.Config{Width: 640, Height: 480}, &kafka.Record{Value: &file}); reject != nil {
			b.Fatal(*reject)
		}
	}
}
