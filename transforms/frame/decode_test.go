package frame

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color/palette"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

const raw10x40 = "video/x-raw;format=BGR;width=10;height=40" // 1200 bytes

func TestParseAccepts(t *testing.T) {
	labBytes := bytes.Repeat([]byte{7}, 921_600)
	labLikeJPEG := slices.Concat([]byte{0xFF, 0xD8, 0xFF}, labBytes[3:])
	labLikePNG := slices.Concat([]byte("\x89PNG\r\n\x1a\n"), labBytes[8:])
	colour, grey := noiseJPEG(t, image.NewRGBA(image.Rect(0, 0, 64, 48))), noiseJPEG(t, image.NewGray(image.Rect(0, 0, 50, 30)))
	size := image.Rect(0, 0, 31, 57)
	colourPNG := frametest.PNG(frametest.Noise(image.NewRGBA(size)))
	nullHeader := recordOf(colour, ContentType, raw10x40, ContentType, "")
	(*nullHeader.Headers)[1].Value = nil
	for _, tt := range []struct {
		name          string
		record        kafka.Record
		format        string
		width, height int32
	}{
		{"raw of the lab, no header", recordOf(labBytes), BGR, 640, 480},
		{"raw of the lab, no header, first pixel like a JPEG", recordOf(labLikeJPEG), BGR, 640, 480},
		{"raw of the lab, no header, first pixels like a PNG", recordOf(labLikePNG), BGR, 640, 480},
		{"raw that begins as a BMP", recordOf(slices.Concat([]byte("BM"), labBytes[2:])), BGR, 640, 480},
		{"raw with header", recordOf(make([]byte, 1200), ContentType, raw10x40), BGR, 10, 40},
		{"raw, header in capitals", recordOf(make([]byte, 1200), ContentType, `Video/X-RAW; FORMAT=bgr; Width="10"; HEIGHT=40`), BGR, 10, 40},
		{"raw RGB", recordOf(make([]byte, 1200), ContentType, "video/x-raw;format=RGB;width=10;height=40"), RGB, 10, 40},
		{"raw grey", recordOf(make([]byte, 1200), ContentType, "video/x-raw;format=GRAY8;width=30;height=40"), Grey, 30, 40},
		{"raw grey in small letters", recordOf(make([]byte, 1200), ContentType, "video/x-raw;format=gray8;width=30;height=40"), Grey, 30, 40},
		{"raw of exactly the smallest size that is looked at", recordOf(labBytes[:1002], ContentType, "video/x-raw;format=BGR;width=334;height=1"), BGR, 334, 1},
		{"last header wins", recordOf(make([]byte, 1200), ContentType, "image/jpeg", ContentType, raw10x40), BGR, 10, 40},
		{"JPEG, no header", recordOf(colour), JPEG, 64, 48},
		{"JPEG with header", recordOf(colour, ContentType, "image/jpeg"), JPEG, 64, 48},
		{"JPEG, header in capitals with a parameter", recordOf(colour, ContentType, "IMAGE/JPEG; q=1"), JPEG, 64, 48},
		{"JPEG, empty header", recordOf(colour, ContentType, ""), JPEG, 64, 48},
		{"grey JPEG", recordOf(grey), JPEG, 50, 30},
		{"progressive JPEG", recordOf(read(t, "progressive.jpg")), JPEG, 160, 120},
		{"JPEG of 100 scans", recordOf(withScans(t, 100)), JPEG, 160, 120},
		{"JPEG cut short behind its header, which is found out later", recordOf(colour[:len(colour)*3/4]), JPEG, 64, 48},
		{"JPEG with bytes after its end", recordOf(append(slices.Clone(colour), "more"...)), JPEG, 64, 48},
		{"PNG, no header", recordOf(colourPNG), PNG, 31, 57},
		{"PNG, header in capitals with a parameter", recordOf(colourPNG, ContentType, "Image/PNG;a=b"), PNG, 31, 57},
		{"PNG, grey", recordOf(frametest.PNG(frametest.Noise(image.NewGray(size)))), PNG, 31, 57},
		{"PNG, 16 bits, grey", recordOf(frametest.PNG(frametest.Noise(image.NewGray16(size)))), PNG, 31, 57},
		{"PNG, 16 bits, transparency", recordOf(frametest.PNG(image.NewNRGBA64(image.Rect(0, 0, 1, 1)), frametest.Chunk("tEXt", make([]byte, MinBytes)))), PNG, 1, 1},
		{"PNG, palette", recordOf(frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.WebSafe)))), PNG, 31, 57},
		{"PNG, interlaced", recordOf(frametest.InterlacedPNG(frametest.Noise(image.NewGray(size)).(*image.Gray))), PNG, 31, 57},
		{"PNG with bytes after its end", recordOf(append(slices.Clone(colourPNG), "more"...)), PNG, 31, 57},
		{"null header counts as missing", nullHeader, JPEG, 64, 48},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, reject := Parse(lab, &tt.record)
			if reject != nil {
				t.Fatalf("rejected: %+v", *reject)
			}
			want := Frame{
				ID: record.In("video", 2).At(41), TimestampMillis: 1_700_000_000_123, Camera: "door",
				Format: tt.format, Width: tt.width, Height: tt.height, Size: int64(len(*tt.record.Value)), Data: *tt.record.Value,
			}
			if tt.format == JPEG { // which may still be rejected
				want.Headers = keptHeaders(tt.record)
			}
			if !reflect.DeepEqual(got, want) {
				got.Data, want.Data = nil, nil
				t.Errorf("got %+v, want %+v (or the data differs)", got, want)
			}
		})
	}
}

func TestParseRejects(t *testing.T) {
	colour, png := noiseJPEG(t, image.NewRGBA(image.Rect(0, 0, 64, 48))), frametest.PNG(frametest.Noise(image.NewRGBA(image.Rect(0, 0, 31, 57))))
	null := recordOf(nil)
	null.Value = nil
	raw := make([]byte, 1200)
	type test struct {
		name   string
		record kafka.Record
		reason string
		detail string // a part of it
	}
	tests := []test{
		{"null value", null, SkipNull, "null"},
		{"empty value", recordOf([]byte{}), SkipEmpty, "empty"},
		{"one byte", recordOf([]byte{1}), SkipSmall, "1 bytes"},
		{"999 bytes, even if the header fits", recordOf(make([]byte, 999), ContentType, "video/x-raw;format=BGR;width=333;height=1"), SkipSmall, "999 bytes"},
		{"1000 bytes are looked at", recordOf(make([]byte, 1000)), WrongSize, "1000 bytes"},

		{"raw cut short, no header", recordOf(make([]byte, 921_599)), WrongSize, "921600"},
		{"raw cut short", recordOf(raw[:1199], ContentType, raw10x40), WrongSize, "1200"},
		{"raw RGB cut short", recordOf(raw[:1199], ContentType, "video/x-raw;format=RGB;width=10;height=40"), WrongSize, "1200"},
		{"raw too long", recordOf(make([]byte, 1201), ContentType, raw10x40), WrongSize, "1200"},
		{"raw, 1e6 x 1e6 in figures", recordOf(raw, ContentType, "video/x-raw;format=BGR;width=1000000;height=1000000"), TooLarge, "1000000x1000000"},
		{"raw, product overflows", recordOf(raw, ContentType, "video/x-raw;format=BGR;width=4611686018427387904;height=4"), TooLarge, "16384"},
		{"raw, over 64 MiB", recordOf(raw, ContentType, "video/x-raw;format=BGR;width=16384;height=1366"), TooLarge, "67108864"},
		{"raw, no size", recordOf(raw, ContentType, "video/x-raw;format=BGR"), BadContentType, `width ""`},
		{"raw, no format", recordOf(raw, ContentType, "video/x-raw;width=10;height=40"), BadContentType, "no format"},
		{"raw, YUV", recordOf(raw, ContentType, "video/x-raw;format=I420;width=20;height=40"), UnsupportedFormat, `"I420" is not supported, only BGR, GRAY8, RGB`},
		{"raw, grey with the bytes of three colours", recordOf(raw, ContentType, "video/x-raw;format=GRAY8;width=10;height=40"), WrongSize, "has 400 as GRAY8"},
		{"raw, grey over the limit of three colours", recordOf(raw, ContentType, "video/x-raw;format=GRAY8;width=16384;height=1366"), TooLarge, "67108864"},

		{"header says JPEG, bytes do not", recordOf(raw, ContentType, "image/jpeg"), FormatMismatch, "00 00 00"},
		{"header says raw, value is a JPEG", recordOf(colour, ContentType, "video/x-raw;format=BGR;width=640;height=480"), WrongSize, "921600"},
		{"header says JPEG, value is a PNG", recordOf(png, ContentType, "image/jpeg"), FormatMismatch, "89 50 4e"},
		{"header says PNG, value is a JPEG", recordOf(colour, ContentType, "image/png"), FormatMismatch, "ff d8 ff"},
		{"unknown type", recordOf(raw, ContentType, "text/plain"), UnsupportedFormat, "text/plain"},
		{"header with a long value", recordOf(raw, ContentType, strings.Repeat("x", 1<<20)), UnsupportedFormat, "xxx"},

		{"random bytes after the magic", recordOf(append([]byte{0xFF, 0xD8, 0xFF}, bytes.Repeat([]byte{0x5A}, 2000)...)), CorruptJPEG, "header"},
		{"JPEG header says 65535x65535", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 8, 65535, 65535, 3)), TooLarge, "65535x65535"},
		{"JPEG header says 12000x12000", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 8, 12000, 12000, 3)), TooLarge, "too many"},
		{"JPEG header says 64 MiB of pixels", recordOf(frametest.JPEGHeader(2000, frametest.Progressive, 8, 16384, 1365, 3)), CorruptJPEG, "cannot hold"},
		{"JPEG header says 0x0", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 8, 0, 0, 3)), CorruptJPEG, "0x0"},
		{"JPEG with four colours", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 8, 64, 48, 4)), UnsupportedFormat, "CMYK"},
		{"progressive JPEG with four colours", recordOf(frametest.JPEGHeader(2000, frametest.Progressive, 8, 64, 48, 4)), UnsupportedFormat, "CMYK"},
		{"JPEG with two components", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 8, 64, 48, 2)), UnsupportedFormat, "components"},
		{"JPEG with 12 bits a sample", recordOf(frametest.JPEGHeader(2000, frametest.Baseline, 12, 64, 48, 3)), UnsupportedFormat, "precision"},
		{"PNG cut short", recordOf(png[:len(png)*3/4]), CorruptPNG, "not enough pixel data"},
		{"PNG without its end", recordOf(png[:len(png)-12]), CorruptPNG, "unexpected EOF"},
		{"PNG with a wrong checksum", recordOf(append(slices.Clone(png[:len(png)-1]), 0)), CorruptPNG, "checksum"},
		{"PNG with a header that is not its own", recordOf(slices.Concat(png[:20], []byte{9}, png[21:])), CorruptPNG, "header"},
		{"random bytes after PNG's magic", recordOf(append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{0x5A}, 2000)...)), CorruptPNG, "header"},
		{"PNG header and no picture", recordOf(frametest.PNGHeader(2000, 64, 48, 8, frametest.PNGColour)), CorruptPNG, "decoding"},
		{"PNG header says 4294967295x4294967295", recordOf(frametest.PNGHeader(2000, math.MaxUint32, math.MaxUint32, 8, frametest.PNGColour)), TooLarge, "4294967295x4294967295"},
		{"PNG header says 12000x12000", recordOf(frametest.PNGHeader(2000, 12000, 12000, 8, frametest.PNGColour)), TooLarge, "too many"},
		{"PNG header says 16384x16384, one bit a pixel", recordOf(frametest.PNGHeader(2000, 16384, 16384, 1, frametest.PNGGrey)), TooLarge, "805306368"},
		{"PNG header says 64 MiB of pixels, and as much transparency", recordOf(frametest.PNGHeader(2000, 16384, 1365, 8, frametest.PNGAlpha)), TooLarge, "unpacks to 89456640"},
		{"PNG header says 64 MiB of pixels", recordOf(frametest.PNGHeader(2000, 16384, 1365, 8, frametest.PNGColour)), CorruptPNG, "cannot hold"},
		{"PNG header says 0x0", recordOf(frametest.PNGHeader(2000, 0, 0, 8, frametest.PNGColour)), CorruptPNG, "0x0"},
		{"PNG header says 0 bits", recordOf(frametest.PNGHeader(2000, 64, 48, 0, frametest.PNGColour)), CorruptPNG, "0 bits"},
		{"PNG header says 3 bits", recordOf(frametest.PNGHeader(2000, 64, 48, 3, frametest.PNGColour)), CorruptPNG, "bit depth 3"},
		{"PNG header says colour type 5", recordOf(frametest.PNGHeader(2000, 64, 48, 8, 5)), CorruptPNG, "colour type 5"},
		{"JPEG of 101 scans", recordOf(withScans(t, 101)), UnsupportedFormat, "101 scans"},
		{"JPEG of 20,000 scans", recordOf(withScans(t, 20_000)), UnsupportedFormat, "20000 scans"},
		{"lossless JPEG", recordOf(frametest.JPEGHeader(2000, frametest.Lossless, 8, 64, 48, 3)), UnsupportedFormat, "it is a lossless one: save it as a baseline"},
		{"arithmetic JPEG", recordOf(append(testkit.ReadFile(t, "testdata/arithmetic.jpg"), make([]byte, MinBytes)...)), UnsupportedFormat, "it is arithmetic-coded: save it as a baseline"},
		{"no JPEG, called one", startingWith("RIFF\x10\x00\x00\x00WEBPVP8 ", ContentType, "image/jpeg"), FormatMismatch, "and is a WebP: send JPEG"},
		{"WebP with its type", startingWith("RIFF\x10\x00\x00\x00WEBPVP8 ", ContentType, "image/webp"), UnsupportedFormat, "send JPEG"},
		{"HEIC with its type", startingWith("\x00\x00\x00\x18ftypheic", ContentType, "image/heic"), UnsupportedFormat, "Most Compatible"},
		{"SVG with its type", startingWith("<svg ", ContentType, "image/svg+xml"), UnsupportedFormat, "send JPEG or PNG"},
	}
	for value, want := range map[string]string{
		"RIFF\x10\x00\x00\x00WEBPVP8 ": "a WebP: send JPEG or PNG", "RIFF\x10\x00\x00\x00AVI LIST": "an AVI: it is a video",
		"\x00\x00\x00\x18ftypheic": "an HEIC: have the camera", "\x00\x00\x00\x18ftypmif1": "an HEIF: have the camera", "\x00\x00\x00\x1Cftypavif": "an AVIF: send JPEG",
		"\x00\x00\x00\x18ftypmp42": "an MP4: it is a video", "\x1A\x45\xDF\xA3\x93\x42": "a Matroska", "\x00\x00\x00\x01\x67\x42": "H.264: it is a video",
		"GIF89a": "a GIF: send", "BM\x36\x00": "a BMP: send", "II*\x00\x08": "a TIFF: send", "MM\x00*\x00": "a TIFF: send",
		"\x00\x00\x00\x0CjP  \r\n\x87\n": "a JPEG 2000: send", "\xFF\x0A\xFA": "a JPEG XL: send",
		"/9j/4AAQSkZJRg": "a JPEG as base64: send the file's bytes", "iVBORw0KGgoAAAA": "a PNG as base64: send the file's bytes",
		"data:image/jpeg;base64,/9j/": "a data: address: send the file's bytes", `{"image": "`: "JSON: send the file's bytes",
	} {
		tests = append(tests, test{want, startingWith(value), UnsupportedFormat, "the value is " + want})
	}
	for _, side := range []string{"0", "-40", "NaN", "1e6", "40.0", "0x28", "+Inf", "99999999999999999999"} {
		tests = append(tests,
			test{"raw, width " + side, recordOf(raw, ContentType, "video/x-raw;format=BGR;height=40;width="+side), BadContentType, fmt.Sprintf("width %q", side)},
			test{"raw, height " + side, recordOf(raw, ContentType, "video/x-raw;format=GRAY8;width=10;height="+side), BadContentType, fmt.Sprintf("height %q", side)})
	}
	for _, kind := range []string{"video/x-raw;format=BGR;width=10;height=", "video/x-raw;format=BGR;width=10;height=4 0", "video/x-raw;format=BGR;width=10;height=\x00",
		"video/x-raw;format=BGR;width=10;height=٤٠", "video/x-raw;format=BGR;format=RGB;width=10;height=40", "///", ";", "image/png; a=\xFF"} {
		tests = append(tests, test{kind, recordOf(raw, ContentType, kind), BadContentType, "content type"})
	}
	for _, kind := range []string{"image/tiff", "image/gif", "image/bmp", "image/avif", "video/mp4", "video/h264", "application/json", "application/octet-stream"} {
		tests = append(tests, test{kind, recordOf(raw, ContentType, kind), UnsupportedFormat, "is not supported, only"})
	}
	for _, format := range []string{"NV12", "YUY2", "BGRx", "RGBA", "GRAY16_LE", "BGRP", "gbr", "rgb8", "b"} {
		tests = append(tests, test{format, recordOf(raw, ContentType, "video/x-raw;width=10;height=40;format="+format), UnsupportedFormat, "is not supported, only"})
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, got := Parse(lab, &tt.record)
			if got == nil {
				t.Fatalf("accepted as %s %dx%d", f.Format, f.Width, f.Height)
			}
			seen[got.Reason] = true
			size := int64(0)
			if tt.record.Value != nil {
				size = int64(len(*tt.record.Value))
			}
			skipped := strings.HasPrefix(tt.reason, "skipped")
			want := Reject{
				ID: record.In("video", 2).At(41), TimestampMillis: 1_700_000_000_123, Camera: "door",
				Reason: tt.reason, Detail: got.Detail, Size: size,
			}
			if !skipped {
				want.SHA256 = fmt.Sprintf("%x", sha256.Sum256(*tt.record.Value))
				want.Head = (*tt.record.Value)[:64]
				want.Headers = keptHeaders(tt.record)
			}
			testkit.Equal(t, "the reject", *got, want)
			testkit.Contains(t, "the detail", got.Detail, tt.detail)
			if len(got.Detail) > 400 {
				t.Errorf("the detail has %d bytes", len(got.Detail))
			}
			testkit.Equal(t, "whether it is skipped", got.Skipped(), skipped)
		})
	}
	for _, reason := range Reasons {
		if !seen[reason] && reason != Sampled { // which Parse does not know
			t.Errorf("no test gives %s", reason)
		}
		delete(seen, reason)
	}
	testkit.Equal(t, "reasons that are not in Reasons", seen, nil)
}

// startingWith returns a record whose value begins so.
func startingWith(text string, headers ...string) kafka.Record {
	return recordOf(append([]byte(text), make([]byte, MinBytes)...), headers...)
}

// keptHeaders returns a record's headers as a Reject has them.
func keptHeaders(r kafka.Record) (kept []Header) {
	for _, h := range *r.Headers {
		if h.Value == nil {
			kept = append(kept, Header{Key: h.Key, Size: -1})
		} else {
			kept = append(kept, Header{h.Key, (*h.Value)[:min(len(*h.Value), 1024)], int64(len(*h.Value))})
		}
	}
	return kept
}

func TestCamera(t *testing.T) {
	null := recordOf(nil, Camera, "gate", Camera, "")
	(*null.Headers)[1].Value = nil
	noKey := recordOf(nil)
	noKey.Key = nil
	noHeaders := recordOf(nil)
	noHeaders.Headers, noHeaders.Key = nil, nil
	emptyKey := recordOf(nil)
	emptyKey.Key = ref(nil)
	badKey := recordOf(nil)
	badKey.Key = ref([]byte{0xFF, 0xFE})
	for name, tt := range map[string]struct {
		record kafka.Record
		want   string
	}{
		"header before key":         {recordOf(nil, Camera, "gate"), "gate"},
		"last header wins":          {recordOf(nil, Camera, "gate", Camera, "../../etc"), "../../etc"},
		"key without header":        {recordOf(nil), "door"},
		"key with an empty header":  {recordOf(nil, Camera, ""), "door"},
		"key with a null header":    {null, "door"},
		"key with a broken header":  {recordOf(nil, Camera, "\xFF"), "door"},
		"null key":                  {noKey, "unknown"},
		"null key and null headers": {noHeaders, "unknown"},
		"empty key":                 {emptyKey, "unknown"},
		"key that is not UTF-8":     {badKey, "unknown"},
	} {
		testkit.Equal(t, name, CameraOf(&tt.record), tt.want)
	}
}

func TestConfigValidate(t *testing.T) {
	for cfg, want := range map[Config]string{
		{640, 480, 0}:         "",
		{334, 1, 0}:           "",
		{0, 480, 0}:           "each side must be 1 to 16384",
		{640, -1, 0}:          "each side must be 1 to 16384",
		{333, 1, 0}:           "999 bytes",
		{1 << 62, 1 << 62, 0}: "16384",
		{16384, 1365, 0}:      "",
		{16384, 1366, 0}:      "67108864",
		{640, 480, 1 << 20}:   "",
		{640, 480, 1<<20 + 1}: "1048576",
		{640, 480, -1}:        "1048576",
	} {
		testkit.Says(t, fmt.Sprint(cfg), cfg.Validate(), want)
	}
}

func TestDecode(t *testing.T) {
	colour := noiseJPEG(t, image.NewRGBA(image.Rect(0, 0, 64, 48)))
	null := recordOf(nil)
	null.Value, null.Key, null.Headers, null.Offset = nil, nil, nil, 3
	small, short, good := recordOf(make([]byte, 999)), recordOf(make([]byte, 5000), "note", "odd", "nothing", ""), recordOf(colour, Camera, "gate")
	(*short.Headers)[1].Value = nil
	cfg := lab
	cfg.KeepBytes = 100
	small.Offset, short.Offset, good.Offset = 4, 5, 6

	for _, runner := range []string{"prism", "direct"} {
		t.Run(runner, func(t *testing.T) {
			p, s := beam.NewPipelineWithRoot()
			frames, rejects := Decode(s, cfg, Sampling{}, beam.Create(s, null, small, short, good))
			passert.Equals(s, frames, Frame{
				ID: record.In("video", 2).At(6), TimestampMillis: 1_700_000_000_123, Camera: "gate",
				Format: JPEG, Width: 64, Height: 48, Size: int64(len(colour)), Data: colour,
				Headers: []Header{{"camera", []byte("gate"), 4}},
			})
			const at = 1_700_000_000_123
			passert.Equals(s, rejects,
				Reject{ID: record.In("video", 2).At(3), TimestampMillis: at, Camera: "unknown", Reason: "skipped_null", Detail: "the value is null"},
				Reject{ID: record.In("video", 2).At(4), TimestampMillis: at, Camera: "door", Reason: "skipped_small",
					Detail: "the value has 999 bytes, less than 1000", Size: 999},
				Reject{ID: record.In("video", 2).At(5), TimestampMillis: at, Camera: "door", Reason: "wrong_size",
					Detail: "5000 bytes without a content-type header are neither a JPEG nor a PNG nor a raw frame of 640x480, which has 921600 bytes", Size: 5000,
					SHA256:  "7ca5bd879f393d9dd05b14f38add9c0fc6b67928f7f2d261b2e47a32ee8219e3", // of 5000 zeros
					Head:    make([]byte, 64),
					Headers: []Header{{"note", []byte("odd"), 3}, {"nothing", nil, -1}},
					Kept:    make([]byte, 100)},
			)
			result := testkit.Value(beam.Run(context.Background(), runner, p))(t)
			want := map[string]int64{"read": 4, "skipped_null": 1, "skipped_small": 1, "wrong_size": 1}
			testkit.Equal(t, "the counters", counters(result), want)
		})
	}
}

// counters returns the sums over all stages by name.
func counters(result beam.PipelineResult) map[string]int64 {
	sums := map[string]int64{}
	for _, c := range result.Metrics().Query(func(r beam.MetricResult) bool { return r.Namespace() == CounterNamespace }).Counters() {
		sums[c.Name()] += max(c.Attempted, c.Committed) // the direct runner commits nothing
	}
	return sums
}
