package camera

import (
	"bytes"
	"fmt"
	"image"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/camera/video"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

// odd is a picture as some camera or program makes it.
type odd struct {
	value  []byte
	faces  int    // that the job finds in it, upright and of the usual size; -1 for a small one without
	reason string // of the job's reject, or empty
	detail string // a part of what the reject says
	tool   string // what the camera tool does with it
}

// What the camera tool does with a file of a folder.
const (
	sends   = "sends the very bytes"
	encodes = "encodes it as JPEG"
	passes  = "names and counts it"
	ignores = "does not look at it"
)

// The size of the demo's frame that is in most of them.
const (
	oddWidth  = 320
	oddHeight = 240
)

// odds are pictures by the names of their files.
func odds(t *testing.T) map[string]odd {
	demo := testkit.Value(video.NewDemoOf(video.DemoConfig{Width: oddWidth, Height: oddHeight, Faces: 1}))(t).Frame(0)
	photo := image.NewRGBA(image.Rect(0, 0, oddWidth, oddHeight))
	for i := range oddWidth * oddHeight {
		copy(photo.Pix[4*i:], []byte{demo.BGR[3*i+2], demo.BGR[3*i+1], demo.BGR[3*i], 255})
	}
	encode := func(img image.Image) []byte {
		var b bytes.Buffer
		testkit.Must(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 60}))
		return b.Bytes()
	}
	usual, grey := encode(photo), image.NewGray(photo.Rect)
	draw.Draw(grey, grey.Rect, photo, image.Point{}, draw.Src)
	segment := frametest.Segment
	copied := func(path string) []byte { // of another encoder, and large enough to be looked at
		return segment(testkit.ReadFile(t, path), 0xFE, strings.Repeat("\x00", frame.MinBytes))
	}
	begin := func(text string) []byte { return append([]byte(text), make([]byte, frame.MinBytes)...) }
	scan := bytes.Index(usual, []byte{0xFF, 0xDA})
	size := image.Rect(0, 0, 64, 48)
	var animation bytes.Buffer
	testkit.Must(t, gif.Encode(&animation, frametest.Noise(image.NewPaletted(size, palette.Plan9)), nil))
	all := map[string]odd{
		"usual.jpg":         {usual, 1, "", "", sends},
		"no-tables.jpg":     {frametest.WithoutTables(usual), 1, "", "", sends},
		"no-end.jpg":        {usual[:len(usual)-2], 1, "", "", sends},
		"padded.jpg":        {bytes.ReplaceAll(bytes.ReplaceAll(usual, []byte{0xFF, 0xDB, 0}, []byte{0xFF, 0xFF, 0xFF, 0xDB, 0}), []byte{0xFF, 0xC0, 0}, []byte{0xFF, 0xFF, 0xC0, 0}), 1, "", "", sends},
		"zeros-behind.jpg":  {append(slices.Clone(usual), make([]byte, 5000)...), 1, "", "", sends},
		"two.jpg":           {slices.Concat(usual, encode(image.NewGray(size))), 1, "", "", sends},
		"adobe.jpg":         {segment(usual, 0xEE, "Adobe\x00\x64\x00\x00\x00\x00\x01"), 1, "", "", sends},
		"exif-torn.jpg":     {segment(usual, 0xE1, "Exif\x00\x00MM\x00*\x00\x00\xFF\xFF"), 1, "", "", sends},
		"thumbnail.jpg":     {segment(usual, 0xE1, "Exif\x00\x00"+string(encode(image.NewGray(size)))), 1, "", "", sends},
		"grey.jpeg":         {encode(grey), 1, "", "", sends},
		"progressive.JPG":   {copied("../../testdata/progressive.jpg"), 1, "", "", sends},
		"restart.jpg":       {copied("../../transforms/frame/testdata/restart.jpg"), -1, "", "", sends},
		"411.jpg":           {copied("../../transforms/frame/testdata/411.jpg"), -1, "", "", sends},
		"rgb.jpg":           {copied("../../transforms/frame/testdata/rgb.jpg"), -1, "", "", sends},
		"cut.jpg":           {usual[:len(usual)*2/3], 0, frame.CorruptJPEG, "premature end", passes},
		"lost-bytes.jpg":    {slices.Concat(usual[:scan+2000], usual[scan+2300:]), 0, frame.CorruptJPEG, "", passes},
		"bytes-between.jpg": {slices.Concat(usual[:scan], []byte("odd"), usual[scan:]), 0, frame.CorruptJPEG, "extraneous bytes", passes},
		"only-header.jpg":   {append(slices.Clone(usual[:scan]), make([]byte, frame.MinBytes)...), 0, frame.CorruptJPEG, "", passes},
		"cmyk.jpg":          {copied("../../transforms/frame/testdata/cmyk.jpg"), 0, frame.UnsupportedFormat, "save it as RGB", encodes},
		"arithmetic.jpg":    {copied("../../transforms/frame/testdata/arithmetic.jpg"), 0, frame.UnsupportedFormat, "arithmetic-coded: save it as a baseline", passes},
		"lossless.jpg":      {frametest.JPEGHeader(2000, frametest.Lossless, 8, 64, 48, 3), 0, frame.UnsupportedFormat, "a lossless one", passes},
		"12-bit.jpg":        {frametest.JPEGHeader(2000, frametest.Baseline, 12, 64, 48, 3), 0, frame.UnsupportedFormat, "8 bits a sample", passes},
		"huge.jpg":          {frametest.JPEGHeader(2000, frametest.Baseline, 8, 65535, 65535, 3), 0, frame.TooLarge, "65535x65535", passes},
		"16-bit.png":        {frametest.PNG(frametest.Noise(image.NewRGBA64(size))), -1, "", "", encodes},
		"16-bit-grey.png":   {frametest.PNG(frametest.Noise(image.NewGray16(size))), -1, "", "", encodes},
		"palette.png":       {frametest.PNG(frametest.Noise(image.NewPaletted(size, palette.WebSafe))), -1, "", "", encodes},
		"interlaced.png":    {frametest.InterlacedPNG(frametest.Noise(image.NewGray(size)).(*image.Gray)), -1, "", "", encodes},
		"transparent.png":   {frametest.PNG(frametest.Noise(image.NewNRGBA(size))), -1, "", "", encodes},
		"cut.png":           {frametest.PNG(frametest.Noise(image.NewRGBA(size)))[:4000], 0, frame.CorruptPNG, "", passes},
		"iphone.jpg":        {begin("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), 0, frame.UnsupportedFormat, "Most Compatible", passes},
		"iphone.heic":       {begin("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), 0, frame.UnsupportedFormat, "Most Compatible", passes},
		"saved.png":         {begin("RIFF\xF0\x03\x00\x00WEBPVP8 "), 0, frame.UnsupportedFormat, "a WebP: send JPEG", passes},
		"saved.webp":        {begin("RIFF\xF0\x03\x00\x00WEBPVP8 "), 0, frame.UnsupportedFormat, "a WebP: send JPEG", passes},
		"saved.avif":        {begin("\x00\x00\x00\x1Cftypavif\x00\x00\x00\x00mif1avif"), 0, frame.UnsupportedFormat, "an AVIF", passes},
		"scan.tiff":         {begin("II*\x00\x08\x00\x00\x00"), 0, frame.UnsupportedFormat, "a TIFF", passes},
		"old.bmp":           {begin("BM\x36\x04\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"), 0, frame.UnsupportedFormat, "a BMP", passes},
		"cat.gif":           {animation.Bytes(), 0, frame.UnsupportedFormat, "a GIF", passes},
		"clip.jpg":          {begin("\x00\x00\x00\x18ftypmp42"), 0, frame.UnsupportedFormat, "play it with the camera tool", passes},
		"text.jpg":          {bytes.Repeat([]byte("no picture. "), 100), 0, frame.WrongSize, "neither a JPEG", passes},
		"base64.jpg":        {[]byte("/9j/" + strings.Repeat("4AAQSkZJ", 200)), 0, frame.UnsupportedFormat, "not a text", passes},
		"empty.jpg":         {nil, 0, frame.SkipEmpty, "", passes},
		"._usual.jpg":       {begin("\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "), 0, frame.WrongSize, "", ignores},
		".hidden.png":       {[]byte("no picture"), 0, frame.SkipSmall, "", ignores},
	}
	for orientation := range 8 {
		mark := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation+1)) + "\x00\x00\x00\x00\x00\x00"
		all[fmt.Sprintf("exif-%d.jpg", orientation+1)] = odd{segment(encode(stored(photo, orientation+1)), 0xE1, mark), 1, "", "", sends}
	}
	return all
}

// stored returns a picture as it lies in a file of an EXIF orientation: of the columns and
// rows in the file, the orientations say at which side of the picture they are.
func stored(img image.Image, orientation int) image.Image {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	from := map[int]func(x, y int) (int, int){
		1: func(x, y int) (int, int) { return x, y },
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return w - 1 - y, x },
		7: func(x, y int) (int, int) { return w - 1 - y, h - 1 - x },
		8: func(x, y int) (int, int) { return y, h - 1 - x },
	}[orientation]
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	if orientation > 4 {
		to = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range to.Rect.Dy() {
		for x := range to.Rect.Dx() {
			to.Set(x, y, img.At(from(x, y)))
		}
	}
	return to
}

// TestOddPictures sends what cameras and programs make of pictures through decoding,
// detection and the camera tool.
func TestOddPictures(t *testing.T) {
	detector := testkit.Value(face.NewDetector(testkit.Value(face.NewPreset(face.Parity, ""))(t)))(t)
	defer detector.Close()
	look := func(name string, value []byte) (found face.Detection, reject *frame.Reject) {
		cfg := frame.Config{Width: 640, Height: 480}
		f, reject := frame.Parse(cfg, &kafka.Record{Value: &value})
		if reject == nil {
			var err error
			if found, err = detector.Detect(f); err != nil {
				if reject = face.Reject(cfg, f, err); reject == nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		return found, reject
	}
	dir := t.TempDir()
	counts, sent, withFace := map[string]int{}, map[string]bool{}, 0
	for name, o := range odds(t) {
		testkit.WriteFile(t, filepath.Join(dir, name), o.value)
		if counts[o.tool]++; o.tool == sends {
			sent[string(o.value)] = true
		}
		switch found, reject := look(name, o.value); {
		case reject != nil && (reject.Reason != o.reason || !strings.Contains(reject.Detail, o.detail)):
			t.Errorf("%q: %s: %s, want %s with %q", name, reject.Reason, reject.Detail, o.reason, o.detail)
		case reject == nil && (o.reason != "" || len(found.Faces) != max(o.faces, 0)):
			t.Errorf("%q: %d faces, want %d or %s", name, len(found.Faces), o.faces, o.reason)
		case found.Width == oddWidth && found.Height == oddHeight:
			withFace++
		case strings.HasPrefix(name, "exif"):
			t.Errorf("%q: upright it has %dx%d pixels", name, found.Width, found.Height)
		}
	}

	broker := newKafka(t)
	n := counts[sends] + counts[encodes]
	mustRun(t, []string{broker, "--source=" + dir}, fmt.Sprintf("sent %d frames (jpeg, ", n), fmt.Sprintf("; %d passed over, since they could not be read", counts[passes]),
		"passed over: reading "+dir+"/arithmetic.jpg: ", "passed over: reading "+dir+"/12-bit.jpg: ")
	read := func(topic string) (values [][]byte) {
		for _, r := range testkit.ReadKafka(t, strings.TrimPrefix(broker, "--kafka="), topic, n) {
			values = append(values, r.Value)
		}
		return values
	}
	for _, value := range read("frames") {
		if sent[string(value)] {
			counts[sends]--
		} else if _, reject := look("what was encoded", value); reject == nil {
			counts[encodes]--
		}
	}
	if counts[sends] != 0 || counts[encodes] != 0 {
		t.Errorf("too few records: %v", counts)
	}
	// What is encoded anew is upright.
	mustRun(t, []string{broker, "--source=" + dir, "--format=raw", "--topic=raw"}, fmt.Sprintf("sent %d frames (raw, ", n))
	for _, value := range read("raw") {
		if len(value) == oddWidth*oddHeight*3 {
			found, err := detector.Detect(frame.Frame{Format: frame.BGR, Width: oddWidth, Height: oddHeight, Data: value})
			if withFace--; err != nil || len(found.Faces) != 1 {
				t.Errorf("a raw frame has %d faces: %v", len(found.Faces), err)
			}
		}
	}
	testkit.Equal(t, "raw frames that are missing", withFace, 0)
}

// Nothing that can be sent is an error, and one picture is enough for none.
func TestFolderOfNothing(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		testkit.WriteFile(t, filepath.Join(dir, fmt.Sprint(i, ".jpg")), []byte("text"))
	}
	testkit.Must(t, os.Mkdir(filepath.Join(dir, "folder.jpg"), 0o755))
	testkit.Must(t, os.Symlink("/missing", filepath.Join(dir, "link.jpg")))
	kafka := newKafka(t)
	status, stderr := run(t, kafka, "--source="+dir)
	testkit.Equal(t, stderr, status, 1)
	testkit.Contains(t, "what is said", stderr, "none of 4 pictures can be sent; the first: reading "+dir+"/0.jpg: it is neither a JPEG nor a PNG")
	testkit.WriteFile(t, filepath.Join(dir, "z\n%d: \xFF.png"), frametest.PNG(frametest.Noise(image.NewGray(image.Rect(0, 0, 64, 48)))))
	mustRun(t, []string{kafka, "--source=" + dir}, "sent 1 frames", "; 4 passed over", "link.jpg: no such file or directory\n")
}
