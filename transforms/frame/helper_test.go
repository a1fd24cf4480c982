package frame

import (
	"bytes"
	"image/draw"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

func TestMain(m *testing.M) {
	ptest.Main(m)
}

var lab = Config{Width: 640, Height: 480}

// ref returns a pointer to bytes, as records hold them.
func ref(b []byte) *[]byte { return &b }

// recordOf returns a record with the value and the headers, name and value in turn.
func recordOf(value []byte, headers ...string) kafka.Record {
	r := kafka.Record{Topic: "video", Partition: 2, Offset: 41, Timestamp: 1_700_000_000_123, Key: ref([]byte("door")), Value: &value}
	var hs []kafka.Header
	for i := 0; i < len(headers); i += 2 {
		hs = append(hs, kafka.Header{Key: headers[i], Value: ref([]byte(headers[i+1]))})
	}
	r.Headers = &hs
	return r
}

// noiseJPEG returns a JPEG that is not too small to be looked at.
func noiseJPEG(t testing.TB, img draw.Image) []byte {
	t.Helper()
	value := frametest.JPEG(frametest.Noise(img))
	if len(value) < MinBytes {
		t.Fatalf("the test's value has only %d bytes", len(value))
	}
	return value
}

// read returns a file of testdata.
func read(t testing.TB, name string) []byte {
	t.Helper()
	return testkit.ReadFile(t, filepath.Join("..", "..", "testdata", name))
}

// withScans returns a progressive JPEG with its second scan so often that there
// are n of them.
func withScans(t testing.TB, n int) []byte {
	t.Helper()
	file, scan, table := read(t, "progressive.jpg"), []byte{0xFF, 0xDA}, []byte{0xFF, 0xC4}
	first := bytes.Index(file, scan)
	second := first + len(scan) + bytes.Index(file[first+len(scan):], scan)
	end := second + bytes.Index(file[second:], table)
	has := bytes.Count(file, scan)
	testkit.Equal(t, "the scans", scans(file), has)
	return slices.Concat(file[:end], bytes.Repeat(file[second:end], n-has), file[end:])
}
