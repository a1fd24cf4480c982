package face

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

func TestMain(m *testing.M) {
	code := ptest.MainRet(m)
	if leaked := leakedMats(); leaked != "" {
		os.Stderr.WriteString(leaked)
		code = 1
	}
	os.Exit(code)
}

// photo is a photograph of 640x480 with one face, and progressive the same of
// 160x120 in a progressive JPEG.
var (
	photo       = filepath.Join("..", "..", "testdata", "face.jpg")
	progressive = filepath.Join("..", "..", "testdata", "progressive.jpg")
)

var loadParams = sync.OnceValues(func() (Params, error) {
	cascade, err := DefaultCascade()
	if err != nil {
		return Params{}, err
	}
	return NewParams(cascade)
})

// boxes takes the boxes out of what was found.
func boxes(d Detection, err error) ([]record.Box, error) {
	var all []record.Box
	for _, f := range d.Faces {
		all = append(all, f.Box)
	}
	return all, err
}

func mustCascade(t testing.TB) string {
	t.Helper()
	cascade, err := DefaultCascade()
	if err != nil {
		t.Fatal(err)
	}
	return cascade
}

func defaultParams(t testing.TB) Params {
	t.Helper()
	p, err := loadParams()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parse makes a frame of a value as it comes from Kafka.
func parse(t testing.TB, value []byte) frame.Frame {
	t.Helper()
	f, reject := frame.Parse(frame.Config{Width: 640, Height: 480}, &kafka.Record{Topic: "video", Partition: 3, Offset: 99, Timestamp: 1_700_000_000_123, Value: &value})
	if reject != nil {
		t.Fatalf("%+v", *reject)
	}
	return f
}

// rawFrame gives the Mat, of three channels, as a raw frame.
func rawFrame(m gocv.Mat) frame.Frame {
	return frame.Frame{
		ID: record.In("video", 3).At(99), TimestampMillis: 1_700_000_000_123, Camera: "door",
		Format: frame.BGR, Width: int32(m.Cols()), Height: int32(m.Rows()), Data: m.ToBytes(),
	}
}

// rgbFrame gives the Mat, of three channels in OpenCV's order, as a frame in the
// other order.
func rgbFrame(m gocv.Mat) frame.Frame {
	f := rawFrame(m)
	f.Format = frame.RGB
	for i := 0; i < len(f.Data); i += 3 {
		f.Data[i], f.Data[i+2] = f.Data[i+2], f.Data[i]
	}
	return f
}

// greyFrame gives the Mat, of one channel, as a raw frame.
func greyFrame(m gocv.Mat) frame.Frame {
	f := rawFrame(m)
	f.Format = frame.Grey
	return f
}

// pngFrame gives the Mat as a PNG frame.
func pngFrame(t testing.TB, m gocv.Mat) frame.Frame {
	t.Helper()
	b, err := gocv.IMEncode(gocv.PNGFileExt, m)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return parse(t, bytes.Clone(b.GetBytes()))
}

// decodeColour gives the JPEG as a Mat that the test closes.
func decodeColour(t testing.TB, data []byte) gocv.Mat {
	t.Helper()
	m, err := gocv.IMDecode(data, gocv.IMReadColor)
	if err != nil {
		t.Fatal(err)
	}
	if m.Empty() {
		t.Fatal("OpenCV does not decode the test's picture")
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// encodeJPEG gives the Mat as a JPEG, with OpenCV's parameters.
func encodeJPEG(t testing.TB, m gocv.Mat, params ...int) []byte {
	t.Helper()
	b, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, m, params)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return bytes.Clone(b.GetBytes())
}

func newDetector(t testing.TB, p Params) *Detector {
	t.Helper()
	d, err := NewDetector(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func box(x, y, width, height int32) record.Box {
	return record.Box{X: x, Y: y, Width: width, Height: height}
}
