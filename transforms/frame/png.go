package frame

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/png"
)

// PNGContentType is the content type of a PNG file. It may be grey, have colours
// or a palette, 1 to 16 bits a sample, transparency, and be interlaced. Only the
// upper 8 of 16 bits count, transparency does not count, and the picture of an
// animation is its first. Bytes after its end do not matter.
const PNGContentType = "image/png"

var pngMagic = []byte("\x89PNG\r\n\x1a\n")

// The layout of a chunk, of https://www.w3.org/TR/png-3/#5Chunk-layout: length
// of the data, type, data, checksum of the last two.
const (
	lengthBytes = 4
	typeBytes   = 4
	sumBytes    = 4
)

// headerBytes is the length of the data in the chunk IHDR: width, height, bits a
// sample, colour type, and three more.
const headerBytes = 13

// samples is the number of samples of a pixel by the colour type.
var samples = map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

// inflation is the most that a byte can unpack to: of deflate's codes the
// shortest pair, for length and distance, has two bits, and gives 258 bytes.
const inflation = 258 * 8 / 2

// checkPNG decodes the value. It allocates no more than fits the number of
// bytes, whatever size the PNG's header claims, and skips the chunks that hold
// no pixels without unpacking them.
func checkPNG(value []byte) (picture, *refusal) {
	first, _, ok := cutChunk(value[len(pngMagic):])
	if !ok || first.kind() != "IHDR" || len(first.data()) != headerBytes || !first.intact() {
		return picture{}, refuse(CorruptPNG, "the PNG does not begin with a header that is whole")
	}
	header := first.data()
	p := picture{PNG, int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))}
	if p.width < 1 || p.height < 1 {
		return picture{}, refuse(CorruptPNG, "the PNG's header says %dx%d pixels", p.width, p.height)
	}
	if err := CheckSize(p.width, p.height); err != nil {
		return picture{}, refuse(TooLarge, "%v", err)
	}
	bits, colourType := int(header[8]), header[9]
	row := (p.width*bits*samples[colourType] + 7) / 8
	if row == 0 {
		return picture{}, refuse(CorruptPNG, "the PNG's header says %d bits a sample and the colour type %d", bits, colourType)
	}
	if size := row * p.height; size > MaxRawBytes {
		return picture{}, refuse(TooLarge, "%dx%d pixels are too many: the PNG unpacks to %d bytes, and the limit is %d", p.width, p.height, size, MaxRawBytes)
	}
	if (1+row)*p.height > len(value)*inflation { // one byte says how a row is filtered
		return picture{}, refuse(CorruptPNG, "%d bytes cannot hold the %dx%d pixels that the PNG's header says", len(value), p.width, p.height)
	}
	if _, err := png.Decode(bytes.NewReader(value)); err != nil {
		return picture{}, refuse(CorruptPNG, "decoding the PNG: %v", err)
	}
	return p, nil
}

// chunk is one whole chunk of a PNG.
type chunk []byte

func (c chunk) kind() string { return string(c[lengthBytes : lengthBytes+typeBytes]) }

func (c chunk) data() []byte { return c[lengthBytes+typeBytes : len(c)-sumBytes] }

// intact reports whether the chunk has the checksum that it says.
func (c chunk) intact() bool {
	end := len(c) - sumBytes
	return crc32.ChecksumIEEE(c[lengthBytes:end]) == binary.BigEndian.Uint32(c[end:])
}

// cutChunk returns the chunk that b begins with, and what is behind it. It is not
// ok if there is none or it is cut short.
func cutChunk(b []byte) (c chunk, rest []byte, ok bool) {
	const around = lengthBytes + typeBytes + sumBytes // the data
	if len(b) < around {
		return nil, b, false
	}
	size := around + int64(binary.BigEndian.Uint32(b))
	if size > int64(len(b)) {
		return nil, b, false
	}
	return chunk(b[:size]), b[size:], true
}

// essential are the kinds of chunks that change how OpenCV decodes a PNG, and
// whether there may be several of them.
var essential = map[string]bool{
	"IHDR": false, "PLTE": false, "tRNS": false, "IDAT": true, "IEND": false,
	"gAMA": false, "cHRM": false, "sRGB": false, "iCCP": false, // how colours become grey
	"eXIf": false, // which way is up
}

// Essential returns the file without those chunks of a PNG that OpenCV can do
// without. They are texts, above all: libpng would unpack and keep a thousand
// of them, each of up to 8 MB. The value must be one that Parse calls a PNG.
func Essential(value []byte) []byte {
	kept := append(make([]byte, 0, len(value)), pngMagic...)
	seen := map[string]bool{}
	for c, rest, ok := cutChunk(value[len(pngMagic):]); ok && !seen["IEND"]; c, rest, ok = cutChunk(rest) {
		kind := c.kind()
		if several, ok := essential[kind]; ok && (several || !seen[kind]) {
			kept = append(kept, c...)
		}
		seen[kind] = true
	}
	return kept
}
