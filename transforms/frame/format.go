package frame

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"

	"facestream/transforms/kafka"
)

// ContentType names the header of a record that says the format of the value:
// JPEGContentType, PNGContentType, or what RawContentType gives. Without it
// a value that begins as a JPEG or a PNG must be one, and any other value
// must be a raw frame of the configured size, blue, green, red. As of all headers,
// the name is case-sensitive, one without a value counts as missing, and the last of
// several counts.
const ContentType = "content-type"

// Camera names the header that says which camera took the picture.
const Camera = kafka.CameraHeader

// rawType is the content type of raw frames, and bgrName how it names BGR. The
// names are GStreamer's, in capitals or not.
const (
	rawType = "video/x-raw"
	bgrName = "BGR"
)

// rawFormats has the format of raw frames by the name in their content type.
var rawFormats = map[string]string{bgrName: BGR, "RGB": RGB, "GRAY8": Grey}

// RawContentType returns the content type of a raw frame of the format BGR.
func RawContentType(width, height int) string {
	return fmt.Sprintf("%s;format=%s;width=%d;height=%d", rawType, bgrName, width, height)
}

// colourBytes are those of a pixel with three colours.
const colourBytes = 3

// BytesPerPixel returns the size of a pixel of a raw format, and 0 for all other
// formats.
func BytesPerPixel(format string) int {
	switch format {
	case BGR, RGB:
		return colourBytes
	case Grey:
		return 1
	}
	return 0
}

// The limits of a frame.
const (
	// MinBytes is the size of the smallest value that is not skipped, as in the lab.
	MinBytes = 1000
	// MaxSide is the greatest width and the greatest height, in pixels.
	MaxSide = 16384
	// MaxRawBytes is the greatest size of a frame's pixels at three bytes each,
	// whatever its format, and the most that a PNG may unpack to.
	MaxRawBytes = 64 << 20
	// MaxScans is the greatest number of scans of a JPEG. Encoders write about
	// ten. A scan visits every block and may take ten bytes, so that a small file
	// could keep a decoder at work for minutes.
	MaxScans = 100
)

// file is a kind of values that say themselves how large they are.
type file struct {
	format, contentType string
	magic               []byte // what each begins with
	check               func(value []byte) (picture, *refusal)
}

var files = []file{
	{JPEG, JPEGContentType, jpegMagic, checkJPEG},
	{PNG, PNGContentType, pngMagic, checkPNG},
}

// HasMagic reports whether data begin as a file of the format, JPEG or PNG, does.
func HasMagic(format string, data []byte) bool {
	return slices.ContainsFunc(files, func(f file) bool { return f.format == format && bytes.HasPrefix(data, f.magic) })
}

// Open returns a file as a frame, whatever its size in bytes. The error says why it would
// be a reject. Whether a JPEG is whole is found out where it is decoded.
func Open(value []byte) (Frame, error) {
	for _, file := range files {
		if !bytes.HasPrefix(value, file.magic) {
			continue
		}
		p, no := file.check(value)
		if no != nil {
			return Frame{}, errors.New(no.detail)
		}
		return Frame{Format: p.format, Width: int32(p.width), Height: int32(p.height), Size: int64(len(value)), Data: value}, nil
	}
	if kind, advice := foreign(value); kind != "" {
		return Frame{}, fmt.Errorf("it is %s: %s", kind, advice)
	}
	return Frame{}, errors.New("it is neither a JPEG nor a PNG")
}

// picture is what the bytes of a value were found to be.
type picture struct {
	format        string
	width, height int
}

// refusal says why bytes are not a picture: a reason of a Reject, and its detail.
type refusal struct {
	reason, detail string
}

func refuse(reason, detail string, args ...any) *refusal {
	return &refusal{reason: reason, detail: fmt.Sprintf(detail, args...)}
}

// identify returns what the value is, by its content type or, if that is empty,
// by its bytes. It checks the value to its end.
func identify(cfg Config, contentType string, value []byte) (picture, *refusal) {
	if contentType == "" {
		raw := cfg.Width * cfg.Height * colourBytes
		for _, file := range files {
			if !bytes.HasPrefix(value, file.magic) {
				continue
			}
			p, no := file.check(value)
			// The first pixels of a raw frame may look like the start of a file.
			if no == nil || len(value) != raw {
				return p, no
			}
		}
		if kind, advice := foreign(value); kind != "" && len(value) != raw {
			return picture{}, refuse(UnsupportedFormat, "the value is %s: %s", kind, advice)
		}
		if len(value) != raw {
			return picture{}, refuse(WrongSize, "%d bytes without a %s header are neither a JPEG nor a PNG nor a raw frame of %dx%d, which has %d bytes",
				len(value), ContentType, cfg.Width, cfg.Height, raw)
		}
		return picture{BGR, cfg.Width, cfg.Height}, nil
	}

	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return picture{}, refuse(BadContentType, "content type %.100q: %.100v", contentType, err)
	}
	if kind == rawType {
		return checkRaw(params, value)
	}
	for _, file := range files {
		if kind != file.contentType {
			continue
		}
		if !bytes.HasPrefix(value, file.magic) {
			detail := fmt.Sprintf("content type is %s, but the value begins with % x", kind, value[:len(file.magic)])
			if what, advice := foreign(value); what != "" {
				detail += fmt.Sprintf(" and is %s: %s", what, advice)
			}
			return picture{}, refuse(FormatMismatch, "%s", detail)
		}
		return file.check(value)
	}
	_, advice := foreign(value)
	return picture{}, refuse(UnsupportedFormat, "content type %.100q is not supported, only %s, %s, and %s: %s",
		kind, JPEGContentType, PNGContentType, rawType, cmp.Or(advice, sendJPEG))
}

// checkRaw checks the value against the parameters of its content type.
func checkRaw(params map[string]string, value []byte) (picture, *refusal) {
	name := params["format"]
	if name == "" {
		return picture{}, refuse(BadContentType, "content type %s has no format", rawType)
	}
	format, ok := rawFormats[strings.ToUpper(name)]
	if !ok {
		return picture{}, refuse(UnsupportedFormat, "raw format %.100q is not supported, only %s", name,
			strings.Join(slices.Sorted(maps.Keys(rawFormats)), ", "))
	}
	p := picture{format: format}
	for _, side := range []struct {
		name   string
		pixels *int
	}{{"width", &p.width}, {"height", &p.height}} {
		text := params[side.name]
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return picture{}, refuse(BadContentType, "content type %s has the %s %.100q, not a whole number above 0", rawType, side.name, text)
		}
		*side.pixels = n
	}
	if err := CheckSize(p.width, p.height); err != nil {
		return picture{}, refuse(TooLarge, "%v", err)
	}
	if want := p.width * p.height * BytesPerPixel(format); len(value) != want {
		return picture{}, refuse(WrongSize, "%d bytes, but a raw frame of %dx%d has %d as %s", len(value), p.width, p.height, want, name)
	}
	return p, nil
}

// CheckSize compares the size of a frame, in pixels, with the limits.
func CheckSize(width, height int) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide {
		return fmt.Errorf("%dx%d pixels: each side must be 1 to %d", width, height, MaxSide)
	}
	if size := width * height * colourBytes; size > MaxRawBytes {
		return fmt.Errorf("%dx%d pixels are too many: they take %d bytes, and the limit is %d", width, height, size, MaxRawBytes)
	}
	return nil
}
