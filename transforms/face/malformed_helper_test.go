package face_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color/palette"
	"math/rand/v2"
	"slices"
	"sync"

	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
)

// input is a value with its content type, "" for none, that is no frame.
type input struct {
	value               []byte
	contentType, reason string // reason: that a reject must have
}

// eachKind is how many inputs of each kind there are.
const eachKind = 100

const (
	pngMagic       = "\x89PNG\r\n\x1a\n"
	pngHeaderBytes = len(pngMagic) + 4 + 4 + 13 + 4 // length, type, data, checksum
)

// kinds are the ten kinds: what input i of eachKind is.
var kinds = []func(i int, random *rand.Rand) (value []byte, contentType, reason string){
	noise, noiseAfterMagic, cutJPEG, cutPNG, flippedPNG, rawLength, contentType, oversize, unsupported, lie,
}

// malformed returns a thousand inputs, a hundred of each of ten kinds, the same
// every time. A frame without a content type is expected to have 640x480 pixels.
func malformed() (inputs []input) {
	for n, kind := range kinds {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		for i := range eachKind {
			value, contentType, reason := kind(i, random)
			inputs = append(inputs, input{value, contentType, reason})
		}
	}
	return inputs
}

func noise(i int, random *rand.Rand) ([]byte, string, string) {
	return bytesOf(random, 1000+random.IntN(20_000)), "", frame.WrongSize
}

func noiseAfterMagic(i int, random *rand.Rand) ([]byte, string, string) {
	after := bytesOf(random, 1000+random.IntN(20_000))
	if i%2 == 0 {
		// A segment with less than no bytes, so that what follows cannot be a part
		// of a JPEG by chance.
		return slices.Concat([]byte{0xFF, 0xD8, 0xFF, 0xE0, 0, byte(i / 2 % 2)}, after), "", frame.CorruptJPEG
	}
	return append([]byte(pngMagic), after...), "", frame.CorruptPNG
}

// cut returns the first bytes of a file, more of them with every i, and never all.
func cut(file []byte, i int) []byte {
	const least = 1000
	return file[:least+(len(file)-least)*i/eachKind]
}

func cutJPEG(i int, _ *rand.Rand) ([]byte, string, string) {
	return cut(frametest.JPEG(picture(i)), i), []string{"", "image/jpeg"}[i/2%2], frame.CorruptJPEG
}

func cutPNG(i int, _ *rand.Rand) ([]byte, string, string) {
	return cut(frametest.PNG(picture(i)), i), []string{"", "image/png"}[i/2%2], frame.CorruptPNG
}

// flippedPNG has one bit that is not as it was, of all but the magic number and
// the end: each chunk has a checksum.
func flippedPNG(i int, random *rand.Rand) ([]byte, string, string) {
	file := frametest.PNG(picture(i), frametest.Chunk("tEXt", []byte("Title\x00A picture")))
	at := len(pngMagic) + (len(file)-len(pngMagic))*i/eachKind
	file[at] ^= 1 << random.IntN(8)
	return file, "", frame.CorruptPNG
}

// formats are those of raw frames, and the bytes of a pixel.
var formats = []struct {
	name  string
	bytes int
}{{"BGR", 3}, {"RGB", 3}, {"GRAY8", 1}}

func rawLength(i int, random *rand.Rand) ([]byte, string, string) {
	f := formats[i%len(formats)]
	width, height := 40+random.IntN(40), 40+random.IntN(40)
	right := width * height * f.bytes
	wrong := []int{right - 1, right + 1, right - width, right + width*f.bytes, 1000 + random.IntN(right-1000)}[i%5]
	return bytesOf(random, wrong), raw(f.name, width, height), frame.WrongSize
}

func contentType(i int, random *rand.Rand) ([]byte, string, string) {
	const right = "40"
	sides := []string{"", "0", "-40", "NaN", "1e6", "4 0", "40.0", "0x28", "99999999999999999999", "\x00", "٤٠", "+Inf"}
	wrong := sides[i%len(sides)]
	text := []string{
		raw("BGR", wrong, right),
		raw("GRAY8", right, wrong),
		"video/x-raw;format=BGR;width=40",
		"video/x-raw;width=40;height=40",
		fmt.Sprintf("///%d", i),
		fmt.Sprintf("image/png; %d=\xFF", i),
		"video/x-raw;format=BGR;format=RGB;width=40;height=40",
		fmt.Sprintf(";%d", i),
	}[i%8]
	return bytesOf(random, 40*40*3), text, frame.BadContentType
}

func oversize(i int, random *rand.Rand) ([]byte, string, string) {
	large, small := 16385+random.IntN(40_000), 1+random.IntN(1000)
	width, height := large, small
	if i%2 == 0 {
		width, height = small, large
	}
	if i%3 == 0 { // no side is too long, and all pixels are too many
		width, height = 12_000+random.IntN(4000), 12_000+random.IntN(4000)
	}
	size := 1000 + random.IntN(5000)
	switch i % 5 {
	case 0:
		return bytesOf(random, size), raw(formats[i/5%len(formats)].name, width, height), frame.TooLarge
	case 1:
		return frametest.JPEGHeader(size, frametest.Baseline, 8, uint16(width), uint16(height), 3), "", frame.TooLarge
	case 2:
		return frametest.PNGHeader(size, uint32(width), uint32(height), 8, frametest.PNGColour), "", frame.TooLarge
	case 3:
		return frametest.PNGHeader(size, uint32(width)<<16, uint32(height)<<16, 1, frametest.PNGGrey), "image/png", frame.TooLarge
	}
	return bomb(16384 - 8*i), "", frame.TooLarge
}

const bombHeight = 8192

var bombPixels = sync.OnceValue(func() []byte { return frametest.Deflated(make([]byte, (1+16384/8)*bombHeight)) })

// bomb returns a PNG of few bytes that unpack to many pixels.
func bomb(width int) []byte {
	header := frametest.PNGHeader(pngHeaderBytes, uint32(width), bombHeight, 1, frametest.PNGGrey)
	return slices.Concat(header, frametest.Chunk("IDAT", bombPixels()), frametest.Chunk("IEND", nil))
}

func unsupported(i int, random *rand.Rand) ([]byte, string, string) {
	width, height, size := 40+random.IntN(400), 40+random.IntN(400), 1000+random.IntN(5000)
	types := []string{"image/webp", "image/tiff", "image/gif", "image/bmp", "image/avif", "video/mp4", "video/h264", "text/plain", "application/json", "application/octet-stream"}
	raws := []string{"I420", "NV12", "YUY2", "BGRx", "RGBA", "GRAY16_LE", "BGRP", "gbr", "rgb8", "b"}
	const arithmetic = 0xC9
	headers := []struct {
		marker, precision byte
		components        int
	}{{frametest.Baseline, 8, 4}, {frametest.Progressive, 8, 4}, {frametest.Baseline, 12, 3}, {frametest.Lossless, 8, 3}, {frametest.Baseline, 8, 2}, {arithmetic, 8, 3}} // four components are CMYK
	switch i % 8 {
	case 6:
		return bytesOf(random, size), types[i/8%len(types)], frame.UnsupportedFormat
	case 7:
		return bytesOf(random, size), raw(raws[i/8%len(raws)], width, height), frame.UnsupportedFormat
	}
	h := headers[i%8]
	return frametest.JPEGHeader(size, h.marker, h.precision, uint16(width), uint16(height), h.components), "", frame.UnsupportedFormat
}

func lie(i int, random *rand.Rand) ([]byte, string, string) {
	width, height := 1000+random.IntN(3000), 1000+random.IntN(3000)
	size := 1000 + random.IntN(900) // of which none can hold a million pixels
	switch i % 5 {
	case 0:
		return frametest.PNG(picture(i)), "image/jpeg", frame.FormatMismatch
	case 1:
		return frametest.JPEG(picture(i)), "image/png", frame.FormatMismatch
	case 2:
		return bytesOf(random, size), []string{"image/png", "image/jpeg"}[i/5%2], frame.FormatMismatch
	case 3:
		return frametest.JPEGHeader(size, frametest.Progressive, 8, uint16(width), uint16(height), 3), "", frame.CorruptJPEG
	}
	return frametest.PNGHeader(size, uint32(width), uint32(height), 8, frametest.PNGAlpha), "", frame.CorruptPNG
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

// raw returns the content type of a raw frame; width and height may be anything.
func raw(format string, width, height any) string {
	return fmt.Sprintf("video/x-raw;format=%s;width=%v;height=%v", format, width, height)
}

func bytesOf(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	if bytes.HasPrefix(b, []byte{0xFF, 0xD8, 0xFF}) {
		b[0] = 0 // it must not look like a JPEG
	}
	return b
}
