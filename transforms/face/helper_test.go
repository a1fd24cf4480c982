package face

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

func TestMain(m *testing.M) {
	os.Exit(testkit.MainOfMats(func() int { return ptest.MainRet(m) }))
}

// readPhoto returns a photograph of 640x480 with one face, a baseline JPEG.
func readPhoto(t testing.TB) []byte { return testkit.ReadFile(t, "../../testdata/face.jpg") }

// readProgressive returns the same in 160x120, a progressive JPEG.
func readProgressive(t testing.TB) []byte {
	return testkit.ReadFile(t, "../../testdata/progressive.jpg")
}

func box(x, y, width, height int32) record.Box {
	return record.Box{X: x, Y: y, Width: width, Height: height}
}

func mustCascade(t testing.TB) string {
	t.Helper()
	return testkit.Value(PresetFile(Parity))(t)
}

// otherCascade returns the path of another of OpenCV's cascades.
func otherCascade(t testing.TB, name string) string {
	return filepath.Join(filepath.Dir(mustCascade(t)), name)
}

var loadParams = sync.OnceValues(func() (Params, error) { return NewPreset(Parity, "") })

func defaultParams(t testing.TB) Params {
	t.Helper()
	return testkit.Value(loadParams())(t)
}

// quickParams are for tests to which it does not matter which faces are found.
func quickParams(t testing.TB) Params {
	p := defaultParams(t)
	p.ScaleFactor, p.MinFace = 1.5, 40
	return p
}

// withProfile adds OpenCV's cascade of profiles.
func withProfile(t testing.TB, p Params) Params {
	t.Helper()
	p.Profile = testkit.Value(ReadCascade(testkit.Value(ProfileCascade())(t)))(t)
	return p
}

// presetParams returns each preset of a cascade, and one with everything on.
func presetParams(t testing.TB) map[string]Params {
	t.Helper()
	all := map[string]Params{}
	for _, name := range Cascades {
		p := testkit.Value(NewPreset(name, ""))(t)
		all[name] = p
	}
	p := withProfile(t, all["fast"])
	p.Equalize = true
	all["everything"] = p
	return all
}

func newDetector(t testing.TB, p Params) *Detector {
	t.Helper()
	d := testkit.Value(NewDetector(p))(t)
	t.Cleanup(d.Close)
	return d
}

// mustFind returns the boxes that are found in a frame.
func mustFind(t testing.TB, d *Detector, f frame.Frame) []record.Box {
	t.Helper()
	return boxesOf(testkit.Value(d.Detect(f))(t))
}

// loadOracle returns gocv's own classifier with the default cascade.
func loadOracle(t *testing.T) gocv.CascadeClassifier {
	t.Helper()
	oracle := gocv.NewCascadeClassifier()
	t.Cleanup(func() { oracle.Close() })
	if !oracle.Load(mustCascade(t)) {
		t.Fatal("gocv does not load the default cascade")
	}
	return oracle
}

// parse makes a frame of a value as it comes from Kafka.
func parse(t testing.TB, value []byte) frame.Frame {
	t.Helper()
	f, reject := frame.Parse(frame.Config{Width: 640, Height: 480},
		&kafka.Record{Topic: "video", Partition: 3, Offset: 99, Timestamp: 1_700_000_000_123, Value: &value})
	if reject != nil {
		t.Fatalf("%+v", *reject)
	}
	f.Camera = "door"
	return f
}

// rawFrame returns a Mat of bytes as a raw frame: grey, or blue, green, red.
func rawFrame(m gocv.Mat) frame.Frame {
	format := frame.BGR
	if m.Channels() == 1 {
		format = frame.Grey
	}
	return frame.Frame{
		ID: record.In("video", 3).At(99), TimestampMillis: 1_700_000_000_123, Camera: "door",
		Format: format, Width: int32(m.Cols()), Height: int32(m.Rows()), Data: m.ToBytes(),
	}
}

// rgbFrame returns a Mat of three channels in OpenCV's order as a frame in the
// other order.
func rgbFrame(m gocv.Mat) frame.Frame {
	f := rawFrame(m)
	f.Format = frame.RGB
	for i := 0; i < len(f.Data); i += 3 {
		f.Data[i], f.Data[i+2] = f.Data[i+2], f.Data[i]
	}
	return f
}

// encoded returns a Mat as a file, with OpenCV's parameters.
func encoded(t testing.TB, kind gocv.FileExt, m gocv.Mat, params ...int) []byte {
	t.Helper()
	b := testkit.Value(gocv.IMEncodeWithParams(kind, m, params))(t)
	defer b.Close()
	return bytes.Clone(b.GetBytes())
}

// decoded returns a file as a Mat.
func decoded(t testing.TB, data []byte, flag gocv.IMReadFlag) gocv.Mat {
	t.Helper()
	m := testkit.Value(gocv.IMDecode(data, flag))(t)
	t.Cleanup(func() { m.Close() })
	if m.Empty() {
		t.Fatal("OpenCV does not decode the test's picture")
	}
	return m
}

// derived returns a Mat that a function of OpenCV fills.
func derived(t testing.TB, fill func(to *gocv.Mat)) gocv.Mat {
	m := gocv.NewMat()
	t.Cleanup(func() { m.Close() })
	fill(&m)
	return m
}

func greyOf(t testing.TB, m gocv.Mat) gocv.Mat {
	return derived(t, func(to *gocv.Mat) { gocv.CvtColor(m, to, gocv.ColorBGRToGray) })
}

// sorted returns rectangles as boxes in the order that Detect promises.
func sorted(rects []image.Rectangle) (boxes []record.Box) {
	for _, r := range rects {
		boxes = append(boxes, record.BoxOf(r))
	}
	slices.SortFunc(boxes, func(a, b record.Box) int {
		return slices.Compare([]int32{a.Y, a.X, a.Width, a.Height}, []int32{b.Y, b.X, b.Width, b.Height})
	})
	return boxes
}

// landmarksAt returns the landmarks at x, y, x, y and so on.
func landmarksAt(at ...int32) *record.Landmarks {
	var l record.Landmarks
	for i, p := range l.Points() {
		p.X, p.Y = at[2*i], at[2*i+1]
	}
	return &l
}
