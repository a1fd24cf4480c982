// Package frametest makes values for the tests of frame and of what comes after
// it: files with what encoders do not write. It does not import frame, so that frame's own
// tests can use it.
package frametest

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
)

// Noise paints a picture that does not compress well.
func Noise(img draw.Image) image.Image {
	n := uint32(1)
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			n = n*1664525 + 1013904223
			img.Set(x, y, color.RGBA{byte(n >> 24), byte(n >> 16), byte(n >> 8), 255})
		}
	}
	return img
}

// JPEG encodes a picture.
func JPEG(img image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err) // the caller's picture cannot be encoded
	}
	return b.Bytes()
}

// Segment adds a segment behind the first marker of a JPEG.
func Segment(file []byte, marker byte, data string) []byte {
	head := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(2+len(data)))
	return slices.Concat(file[:2], head, []byte(data), file[2:])
}

// WithoutTables drops the Huffman tables of a JPEG.
func WithoutTables(file []byte) []byte {
	for {
		at := bytes.Index(file, []byte{0xFF, 0xC4})
		if at < 0 {
			return file
		}
		file = slices.Concat(file[:at], file[at+2+int(binary.BigEndian.Uint16(file[at+2:])):])
	}
}

// PNG encodes a picture, and adds the chunks behind the header.
func PNG(img image.Image, chunks ...[]byte) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // the caller's picture cannot be encoded
	}
	return slices.Insert(b.Bytes(), pngHeaderEnd, slices.Concat(chunks...)...)
}

// The markers of JPEG headers, of ITU-T T.81, table B.1.
const (
	Baseline    = 0xC0
	Progressive = 0xC2
	Lossless    = 0xC3
)

// JPEGHeader returns a JPEG of size bytes that has, but for zeros, only its
// headers.
func JPEGHeader(size int, marker, precision byte, width, height uint16, components int) []byte {
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

const (
	pngMagic     = "\x89PNG\r\n\x1a\n"
	pngHeaderEnd = len(pngMagic) + 4 + 4 + 13 + 4 // length, type, data, checksum
)

// The colour types of PNGs.
const (
	PNGGrey   = 0
	PNGColour = 2
	PNGAlpha  = 6 // colours and transparency
)

// PNGHeader returns a PNG of size bytes that has, but for zeros, only its header.
func PNGHeader(size int, width, height uint32, bits, colourType byte) []byte {
	b := pngHeader(width, height, bits, colourType, 0)
	return append(b, make([]byte, size-len(b))...)
}

func pngHeader(width, height uint32, bits, colourType, interlace byte) []byte {
	data := binary.BigEndian.AppendUint32(nil, width)
	data = binary.BigEndian.AppendUint32(data, height)
	data = append(data, bits, colourType, 0, 0, interlace)
	return append([]byte(pngMagic), Chunk("IHDR", data)...)
}

// Chunk returns a chunk of a PNG.
func Chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, kind...)
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// adam7 are the pictures that an interlaced PNG is made of: where each begins,
// and how far apart its pixels are.
var adam7 = []struct{ x, y, dx, dy int }{
	{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
}

// InterlacedPNG encodes a grey picture as Go's own encoder cannot.
func InterlacedPNG(img *image.Gray) []byte {
	var rows []byte
	for _, p := range adam7 {
		for y := p.y; y < img.Rect.Dy() && p.x < img.Rect.Dx(); y += p.dy {
			rows = append(rows, 0) // no filter
			for x := p.x; x < img.Rect.Dx(); x += p.dx {
				rows = append(rows, img.GrayAt(x, y).Y)
			}
		}
	}
	header := pngHeader(uint32(img.Rect.Dx()), uint32(img.Rect.Dy()), 8, PNGGrey, 1)
	return slices.Concat(header, Chunk("IDAT", deflated(rows)), Chunk("IEND", nil))
}

// deflated returns data as it stands in chunks of PNGs.
func deflated(data []byte) []byte {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		panic(err) // there is no such level
	}
	w.Write(data) // a buffer takes everything
	w.Close()
	return b.Bytes()
}

// bombBytes is what each of Bombs unpacks to: what libpng still takes.
const bombBytes = 7 << 20

// Bombs returns chunks for PNG that unpack to 7 MiB each, from 7 kB: n texts of
// both kinds, and a colour profile.
func Bombs(n int) [][]byte {
	packed := deflated(bytes.Repeat([]byte("a"), bombBytes))
	profile := binary.BigEndian.AppendUint32(nil, bombBytes)
	chunks := [][]byte{Chunk("iCCP", append([]byte("bomb\x00\x00"), deflated(append(profile, make([]byte, bombBytes-len(profile))...))...))}
	for i := range n {
		if i%2 == 0 {
			chunks = append(chunks, Chunk("zTXt", append([]byte("bomb\x00\x00"), packed...)))
		} else {
			chunks = append(chunks, Chunk("iTXt", append([]byte("bomb\x00\x01\x00\x00\x00"), packed...)))
		}
	}
	return chunks
}

// Repaired returns a PNG that was changed the checksums that it should have, so
// that the change comes further than to them. Other values stay as they are.
func Repaired(value []byte) []byte {
	const around = 4 + 4 + 4 // length, type, checksum
	if !bytes.HasPrefix(value, []byte(pngMagic)) {
		return value
	}
	out := []byte(pngMagic)
	for rest := value[len(pngMagic):]; ; {
		if len(rest) < around || int64(binary.BigEndian.Uint32(rest)) > int64(len(rest)-around) {
			return append(out, rest...)
		}
		end := 8 + int(binary.BigEndian.Uint32(rest))
		kind, data := string(rest[4:8]), bytes.Clone(rest[8:end])
		if kind == "IDAT" {
			repairZlib(data)
		}
		out = append(out, Chunk(kind, data)...)
		rest = rest[end+4:]
	}
}

// repairZlib sets the checksum at the end of the data, if they can be unpacked.
func repairZlib(data []byte) {
	const header, sum, most = 2, 4, 1 << 20
	if len(data) < header+sum {
		return
	}
	end := len(data) - sum
	if plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[header:end])), most)); err == nil {
		binary.BigEndian.PutUint32(data[end:], adler32.Checksum(plain))
	}
}
