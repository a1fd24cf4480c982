package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"facestream/transforms/frame/frametest"
)

// sequential are the files of testdata that surelyWhole must know.
var sequential = []string{"420.jpg", "422.jpg", "440.jpg", "444.jpg", "411.jpg", "410.jpg",
	"grey.jpg", "optimised.jpg", "restart.jpg", "separate.jpg", "rgb.jpg", "demo.jpg"}

// other gives a file of this package's own testdata.
func other(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func encode(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
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

func decodes(value []byte) error {
	_, err := jpeg.Decode(bytes.NewReader(value))
	return err
}

// mustBeWhole demands that both say that the value is whole.
func mustBeWhole(t *testing.T, name string, value []byte) {
	t.Helper()
	if err := decodes(value); err != nil {
		t.Errorf("%s: the test's file is none: %v", name, err)
	}
	if !surelyWhole(value) {
		t.Errorf("%s: not surely whole", name)
	}
}

func TestSurelyWhole(t *testing.T) {
	for _, name := range sequential {
		mustBeWhole(t, name, other(t, name))
	}
	mustBeWhole(t, "face.jpg", read(t, "face.jpg"))
	for quality := 1; quality <= 100; quality++ {
		for _, paint := range []func(draw.Image) image.Image{frametest.Noise, smooth} {
			size := image.Rect(0, 0, 43, 37)
			mustBeWhole(t, fmt.Sprintf("colour, quality %d", quality), encode(t, paint(image.NewRGBA(size)), quality))
			mustBeWhole(t, fmt.Sprintf("grey, quality %d", quality), encode(t, paint(image.NewGray(size)), quality))
		}
	}
	for width := 1; width <= 34; width++ {
		for height := 1; height <= 34; height++ {
			size := image.Rect(0, 0, width, height)
			mustBeWhole(t, fmt.Sprintf("colour, %dx%d", width, height), encode(t, frametest.Noise(image.NewRGBA(size)), 75))
			mustBeWhole(t, fmt.Sprintf("grey, %dx%d", width, height), encode(t, frametest.Noise(image.NewGray(size)), 75))
		}
	}
	for name, value := range map[string][]byte{
		"extended":             replace(t, other(t, "420.jpg"), "\xFF\xC0", "\xFF\xC1"),
		"bytes after the end":  append(other(t, "420.jpg"), "\xFF\xD8 and more"...),
		"more segments":        replace(t, other(t, "420.jpg"), "\xFF\xC0", "\xFF\xFE\x00\x02\xFF\xEE\x00\x04ab\xFF\xC0"),
		"a scan twice":         twice(t, other(t, "grey.jpg")),
		"one block":            oneBlock("\x00", "\x00\x00"),
		"one block to its end": oneBlock(zeros(16), "\x00\x01"), // 1 + 63*2 bits
		"grey, factors of 2x2": replace(t, other(t, "grey.jpg"), "\x01\x01\x11\x00", "\x01\x01\x22\x00"),
	} {
		mustBeWhole(t, name, value)
	}
}

// replace puts another text into the value once.
func replace(t testing.TB, value []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(value, []byte(old)) {
		t.Fatalf("the test's file has no % x", old)
	}
	return bytes.Replace(value, []byte(old), []byte(new), 1)
}

// twice repeats a file's only scan.
func twice(t testing.TB, value []byte) []byte {
	t.Helper()
	scan := bytes.Index(value, []byte{0xFF, markerScan})
	if scan < 0 {
		t.Fatal("the test's file has no scan")
	}
	return slices.Concat(value[:len(value)-2], value[scan:])
}

// TestNotSurely is what is left to jpeg.Decode, which refuses some of it.
func TestNotSurely(t *testing.T) {
	colour, grey, restart := other(t, "420.jpg"), other(t, "grey.jpg"), other(t, "restart.jpg")
	end := "\xFF\xD9"
	for _, tt := range []struct {
		name  string
		value []byte
		whole bool // for jpeg.Decode
	}{
		{"progressive", other(t, "progressive.jpg"), true},
		{"a larger progressive", read(t, "progressive.jpg"), true},
		{"CMYK", other(t, "cmyk.jpg"), true},
		{"arithmetic", other(t, "arithmetic.jpg"), false},
		{"lossless", frametest.JPEGHeader(2000, frametest.Lossless, 8, 64, 48, 3), false},
		{"12 bits a sample", frametest.JPEGHeader(2000, frametest.Baseline, 12, 64, 48, 3), false},
		{"zeros behind the headers", frametest.JPEGHeader(2000, frametest.Baseline, 8, 64, 48, 3), false},
		{"no end", colour[:len(colour)-2], false},
		{"cut short", append(slices.Clone(colour[:len(colour)-40]), end...), false},
		{"no scan", append(slices.Clone(colour[:bytes.Index(colour, []byte{0xFF, markerScan})]), end...), false},
		{"no Huffman table", replace(t, replace(t, grey, "\xFF\xC4", "\xFF\xFE"), "\xFF\xC4", "\xFF\xFE"), false},
		{"nothing but the magic number", jpegMagic, false},
		{"nothing", nil, false},
		{"wrong number of a restart", replace(t, restart, "\xFF\xD1", "\xFF\xD2"), false},
		{"no restart", replace(t, restart, "\xFF\xD1", ""), false},
		{"a restart without an interval", replace(t, colour, "\xFF\xD9", "\xFF\xD0\xFF\xD9"), true},
		{"fill bytes", replace(t, colour, "\xFF\xC0", "\xFF\xFF\xC0"), true},
		{"bytes before the end", append(slices.Clone(colour[:len(colour)-2]), "some\xFF\x00\xFF\xD9"...), true},
		{"bytes between segments", replace(t, colour, "\xFF\xC0", "some\xFF\xC0"), true},
		{"two frame headers", twiceHeader(t, colour), false},
		{"an unknown marker", replace(t, colour, "\xFF\xC0", "\xFF\xC8\x00\x02\xFF\xC0"), false},
		{"components of the same name", replace(t, colour, "\x02\x11\x01\x03\x11\x01", "\x02\x11\x01\x02\x11\x01"), false},
		{"factors of 3", replace(t, colour, "\x01\x22\x00\x02", "\x01\x31\x00\x02"), false},
		{"factors of 4 down", replace(t, colour, "\x01\x22\x00\x02", "\x01\x14\x00\x02"), false},
		{"more than ten blocks", replace(t, colour, "\x01\x22\x00\x02\x11\x01\x03\x11", "\x01\x22\x00\x02\x22\x01\x03\x22"), false},
		{"an unknown quantization table", replace(t, colour, "\x01\x22\x00\x02", "\x01\x22\x04\x02"), false},
		{"a scan of one component twice", replace(t, colour, "\x03\x01\x00\x02\x11\x03\x11", "\x03\x01\x00\x01\x00\x03\x11"), false},
		{"an odd interval", replace(t, restart, "\xFF\xDD\x00\x04\x00", "\xFF\xDD\x00\x05\x00\x00"), false},
		{"spectral selection", replace(t, colour, "\x11\x03\x11\x00\x3F\x00", "\x11\x03\x11\x01\x3E\x00"), true},
		{"no data", oneBlock("", "\x00\x00"), false},
		{"data of a byte too much", oneBlock("\x00\x00", "\x00\x00"), true},
		{"a code of no table", oneBlock("\x80\x00\x00", "\x00\x00"), false},
		{"a DC coefficient of 17 bits", oneBlock("\x00\x00\x00", "\x11\x00"), false},
		{"a DC coefficient of 12 bits", oneBlock("\x00\x00", "\x0C\x00"), true},
		{"an AC coefficient of 11 bits", oneBlock(zeros(95), "\x00\x0B"), true},
		{"an end of several blocks", oneBlock("\x00", "\x00\x10"), true},
		{"coefficients beyond a block", oneBlock("\x00\x00", "\x00\xF1"), true},
		{"zeros beyond a block", oneBlock("\x00", "\x00\xF0"), true},
		{"more codes than there are bits", jpegOf(8, 8, counts(3), "\x00\x00\x00", counts(1), "\x00", "\x00"), true},
		{"symbols of a table cut short", jpegOf(8, 8, counts(2), "\x00", counts(1), "\x00", "\x00"), false},
	} {
		if surelyWhole(tt.value) {
			t.Errorf("%s: surely whole", tt.name)
		}
		if err := decodes(tt.value); (err == nil) != tt.whole {
			t.Errorf("%s: jpeg.Decode gives the error %v", tt.name, err)
		}
		if bytes.HasPrefix(tt.value, jpegMagic) {
			sameAnswer(t, tt.name, tt.value)
		}
	}
}

// twiceHeader repeats a file's frame header.
func twiceHeader(t testing.TB, value []byte) []byte {
	t.Helper()
	start := bytes.Index(value, []byte{0xFF, markerBaseline})
	if start < 0 {
		t.Fatal("the test's file has no frame header")
	}
	end := start + 2 + int(binary.BigEndian.Uint16(value[start+2:]))
	return slices.Concat(value[:end], value[start:])
}

// oneBlock gives a grey JPEG of one block with the data. The DC table has the
// first of the two symbols and the AC table the other, both with the code 0; the
// code 1 is none.
func oneBlock(data, symbols string) []byte {
	return jpegOf(8, 8, counts(1), symbols[:1], counts(1), symbols[1:], data)
}

// counts says that there are n codes of one bit, and no others.
func counts(n byte) []byte {
	c := make([]byte, codeBits)
	c[0] = n
	return c
}

func zeros(n int) string { return string(make([]byte, n)) }

// jpegOf gives a grey JPEG with the Huffman tables, DC and AC, and the data.
func jpegOf(width, height byte, dcCounts []byte, dcSymbols string, acCounts []byte, acSymbols, data string) []byte {
	b := []byte{0xFF, 0xD8}
	segment := func(marker byte, parts ...[]byte) {
		body := slices.Concat(parts...)
		b = append(b, 0xFF, marker)
		b = binary.BigEndian.AppendUint16(b, uint16(2+len(body)))
		b = append(b, body...)
	}
	segment(markerBaseline, []byte{8, 0, height, 0, width, 1, 1, 0x11, 0})
	segment(markerHuffman, []byte{0x00}, dcCounts, []byte(dcSymbols))
	segment(markerHuffman, []byte{0x10}, acCounts, []byte(acSymbols))
	segment(markerScan, []byte{1, 1, 0, 0, 63, 0})
	b = append(b, data...)
	return append(b, 0xFF, markerEnd)
}

// reference is checkJPEG without surelyWhole.
func reference(value []byte) (picture, *refusal) {
	p, no := checkJPEGHeader(value)
	if no != nil {
		return picture{}, no
	}
	if err := decodes(value); err != nil {
		return picture{}, refuse(CorruptJPEG, "decoding the JPEG: %v", err)
	}
	return p, nil
}

// sameAnswer demands that surelyWhole is right, and changes no answer. It says
// whether the value was surely whole.
func sameAnswer(t *testing.T, name string, value []byte) bool {
	t.Helper()
	wantPicture, wantRefusal := reference(value)
	got, no := checkJPEG(value)
	if got != wantPicture || (no == nil) != (wantRefusal == nil) || no != nil && *no != *wantRefusal {
		t.Fatalf("%s: got %v %v, want %v %v:\n% x", name, got, no, wantPicture, wantRefusal, value)
	}
	whole := surelyWhole(value)
	if whole && wantRefusal != nil { // which may be of a limit
		if err := decodes(value); err != nil {
			t.Fatalf("%s: surely whole, but %v:\n% x", name, err, value)
		}
	}
	return whole
}

func TestCutEverywhere(t *testing.T) {
	for _, name := range []string{"separate.jpg", "grey.jpg", "restart.jpg"} {
		value := other(t, name)
		for n := len(jpegMagic); n < len(value); n++ {
			if sameAnswer(t, name, value[:n]) {
				t.Errorf("%s: surely whole with %d of %d bytes", name, n, len(value))
			}
			sameAnswer(t, name, append(slices.Clone(value[:n]), 0xFF, markerEnd))
		}
	}
}

// TestMutations changes files at random, the same way each time.
func TestMutations(t *testing.T) {
	const each = 1000
	random := rand.New(rand.NewPCG(1, 2))
	files := [][]byte{encode(t, smooth(image.NewRGBA(image.Rect(0, 0, 30, 20))), 50)}
	for _, name := range sequential[:len(sequential)-1] { // not the large one
		files = append(files, other(t, name))
	}
	for i, file := range files {
		whole := 0
		for range each {
			value := slices.Clone(file)
			for range 1 + random.IntN(3) {
				value = mutate(value, files, random)
			}
			if bytes.HasPrefix(value, jpegMagic) && sameAnswer(t, fmt.Sprintf("file %d", i), value) {
				whole++
			}
		}
		if whole < each/50 || whole > each*49/50 {
			t.Errorf("file %d: %d of %d are surely whole, which tests little", i, whole, each)
		}
	}
}

// mutate changes a JPEG in one of many ways.
func mutate(b []byte, files [][]byte, random *rand.Rand) []byte {
	if len(b) < 40 {
		return b
	}
	at, n := random.IntN(len(b)), 1+random.IntN(4)
	switch random.IntN(10) {
	case 0, 1:
		b[at] ^= 1 << random.IntN(8)
	case 2:
		b[at] = byte(random.Uint32())
	case 3:
		return b[:at]
	case 4:
		return slices.Delete(b, at, min(len(b), at+n))
	case 5:
		return slices.Insert(b, at, bytes.Repeat([]byte{byte(random.Uint32())}, n)...)
	case 6:
		other := files[random.IntN(len(files))]
		return slices.Concat(b[:at], other[random.IntN(len(other)):])
	case 7: // segments in another order, or twice
		segments, rest := cutSegments(b)
		i, j := random.IntN(len(segments)), random.IntN(len(segments))
		segments[i], segments[j] = segments[j], segments[i]
		if random.IntN(2) == 0 {
			segments = append(segments, segments[i])
		}
		return slices.Concat([]byte{0xFF, 0xD8}, slices.Concat(segments...), rest)
	default: // a byte of a table, a size, a sampling factor, a selector, ...
		segments, _ := cutSegments(b)
		segment := segments[random.IntN(len(segments))]
		if len(segment) > 4 {
			i := 4 + random.IntN(min(len(segment)-4, 30))
			segment[i] = byte(int(segment[i]) + random.IntN(5) - 2)
		}
	}
	return b
}

// cutSegments gives the segments before the first scan's data, which share the
// value's bytes, and the rest. There is always one.
func cutSegments(value []byte) (segments [][]byte, rest []byte) {
	for rest = value[2:]; len(rest) >= 4 && rest[0] == 0xFF; {
		size := min(len(rest), 2+int(binary.BigEndian.Uint16(rest[2:])))
		segments = append(segments, rest[:size:size])
		scan := rest[1] == markerScan
		if rest = rest[size:]; scan {
			break
		}
	}
	if segments == nil {
		segments = [][]byte{rest[:1:1]}
		rest = rest[1:]
	}
	return segments, rest
}

// TestRandomCodes reads random data by random tables. Of each beginning of the
// data, one at most is whole.
func TestRandomCodes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ends := 0
	for range 2000 {
		dcCounts, dcSymbols := randomTable(random, 12)
		acCounts, acSymbols := randomTable(random, 256)
		var data []byte
		for len(data) < 48 {
			if random.IntN(8) == 0 {
				data = append(data, 0xFF, 0)
			} else {
				data = append(data, byte(random.IntN(0xFF)))
			}
		}
		found := 0
		for n := range data {
			value := jpegOf(15, 9, dcCounts, dcSymbols, acCounts, acSymbols, string(data[:n]))
			if sameAnswer(t, "random codes", value) {
				found++
			}
		}
		if found > 1 {
			t.Fatalf("%d beginnings of % x are whole", found, data)
		}
		ends += found
	}
	if ends < 50 {
		t.Errorf("%d of the random data have an end, which tests little", ends)
	}
}

// randomTable gives codes of all lengths, of symbols below a limit.
func randomTable(random *rand.Rand, limit int) (counts []byte, symbols string) {
	counts = make([]byte, codeBits)
	for i, free := 0, 2; i < codeBits; i, free = i+1, 2*free {
		n := min(random.IntN(free+1), 256-len(symbols), random.IntN(8))
		counts[i] = byte(n)
		free -= n
		for range n {
			symbol := byte(random.IntN(limit))
			switch {
			case random.IntN(4) == 0:
				symbol = 0
			case limit > 16 && random.IntN(2) == 0: // short runs and values are usual
				symbol &= 0x33
			}
			symbols += string([]byte{symbol})
		}
	}
	if symbols == "" {
		counts[0], symbols = 1, "\x00"
	}
	return counts, symbols
}

// FuzzSurelyWhole demands that jpeg.Decode decodes what is surely whole, and that
// no answer changes:
//
//	go test ./transforms/frame -run '^$' -fuzz FuzzSurelyWhole -fuzztime 5m -fuzzminimizetime 1x
func FuzzSurelyWhole(f *testing.F) {
	for _, name := range sequential[:len(sequential)-1] {
		f.Add(other(f, name))
	}
	f.Add(other(f, "progressive.jpg"))
	f.Add(encode(f, smooth(image.NewGray(image.Rect(0, 0, 9, 7))), 50))
	f.Add(oneBlock("\x7F", "\x01\x00"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if bytes.HasPrefix(value, jpegMagic) {
			sameAnswer(t, "fuzz", value)
		}
	})
}

// BenchmarkSurelyWhole reports how many times as fast as jpeg.Decode it is, with a
// photograph of 640x480 pixels.
func BenchmarkSurelyWhole(b *testing.B) {
	value := read(b, "face.jpg")
	var walk, decode time.Duration
	for b.Loop() {
		start := time.Now()
		if !surelyWhole(value) {
			b.Fatal("the photograph is not surely whole")
		}
		walked := time.Now()
		if err := decodes(value); err != nil {
			b.Fatal(err)
		}
		walk += walked.Sub(start)
		decode += time.Since(walked)
	}
	b.ReportMetric(float64(walk.Nanoseconds())/float64(b.N), "ns/walk")
	b.ReportMetric(float64(decode)/float64(walk), "times-as-fast")
}
