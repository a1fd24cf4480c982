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
	"path/filepath"
	"slices"
	"testing"

	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
)

// sequential are the files of testdata that provesWhole must know.
var sequential = []string{"420.jpg", "422.jpg", "440.jpg", "444.jpg", "411.jpg", "410.jpg",
	"grey.jpg", "optimised.jpg", "restart.jpg", "separate.jpg", "rgb.jpg", "demo.jpg"}

// other returns a file of this package's own testdata.
func other(t testing.TB, name string) []byte {
	t.Helper()
	return testkit.ReadFile(t, filepath.Join("testdata", name))
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
	if !provesWhole(value) {
		t.Errorf("%s: not surely whole", name)
	}
}

func TestProvesWhole(t *testing.T) {
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
		"extended":                  replace(t, other(t, "420.jpg"), "\xFF\xC0", "\xFF\xC1"),
		"bytes after the end":       append(other(t, "420.jpg"), "\xFF\xD8 and more"...),
		"more segments":             replace(t, other(t, "420.jpg"), "\xFF\xC0", "\xFF\xFE\x00\x02\xFF\xEE\x00\x04ab\xFF\xC0"),
		"a scan twice":              twice(t, other(t, "grey.jpg")),
		"one block":                 oneBlock("\x3F", 0, 0),
		"one block to its end":      oneBlock(zeros(16), 0, 1), // 1 + 63*2 bits
		"grey, restarts":            made{width: 16, interval: 1, factors: []byte{0x22}, scans: []string{"\x3F\xFF\xD0\x3F"}}.bytes(),
		"blocks beyond the picture": made{factors: []byte{0x22, 0x11, 0x11}, scans: []string{"\x3F", "\x3F", "\x3F"}}.bytes(),
		"tables of 16 bits":         made{before: segment(markerQuantization, []byte{0x10}, make([]byte, 2*blockSize)), scans: []string{"\x3F"}}.bytes(),
		"grey, factors of 2x2":      replace(t, other(t, "grey.jpg"), "\x01\x01\x11\x00", "\x01\x01\x22\x00"),
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

// TestProvesNothing is what is left to jpeg.Decode, which refuses some of it.
func TestProvesNothing(t *testing.T) {
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
		{"components of the same name", replace(t, replace(t, made{factors: []byte{0x11, 0x11, 0x11}, scans: []string{"\x3F", "\x3F", "\x3F"}}.bytes(),
			"\x01\x11\x00\x02\x11\x00", "\x01\x11\x00\x01\x11\x00"), "\x00\x08\x01\x02", "\x00\x08\x01\x01"), false},
		{"a scan of no component", replace(t, oneBlock("", 0, 0), "\x00\x08\x01\x00\x00\x00\x3F\x00", "\x00\x06\x00\x00\x3F\x00"), false},
		{"a scan before the frame header", made{before: segment(markerScan, []byte{1, 0, 0, 0, 63, 0}), scans: []string{"\x3F"}}.bytes(), false},
		{"an unknown quantization table", replace(t, colour, "\x01\x22\x00\x02", "\x01\x22\x04\x02"), false},
		{"a scan of one component twice", replace(t, colour, "\x03\x01\x00\x02\x11\x03\x11", "\x03\x01\x00\x01\x00\x03\x11"), false},
		{"spectral selection", replace(t, colour, "\x11\x03\x11\x00\x3F\x00", "\x11\x03\x11\x01\x3E\x00"), true},
		{"no height", replace(t, oneBlock("", 0, 0), "\x08\x00\x08\x00\x08\x01", "\x08\x00\x00\x00\x08\x01"), true},
		{"no width", replace(t, oneBlock("", 0, 0), "\x08\x00\x08\x00\x08\x01", "\x08\x00\x08\x00\x00\x01"), true},
		{"no data", oneBlock("", 0, 0), false},
		{"data of a byte too much", oneBlock("\x00\x00", 0, 0), true},
		{"a code of no table", oneBlock("\x80\x00\x00", 0, 0), false},
		{"a DC coefficient of 17 bits", oneBlock("\x00\x00\x00", 17, 0), false},
		{"a DC coefficient of 12 bits", oneBlock("\x00\x00", 12, 0), true},
		{"an AC coefficient of 11 bits", oneBlock(zeros(95), 0, 11), true},
		{"an end of several blocks", oneBlock("\x00", 0, 0x10), true},
		{"coefficients beyond a block", oneBlock("\x00\x00", 0, 0xF1), true},
		{"zeros beyond a block", oneBlock("\x00", 0, 0xF0), true},
		{"more codes than there are bits", made{dc: table{counts(3), zeros(3)}, scans: []string{"\x00"}}.bytes(), true},
		{"symbols of a table cut short", made{dc: table{counts(2), zeros(1)}, scans: []string{"\x00"}}.bytes(), false},
		{"a Huffman table without codes", made{before: segment(markerHuffman, []byte{0x01}, counts(0)), scans: []string{"\x00"}}.bytes(), false},
		{"a Huffman table of a wrong class", made{before: segment(markerHuffman, []byte{0x20}, counts(1), []byte{0}), scans: []string{"\x00"}}.bytes(), false},
		{"a Huffman table of a wrong number", made{before: segment(markerHuffman, []byte{0x04}, counts(1), []byte{0}), scans: []string{"\x00"}}.bytes(), false},
		{"a code of an earlier table", made{before: segment(markerHuffman, []byte{0x00}, counts(2), []byte{0, 0}), scans: []string{"\x80"}}.bytes(), false},
		{"a quantization table of 24 bits", made{before: segment(markerQuantization, []byte{0x20}, make([]byte, 3*blockSize)), scans: []string{"\x00"}}.bytes(), false},
		{"a quantization table of a wrong number", made{before: segment(markerQuantization, []byte{0x04}, make([]byte, blockSize)), scans: []string{"\x00"}}.bytes(), false},
		{"a quantization table cut short", made{before: segment(markerQuantization, []byte{0x00}, make([]byte, blockSize-1)), scans: []string{"\x00"}}.bytes(), false},
		{"an interval of three bytes", made{before: segment(markerInterval, make([]byte, 3)), scans: []string{"\x00"}}.bytes(), false},
		{"no data before a restart", made{width: 16, interval: 1, scans: []string{"\xFF\xD0\x3F"}}.bytes(), false},
		{"a byte too much before a restart", made{width: 16, interval: 1, scans: []string{"\x3F\x3F\xFF\xD0\x3F"}}.bytes(), true},
		// image/jpeg takes two blocks of the first component for an MCU.
		{"restarts in a scan of several blocks", made{width: 16, interval: 1, factors: []byte{0x21, 0x11, 0x11},
			scans: []string{"\x3F\xFF\xD0\x3F", "\x3F", "\x3F"}}.bytes(), false},
	} {
		if provesWhole(tt.value) {
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

// made is a JPEG to be made, of blocks that are as small as can be: both tables
// have the code 0 for the symbol 0, and no other, so that a block is two bits.
// The fields that are set change that.
type made struct {
	width, height byte     // or 8
	factors       []byte   // of the components, or 0x11 for one
	interval      byte     // between restart markers
	dc, ac        table    // or counts(1) for the symbol 0
	before        string   // segments before all others
	scans         []string // the data of a scan of all components, or of one scan of each
}

// table is a Huffman table as a JPEG has it.
type table struct {
	counts  []byte
	symbols string
}

// counts says that there are n codes of one bit, and no others.
func counts(n byte) []byte {
	c := make([]byte, codeBits)
	c[0] = n
	return c
}

func zeros(n int) string { return string(make([]byte, n)) }

// segment returns a segment of a JPEG.
func segment(marker byte, parts ...[]byte) string {
	body := slices.Concat(parts...)
	b := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(2+len(body)))
	return string(append(b, body...))
}

func (m made) bytes() []byte {
	if m.width == 0 {
		m.width = 8
	}
	if m.height == 0 {
		m.height = 8
	}
	if m.factors == nil {
		m.factors = []byte{0x11}
	}
	for _, t := range []*table{&m.dc, &m.ac} {
		if t.counts == nil {
			*t = table{counts(1), "\x00"}
		}
	}
	n := byte(len(m.factors))
	frame := []byte{8, 0, m.height, 0, m.width, n}
	for i, factors := range m.factors {
		frame = append(frame, byte(i), factors, 0)
	}
	text := "\xFF\xD8" + m.before + segment(markerBaseline, frame) +
		segment(markerHuffman, []byte{0x00}, m.dc.counts, []byte(m.dc.symbols)) +
		segment(markerHuffman, []byte{0x10}, m.ac.counts, []byte(m.ac.symbols))
	if m.interval > 0 {
		text += segment(markerInterval, []byte{0, m.interval})
	}
	for i, data := range m.scans {
		header := []byte{1, byte(i), 0}
		if len(m.scans) == 1 {
			header = []byte{n}
			for i := range n {
				header = append(header, i, 0)
			}
		}
		text += segment(markerScan, header, []byte{0, 63, 0}) + data
	}
	return []byte(text + "\xFF\xD9")
}

// oneBlock returns a grey JPEG of one block with the data, and a symbol for each
// table's code.
func oneBlock(data string, dc, ac byte) []byte {
	return made{dc: table{counts(1), string([]byte{dc})}, ac: table{counts(1), string([]byte{ac})}, scans: []string{data}}.bytes()
}

// TestSamplingFactors is all that can be said of three components.
func TestSamplingFactors(t *testing.T) {
	var all []byte
	for h := byte(0); h <= 5; h++ {
		for v := byte(0); v <= 5; v++ {
			all = append(all, h<<4|v)
		}
	}
	blocks := func(factors byte) int { return int(factors>>4) * int(factors&0xF) }
	supported := 0
	for _, first := range all {
		for _, second := range all {
			for _, third := range all {
				n := blocks(first) + blocks(second) + blocks(third)
				value := made{factors: []byte{first, second, third}, scans: []string{zeros((2*n + 7) / 8)}}.bytes()
				err := decodes(value)
				if got := provesWhole(value); got != (err == nil) {
					t.Errorf("%x %x %x: surely whole is %v, the error %v", first, second, third, got, err)
				}
				if err == nil {
					supported++
				}
			}
		}
	}
	if supported < 10 {
		t.Errorf("%d are supported", supported)
	}
}

// reference is checkJPEG without provesWhole.
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

// sameAnswer demands that provesWhole is right, and changes no answer. It says
// whether the value was surely whole.
func sameAnswer(t *testing.T, name string, value []byte) bool {
	t.Helper()
	wantPicture, wantRefusal := reference(value)
	got, no := checkJPEG(value)
	if got != wantPicture || (no == nil) != (wantRefusal == nil) || no != nil && *no != *wantRefusal {
		t.Fatalf("%s: got %v %v, want %v %v:\n% x", name, got, no, wantPicture, wantRefusal, value)
	}
	whole := provesWhole(value)
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
	const each = 500
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

// cutSegments returns the segments before the first scan's data, which share the
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
	for range 500 {
		dc, ac := randomTable(random, 12), randomTable(random, 256)
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
			value := made{width: 15, height: 9, dc: dc, ac: ac, scans: []string{string(data[:n])}}.bytes()
			if sameAnswer(t, "random codes", value) {
				found++
			}
		}
		if found > 1 {
			t.Fatalf("%d beginnings of % x are whole", found, data)
		}
		ends += found
	}
	if ends < 15 {
		t.Errorf("%d of the random data have an end, which tests little", ends)
	}
}

// randomTable returns codes of all lengths, of symbols below a limit.
func randomTable(random *rand.Rand, limit int) table {
	var t table
	t.counts = make([]byte, codeBits)
	for i, free := 0, 2; i < codeBits; i, free = i+1, 2*free {
		n := min(random.IntN(free+1), 256-len(t.symbols), random.IntN(8))
		t.counts[i] = byte(n)
		free -= n
		for range n {
			symbol := byte(random.IntN(limit))
			switch {
			case random.IntN(4) == 0:
				symbol = 0
			case limit > 16 && random.IntN(2) == 0: // short runs and values are usual
				symbol &= 0x33
			}
			t.symbols += string([]byte{symbol})
		}
	}
	if t.symbols == "" {
		return table{counts(1), "\x00"}
	}
	return t
}

// FuzzProvesWhole demands that jpeg.Decode decodes what is surely whole, and that
// no answer changes:
//
//	go test ./transforms/frame -run '^$' -fuzz FuzzProvesWhole -fuzztime 5m -fuzzminimizetime 1x
func FuzzProvesWhole(f *testing.F) {
	for _, name := range sequential[:len(sequential)-1] {
		f.Add(other(f, name))
	}
	f.Add(other(f, "progressive.jpg"))
	f.Add(encode(f, smooth(image.NewGray(image.Rect(0, 0, 9, 7))), 50))
	f.Add(oneBlock("\x3F", 0, 0))
	f.Fuzz(func(t *testing.T, value []byte) {
		if bytes.HasPrefix(value, jpegMagic) {
			sameAnswer(t, "fuzz", value)
		}
	})
}
