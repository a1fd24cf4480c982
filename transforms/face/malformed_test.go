package face_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

func init() {
	beam.RegisterFunction(showReject)
	beam.RegisterFunction(showFaces)
}

// showReject and showFaces say what became of a record in which process.
func showReject(r frame.Reject) string { return fmt.Sprint(r.Offset, " ", r.Reason, " ", os.Getpid()) }

func showFaces(d face.Detection) string {
	return fmt.Sprint(d.Frame.Offset, " ", len(d.Faces), " ", os.Getpid())
}

// TestMalformed sends a thousand values that are no frames, and a good one
// before each hundred of them and at the end, through all that stands before a
// file. Each is a reject with its reason, in this process, which goes on.
func TestMalformed(t *testing.T) {
	pid := os.Getpid()
	p := testkit.Value(face.NewPreset(face.Parity, ""))(t)
	photo := testkit.ReadFile(t, "../../testdata/face.jpg")
	p.MinFace = 100 // the photograph's is larger
	var records []any
	var rejects, found []any
	add := func(value []byte, contentType string) int64 {
		headers := []kafka.Header{}
		if contentType != "" {
			text := []byte(contentType)
			headers = append(headers, kafka.Header{Key: frame.ContentType, Value: &text})
		}
		offset := int64(len(records))
		records = append(records, kafka.Record{Topic: "video", Offset: offset, Value: &value, Headers: &headers})
		return offset
	}
	addGood := func() { found = append(found, fmt.Sprint(add(photo, ""), " 1 ", pid)) }
	for i, in := range malformed() {
		if i%eachKind == 0 {
			addGood()
		}
		rejects = append(rejects, fmt.Sprint(add(in.value, in.contentType), " ", in.reason, " ", pid))
	}
	addGood()

	pipeline, s := beam.NewPipelineWithRoot()
	frames, rejected := frame.Decode(s, frame.Config{Width: 640, Height: 480}, frame.Sampling{}, beam.Create(s, records...))
	detections, damaged := face.Detect(s, frame.Config{}, p, frames)
	face.Render(s, face.Output{Frame: true, Annotated: true, Crops: true, Events: true}, face.Sampling{}, detections)
	passert.Equals(s, beam.ParDo(s, showReject, beam.Flatten(s, rejected, damaged)), rejects...)
	passert.Equals(s, beam.ParDo(s, showFaces, detections), found...)
	testkit.Value(beam.Run(t.Context(), "prism", pipeline))(t)
	if len(rejects) != 1000 {
		t.Errorf("%d malformed values", len(rejects))
	}
}
