package face

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

func init() {
	beam.RegisterFunction(showDetection)
	beam.RegisterFunction(showEntry)
}

// showDetection and showEntry put a hash in place of a picture, for messages
// that a person can read.
func showDetection(d Detection) string {
	data := d.Frame.Data
	d.Frame.Data, d.Millis = nil, 0
	return fmt.Sprintf("%+v %x", d, sha256.Sum256(data))
}

func showEntry(e store.Entry) string {
	text := fmt.Sprintf("%s %d %d %d", e.Topic, e.Partition, e.Offset, e.Faces)
	for _, f := range e.Files {
		text += fmt.Sprintf(" %s %x", f.Name, sha256.Sum256(f.Data))
	}
	return text
}

func TestDetectAndRender(t *testing.T) {
	file := readPhoto(t)
	mat := decoded(t, file, gocv.IMReadColor)
	withJPEG := parse(t, file)
	withJPEG.Camera, withJPEG.Offset = "../gate", 7
	withRaw := rawFrame(mat)
	blank := withRaw
	blank.Offset, blank.Data = 100, make([]byte, len(withRaw.Data))
	d := newDetector(t, defaultParams(t))
	find := func(f frame.Frame) Detection {
		found, err := d.Detect(f)
		if err != nil || len(found.Faces) != 1 {
			t.Fatalf("got %v, %v, want one face", found.Faces, err)
		}
		return found
	}
	// The frame has what a reject is to say, and the slot of sampling.
	slot := int64(17)
	cut := withJPEG
	cut.Offset, cut.Data, cut.Slot = 8, file[:20_000], &slot
	cut.Size, cut.Headers = 20_000, []frame.Header{{Key: "camera", Value: []byte("../gate"), Size: 7}}
	reject := frame.Reject{
		ID: record.In("video", 3).At(8), TimestampMillis: cut.TimestampMillis, Camera: "../gate", Reason: "corrupt_jpeg",
		Detail: "decoding the JPEG: Corrupt JPEG data: premature end of data segment", Size: 20_000,
		SHA256: fmt.Sprintf("%x", sha256.Sum256(cut.Data)), Head: file[:64], Headers: cut.Headers, Kept: file[:100], Slot: &slot,
	}
	empty := Detection{Frame: blank, Width: 640, Height: 480}
	empty.Frame.Data = nil

	for _, runner := range []string{"prism", "direct"} {
		t.Run(runner, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			found, damaged := Detect(s, frame.Config{KeepBytes: 100}, defaultParams(t), beam.Create(s, withJPEG, withRaw, blank, cut))
			passert.Equals(s, damaged, reject)
			passert.Equals(s, beam.ParDo(s, showDetection, found),
				showDetection(find(withJPEG)), showDetection(find(withRaw)), showDetection(empty))
			passert.Equals(s, beam.ParDo(s, showEntry, Render(s, onlyFrames, Sampling{}, found)),
				showEntry(store.Entry{Tally: store.Tally{ID: record.In("video", 3).At(7), Faces: 1}, Files: []store.File{
					{Name: "%2E.%2Fgate/2023/11/14/22/video+3+00000000000000000007.jpg", Data: file}}}),
				showEntry(store.Entry{Tally: store.Tally{ID: record.In("video", 3).At(99), Faces: 1}, Files: []store.File{
					{Name: "door/2023/11/14/22/video+3+00000000000000000099.jpg", Data: encoded(t, gocv.JPEGFileExt, mat, gocv.IMWriteJpegQuality, 95)}}}),
				showEntry(store.Entry{Tally: store.Tally{ID: record.In("video", 3).At(100)}}))
			result := testkit.Value(beam.Run(t.Context(), runner, p))(t)
			counts := map[string]int64{}
			for _, c := range result.Metrics().Query(func(r beam.MetricResult) bool { return r.Namespace() == frame.CounterNamespace }).Counters() {
				counts[c.Name()] += max(c.Attempted, c.Committed)
			}
			testkit.Equal(t, "the counters", counts, map[string]int64{"decoded": 3, "corrupt_jpeg": 1})
		})
	}
}

var onlyFrames = Output{Frame: true}

// TestErrorNamesTheRecord fails a bundle with a frame that Decode would not
// have given.
func TestErrorNamesTheRecord(t *testing.T) {
	bad := frame.Frame{ID: record.In("video", 3).At(12345), Format: frame.BGR, Width: 640, Height: 480, Data: []byte{1}}
	const want = "offset 12345 of partition 3 of topic video: "

	p, s := beam.NewPipelineWithRoot()
	Detect(s, frame.Config{}, defaultParams(t), beam.Create(s, bad))
	_, err := beam.Run(t.Context(), "prism", p)
	testkit.Says(t, "Detect", err, want)
	_, err = (&renderFn{Output: onlyFrames}).ProcessElement(Detection{Frame: bad, Faces: []Face{{Box: box(1, 1, 1, 1)}}})
	testkit.Says(t, "Render", err, want)
}

// TestDetectInParallel demands of a bundle that looks at several frames at a time
// the same as of one that does not.
func TestDetectInParallel(t *testing.T) {
	p := quickParams(t)
	var want []string
	for _, n := range []int{0, 1, 3} {
		p.Parallel = n
		fn := &detectFn{Params: p}
		var got []string
		emit := func(d Detection) { got = append(got, showDetection(d)) }
		for range 2 { // bundles
			testkit.Must(t, fn.StartBundle(t.Context(), nil, nil))
			for i, data := range [][]byte{readPhoto(t), readProgressive(t), readPhoto(t), make([]byte, 640*480*3)} {
				f := parse(t, data)
				f.Offset = int64(i)
				testkit.Must(t, fn.ProcessElement(t.Context(), f, emit, nil))
			}
			testkit.Must(t, fn.FinishBundle(t.Context(), emit, nil))
		}
		slices.Sort(got)
		if want == nil {
			want = got
		}
		if len(got) != 8 || !slices.Equal(got, want) {
			t.Errorf("%d at a time: got\n%s\nwant\n%s", n, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
