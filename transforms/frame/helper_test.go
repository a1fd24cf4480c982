package frame

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/transforms/kafka"
)

func TestMain(m *testing.M) {
	ptest.Main(m)
}

var lab = Config{Width: 640, Height: 480}

// ref gives a pointer to bytes, as records hold them.
func ref(b []byte) *[]byte { return &b }

// record gives a record with the value and the headers, name and value in turn.
func record(value []byte, headers ...string) kafka.Record {
	r := kafka.Record{Topic: "video", Partition: 2, Offset: 41, Timestamp: 1_700_000_000_123, Key: ref([]byte("door")), Value: &value}
	var hs []kafka.Header
	for i := 0; i < len(headers); i += 2 {
		hs = append(hs, kafka.Header{Key: headers[i], Value: ref([]byte(headers[i+1]))})
	}
	r.Headers = &hs
	return r
}

// noise paints a picture that does not compress to under MinBytes.
func noise(img interface {
	image.Image
	Set(x, y int, c color.Color)
}) image.Image {
	n := uint32(1)
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			n = n*1664525 + 1013904223
			img.Set(x, y, color.RGBA{byte(n >> 24), byte(n >> 16), byte(n >> 8), 255})
		}
	}
	return img
}

func encode(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	if b.Len() < MinBytes {
		t.Fatalf("the test's JPEG has only %d bytes", b.Len())
	}
	return b.Bytes()
}

func colourJPEG(t testing.TB, width, height int) []byte {
	return encode(t, noise(image.NewRGBA(image.Rect(0, 0, width, height))))
}

func greyJPEG(t testing.TB, width, height int) []byte {
	return encode(t, noise(image.NewGray(image.Rect(0, 0, width, height))))
}

// The markers and the precision of JPEG headers, of ITU-T T.81, table B.1.
const (
	baseline    = 0xC0
	progressive = 0xC2
	lossless    = 0xC3
)

// headerOnly gives a JPEG of size bytes that has, but for zeros, only its
// headers.
func headerOnly(size int, marker, precision byte, width, height uint16, components int) []byte {
	b := []byte{0xFF, 0xD8}
	b = append(b, 0xFF, 0xEE, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0) // Adobe: colours as they are
	b = append(b, 0xFF, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(8+3*components))
	b = append(b, precision)
	b = binary.BigEndian.AppendUint16(b, height)
	b = binary.BigEndian.AppendUint16(b, width)
	b = append(b, byte(components))
	for i := range components {
		b = append(b, byte(i+1), 0x11, 0)
	}
	b = append(b, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0) // start of a scan of the first component
	return append(b, make([]byte, size-len(b))...)
}
