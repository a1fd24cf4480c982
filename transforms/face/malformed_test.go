package face_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color/palette"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
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

// eachKind is how many malformed values of each kind there are.
const eachKind = 100

const pngMagic = "\x89PNG\r\n\x1a\n"

// kinds give value i of eachKind, the same every time, with its content type and the reason of
// its reject.
var kinds = []struct {
	contentType, reason string
	value               func(i int, random *rand.Rand) []byte
}{
	{"", frame.WrongSize, noise},
	{"video/x-raw;format=BGR;width=40", frame.BadContentType, noise},
	{"image/png", frame.FormatMismatch, func(i int, _ *rand.Rand) []byte { return frametest.JPEG(picture(i)) }},
	// A segment with less than no bytes, so that what follows cannot be a part of a JPEG by chance.
	{"", frame.CorruptJPEG, func(i int, random *rand.Rand) []byte {
		return append([]byte{0xFF, 0xD8, 0xFF, 0xE0, 0, byte(i % 2)}, noise(i, random)...)
	}},
	{"", frame.CorruptPNG, func(i int, random *rand.Rand) []byte { return append([]byte(pngMagic), noise(i, random)...) }},
	{"", frame.CorruptJPEG, func(i int, _ *rand.Rand) []byte { return cut(frametest.JPEG(picture(i)), i) }},
	{"", frame.CorruptPNG, func(i int, _ *rand.Rand) []byte { return cut(frametest.PNG(picture(i)), i) }},
	{"", frame.CorruptPNG, flippedPNG},
	{"", frame.TooLarge, func(i int, random *rand.Rand) []byte {
		return frametest.PNGHeader(1000+i, random.Uint32N(1<<30)+1<<16, uint32(i+1), 8, frametest.PNGColour)
	}},
	{"", frame.UnsupportedFormat, func(i int, _ *rand.Rand) []byte {
		return frametest.JPEGHeader(1000+i, frametest.Baseline, 8, uint16(i+1), 40, 4) // CMYK
	}},
}

// cut returns the first bytes of a file, more of them with every i, and never all.
func cut(file []byte, i int) []byte {
	const least = 1000
	return file[:least+(len(file)-least)*i/eachKind]
}

// flippedPNG has one bit that is not as it was, of all but the magic number and
// the end: each chunk has a checksum.
func flippedPNG(i int, random *rand.Rand) []byte {
	file := frametest.PNG(picture(i), frametest.Chunk("tEXt", []byte("Title\x00A picture")))
	at := len(pngMagic) + (len(file)-len(pngMagic))*i/eachKind
	file[at] ^= 1 << random.IntN(8)
	return file
}

// picture returns pictures of several kinds and sizes that take some thousand bytes.
func picture(i int) image.Image {
	size := image.Rect(0, 0, 40+i%7, 40+i%11)
	switch i % 4 {
	case 0:
		return frametest.Noise(image.NewGray(size))
	case 1:
		return frametest.Noise(image.NewPaletted(size, palette.Plan9))
	case 2:
		return frametest.Noise(image.NewNRGBA64(size))
	}
	return frametest.Noise(image.NewRGBA(size))
}

func noise(_ int, random *rand.Rand) []byte {
	b := make([]byte, 1000+random.IntN(20_000))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	if bytes.HasPrefix(b, []byte{0xFF, 0xD8, 0xFF}) {
		b[0] = 0 // it must not look like a JPEG
	}
	return b
}

// TestMalformed sends a thousand values that are no frames, and a good one before those
// of each kind and at the end, through all that stands before a file. Each is a reject
// with its reason, in this process, which goes on.
func TestMalformed(t *testing.T) {
	pid := os.Getpid()
	p := testkit.Value(face.NewPreset(face.Parity, ""))(t)
	photo := testkit.ReadFile(t, "../../testdata/face.jpg")
	p.MinFace = 100 // the photograph's is larger
	var records []any
	var rejects, found []any
	add := func(value []byte, contentType string) int64 {
		offset, header := int64(len(records)), []byte(contentType)
		records = append(records, kafka.Record{Topic: "video", Offset: offset, Value: &value, Headers: &[]kafka.Header{{Key: frame.ContentType, Value: &header}}})
		return offset
	}
	addGood := func() { found = append(found, fmt.Sprint(add(photo, "image/jpeg"), " 1 ", pid)) }
	for n, kind := range kinds {
		addGood()
		random := rand.New(rand.NewPCG(1, uint64(n)))
		for i := range eachKind {
			rejects = append(rejects, fmt.Sprint(add(kind.value(i, random), kind.contentType), " ", kind.reason, " ", pid))
		}
	}
	addGood()

	pipeline, s := beam.NewPipelineWithRoot()
	frames, rejected := frame.Decode(s, frame.Config{Width: 640, Height: 480}, frame.Sampling{}, beam.Create(s, records...))
	detections, damaged := face.Detect(s, frame.Config{}, p, frames)
	face.Render(s, face.Output{Frame: true, Annotated: true, Crops: true, Events: true}, face.Sampling{}, detections)
	passert.Equals(s, beam.ParDo(s, showReject, beam.Flatten(s, rejected, damaged)), rejects...)
	passert.Equals(s, beam.ParDo(s, showFaces, detections), found...)
	testkit.Value(beam.Run(t.Context(), "prism", pipeline))(t)
	testkit.Equal(t, "malformed values", len(rejects), 1000)
}
