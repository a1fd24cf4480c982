package face

import (
	"bytes"
	"fmt"
	"image"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testmodels"
	"facestream/transforms/frame"
)

// networkParams returns those of CenterFace, and of YuNets that lie beside the checkout.
func networkParams(t testing.TB) map[string]Params {
	t.Helper()
	all := map[string]Params{}
	add := func(preset, file string) {
		p := testkit.Value(NewPreset(preset, file))(t)
		all[preset+" "+filepath.Base(file)] = p
	}
	testmodels.Download(t)
	add("centerface", "")
	for _, file := range testmodels.Shared(t, "models/yunet_*.onnx") {
		add("yunet", file)
		add("yunet-fast", file)
	}
	return all
}

// anyNetwork returns the quickest of them, with small pictures.
func anyNetwork(t testing.TB) Params {
	all := networkParams(t)
	var best Params
	for _, p := range all {
		if best.Model == nil || len(p.Model) < len(best.Model) {
			best = p
		}
	}
	best.DetectWidth = 128
	return best
}

// TestNetworks looks for the face of the photograph in every format and orientation.
func TestNetworks(t *testing.T) {
	colour := decoded(t, readPhoto(t), gocv.IMReadColor)
	grey := greyOf(t, colour)
	mirrored := derived(t, func(to *gocv.Mat) { gocv.Flip(colour, to, 1) })
	wide := derived(t, func(to *gocv.Mat) { gocv.Hconcat(colour, mirrored, to) })
	large := derived(t, func(to *gocv.Mat) { gocv.Resize(colour, to, image.Pt(1601, 1201), 0, 0, gocv.InterpolationCubic) })
	here, there := box(250, 130, 200, 260), box(190, 130, 200, 260) // by eye
	scaled := func(b record.Box, by float64) record.Box {
		return box(int32(by*float64(b.X)), int32(by*float64(b.Y)), int32(by*float64(b.Width)), int32(by*float64(b.Height)))
	}
	beside := there
	beside.X += 640
	for name, p := range networkParams(t) {
		d := newDetector(t, p)
		for what, tt := range map[string]struct {
			frame frame.Frame
			want  []record.Box
		}{
			"JPEG":          {parse(t, readPhoto(t)), []record.Box{here}},
			"small JPEG":    {parse(t, readProgressive(t)), []record.Box{scaled(here, 0.25)}},
			"large JPEG":    {parse(t, encoded(t, gocv.JPEGFileExt, large, gocv.IMWriteJpegQuality, 90)), []record.Box{scaled(here, 2.5)}},
			"PNG":           {parse(t, encoded(t, gocv.PNGFileExt, colour, gocv.IMWritePngCompression, 1)), []record.Box{here}},
			"grey PNG":      {parse(t, encoded(t, gocv.PNGFileExt, grey, gocv.IMWritePngCompression, 1)), []record.Box{here}},
			"raw":           {rawFrame(colour), []record.Box{here}},
			"raw, RGB":      {rgbFrame(colour), []record.Box{here}},
			"raw, grey":     {rawFrame(grey), []record.Box{here}},
			"mirrored":      {rawFrame(mirrored), []record.Box{there}},
			"two":           {rawFrame(wide), []record.Box{here, beside}},
			"nothing":       {frame.Frame{Format: frame.Grey, Width: 640, Height: 480, Data: make([]byte, 640*480)}, nil},
			"a line":        {frame.Frame{Format: frame.Grey, Width: 16384, Height: 1, Data: make([]byte, 16384)}, nil},
			"a short line":  {frame.Frame{Format: frame.BGR, Width: 1, Height: 334, Data: make([]byte, 3*334)}, nil},
			"turned around": {parse(t, withOrientation(readPhoto(t), 3)), nil},
		} {
			before := bytes.Clone(tt.frame.Data)
			found, err := d.Detect(tt.frame)
			if err != nil || len(found.Faces) != len(tt.want) && what != "turned around" || !bytes.Equal(tt.frame.Data, before) {
				t.Errorf("%s, %s: %v, %+v; want %v", name, what, err, found.Faces, tt.want)
				continue
			}
			for _, want := range tt.want {
				at := slices.IndexFunc(found.Faces, func(f Face) bool { return f.Box.IoU(want) >= 0.5 })
				if at < 0 {
					t.Errorf("%s, %s: %+v, want %v", name, what, found.Faces, want)
					continue
				}
				f := found.Faces[at]
				inside := func(p record.Point) bool {
					return p.X >= f.Box.X && p.X < f.Box.X+f.Box.Width && p.Y >= f.Box.Y && p.Y < f.Box.Y+f.Box.Height
				}
				l := *f.Landmarks
				if f.Blur <= 0 || f.Score < p.MinScore || f.Score > 1 || f.Score != rounded(f.Score, 3) ||
					!inside(l.RightEye) || !inside(l.LeftEye) || !inside(l.NoseTip) ||
					l.RightEye.X >= l.LeftEye.X || l.RightMouthCorner.X >= l.LeftMouthCorner.X ||
					max(l.RightEye.Y, l.LeftEye.Y) >= l.NoseTip.Y || l.NoseTip.Y >= min(l.RightMouthCorner.Y, l.LeftMouthCorner.Y) {
					t.Errorf("%s, %s: %+v %+v, which is no face", name, what, f, l)
				}
			}
		}
	}
}

// TestNetworkKeepsSizesApart demands of pictures of many sizes, in turn, what a network
// finds that has seen no other.
func TestNetworkKeepsSizesApart(t *testing.T) {
	p := anyNetwork(t)
	photo := decoded(t, readPhoto(t), gocv.IMReadColor)
	mixed := newDetector(t, p)
	var frames []frame.Frame
	for _, size := range []image.Point{{640, 480}, {320, 240}, {900, 300}, {300, 300}, {128, 96}} {
		frames = append(frames, rawFrame(derived(t, func(to *gocv.Mat) { gocv.Resize(photo, to, size, 0, 0, gocv.InterpolationArea) })))
	}
	for range 2 {
		for _, f := range frames {
			want, got := shown(t, newDetector(t, p), f), shown(t, mixed, f)
			if !slices.Equal(got, want) || len(got) == 0 && f.Height != 300 {
				t.Errorf("%dx%d: got %v, want %v", f.Width, f.Height, got, want)
			}
		}
	}
}

// shown returns the faces in a frame with their landmarks instead of pointers.
func shown(t *testing.T, d *Detector, f frame.Frame) (text []string) {
	for _, f := range testkit.Value(d.Detect(f))(t).Faces {
		text = append(text, fmt.Sprintf("%v %v %v %v", f.Box, f.Score, f.Blur, *f.Landmarks))
	}
	return text
}

// TestDecoders has one cell of each network, computed by hand.
func TestDecoders(t *testing.T) {
	canvas := image.Pt(128, 64)
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	yunet1 := tensors{"conf": make([]float32, 2*470), "iou": make([]float32, 470), "loc": make([]float32, 14*470)}
	// The second anchor, of 48 pixels, in the third column and second row of stride 16: behind
	// 16*8*3 of stride 8.
	at := 384 + 2*(8+2) + 1
	yunet1["conf"][2*at+1], yunet1["iou"][at] = 0.81, 1.21
	copy(yunet1["loc"][14*at:], []float32{1, -1, 5 * ln(1.5), 5 * ln(0.5), 0, 0, 1, 1, 2, 2, 3, 3, 4, 4})
	yunet2 := tensors{}
	for stride, cells := range map[int]int{8: 128, 16: 32, 32: 8} {
		for name, size := range map[string]int{"cls": 1, "obj": 1, "bbox": 4, "kps": 10} {
			yunet2[fmt.Sprintf("%s_%d", name, stride)] = make([]float32, size*cells)
		}
	}
	at = 8 + 2
	yunet2["cls_16"][at], yunet2["obj_16"][at] = 0.81, 1.21
	copy(yunet2["bbox_16"][4*at:], []float32{0.8, 0.2, ln(4.5), ln(1.5)})
	copy(yunet2["kps_16"][10*at:], []float32{0.5, 0.5, 0.8, 0.8, 1.1, 1.1, 1.4, 1.4, 1.7, 1.7})
	centre := tensors{"537": make([]float32, 512), "538": make([]float32, 1024), "539": make([]float32, 1024), "540": make([]float32, 5120)}
	at = 4*32 + 11
	centre["537"][at] = 0.9
	centre["538"][at], centre["538"][512+at] = ln(6), ln(18)
	centre["539"][at], centre["539"][512+at] = 0.3, -0.3
	for i, v := range []float32{0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 1, 1, 1.25} {
		centre["540"][512*i+at] = v
	}
	for name, tt := range map[string]struct {
		decode decoder
		out    tensors
		want   candidate
	}{
		"YuNet of 2022": {decodeYuNet1, yunet1, candidate{0.9, 44.8, 19.2, 72, 24, [5][2]float64{{40, 24}, {44.8, 28.8}, {49.6, 33.6}, {54.4, 38.4}, {59.2, 43.2}}}},
		"YuNet of 2023": {decodeYuNet2, yunet2, candidate{0.9, 44.8, 19.2, 72, 24, [5][2]float64{{40, 24}, {44.8, 28.8}, {49.6, 33.6}, {54.4, 38.4}, {59.2, 43.2}}}},
		"CenterFace":    {decodeCenterFace, centre, candidate{0.9, 44.8, 19.2, 72, 24, [5][2]float64{{26.8, 12}, {44.8, 16.8}, {62.8, 21.6}, {80.8, 26.4}, {98.8, 31.2}}}},
	} {
		found, err := tt.decode(tt.out, canvas, 0.5)
		if err != nil || len(found) != 1 || !near(found[0], tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, found, err, tt.want)
		}
		if found, err := tt.decode(tt.out, canvas, 0.901); err != nil || len(found) != 0 {
			t.Errorf("%s: %+v, %v above the face's score", name, found, err)
		}
		for output := range tt.out {
			tt.out[output] = tt.out[output][1:]
			_, err := tt.decode(tt.out, canvas, 0.5)
			testkit.Says(t, name+" with an output that is too short", err, output)
			break
		}
	}
}

// near reports whether two candidates differ by rounding only.
func near(a, b candidate) bool {
	flat := func(c candidate) []float64 {
		v := []float64{c.score, c.x, c.y, c.width, c.height}
		for _, p := range c.points {
			v = append(v, p[:]...)
		}
		return v
	}
	return slices.EqualFunc(flat(a), flat(b), func(x, y float64) bool { return math.Abs(x-y) < 1e-4 })
}

// TestFacesOf scales, rounds, cuts off and chooses.
func TestFacesOf(t *testing.T) {
	at := func(score, x, y, side float64) candidate {
		return candidate{score: score, x: x, y: y, width: side, height: side}
	}
	beyond := at(0.95, 0, 100, 40)
	beyond.points[1] = [2]float64{-5, 1000}
	for name, tt := range map[string]struct {
		found []candidate
		want  []Face
	}{
		"scaled":          {[]candidate{at(0.91239, 100.2, 50, 20)}, []Face{{Box: box(180, 80, 40, 40), Score: 0.912}}},
		"rounded up":      {[]candidate{at(0.8496, 100, 50, 20), at(0.8494, 10, 10, 20)}, []Face{{Box: box(180, 80, 40, 40), Score: 0.85}}},
		"cut off":         {[]candidate{beyond}, []Face{{Box: box(0, 160, 40, 80), Score: 0.95}}},
		"outside":         {[]candidate{at(0.9, 400, 50, 20)}, nil},
		"the best of two": {[]candidate{at(0.86, 100, 50, 20), at(0.99, 102, 50, 20), at(0.87, 30, 50, 20)}, []Face{{Box: box(40, 80, 40, 40), Score: 0.87}, {Box: box(184, 80, 40, 40), Score: 0.99}}},
		"no number":       {[]candidate{at(math.NaN(), 100, 50, 20)}, nil},
	} {
		got := facesOf(tt.found, image.Pt(320, 240), image.Pt(640, 480), 0.85)
		if !slices.EqualFunc(got, tt.want, func(a, b Face) bool { return a.Box == b.Box && a.Score == b.Score && a.Landmarks != nil }) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		for _, f := range got {
			if name == "cut off" && f.Landmarks.LeftEye != (record.Point{Y: 479}) {
				t.Errorf("a point outside is at %+v", f.Landmarks.LeftEye)
			}
		}
	}
	for whole, want := range map[image.Point][2]image.Point{{X: 1080, Y: 1920}: {{360, 640}, {384, 640}}, {X: 500, Y: 1}: {{500, 1}, {512, 64}}} {
		small, canvas := fitted(whole, 640)
		testkit.Equal(t, whole, [2]image.Point{small, canvas}, want)
	}
}

// TestModelsRefused has files that are no model that runs here.
func TestModelsRefused(t *testing.T) {
	type file struct {
		content []byte
		want    string
	}
	files := map[string]file{
		"empty.onnx":   {nil, "no model that runs here"},
		"text.onnx":    {[]byte("hello"), "no model that runs here"},
		"pointer.onnx": {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:50ef07f702a31741ca46a4c0d947773b64143b9362780237bf0d427d6c79bab7\nsize 345478\n"), "pointer of Git LFS"},
		"other.onnx":   {[]byte("\x08\x06\x12\x07pytorch\x3a\x04\x0a\x02\x12\x01"), "no model that runs here"},
		"large.onnx":   {make([]byte, maxModelBytes+1), "no model that runs here"},
	}
	for name, p := range networkParams(t) {
		files["cut "+name] = file{p.Model[:len(p.Model)-1], "no model that runs here"}
		if strings.HasPrefix(name, "centerface") {
			files[name] = file{p.Model, "this is the network CenterFace"}
		}
	}
	before := loaded.Load()
	for name, tt := range files {
		file := filepath.Join(t.TempDir(), name)
		testkit.WriteFile(t, file, tt.content)
		_, err := NewPreset("yunet", file)
		testkit.Says(t, name, err, tt.want, file, "get face_detection_yunet_2022mar.onnx")
	}
	_, err := NewPreset("yunet", filepath.Join(t.TempDir(), "no"))
	testkit.Is(t, "a missing file", err, fs.ErrNotExist)
	_, err = NewPreset("yunet", "")
	testkit.Says(t, "no file", err, "give --model=FILE with face_detection_yunet_2022mar.onnx")
	testkit.Equal(t, "networks from files that are none", loaded.Load(), before)
}

func TestValidateNetwork(t *testing.T) {
	for want, change := range map[string]func(*Params){
		"": func(p *Params) { p.DetectWidth, p.MinScore = MinDetectWidth, 1 },
		"detect width 63: it must be from 64 to 1920":   func(p *Params) { p.DetectWidth = 63 },
		"detect width 1921":                             func(p *Params) { p.DetectWidth = 1921 },
		"smallest score 0.09: it must be from 0.1 to 1": func(p *Params) { p.MinScore = 0.09 },
		"smallest score 1.1":                            func(p *Params) { p.MinScore = 1.1 },
		"smallest score NaN":                            func(p *Params) { p.MinScore = math.NaN() },
	} {
		p := anyNetwork(t)
		change(&p)
		testkit.Says(t, "parameters of a network", p.Validate(), want)
	}
}

// TestNetworksAreFreed looks at 2,000 frames of many sizes: there are never more networks
// than the pool keeps, and no Mat stays open, which TestMain counts.
func TestNetworksAreFreed(t *testing.T) {
	p := anyNetwork(t)
	p.DetectWidth = MaxDetectWidth
	before, d := loaded.Load(), newDetector(t, p)
	for i := range 200 {
		side := 40
		if i%100 < 10 { // by then others are of use
			side = 64 + 32*(i%10)
		}
		f := frame.Frame{Format: frame.BGR, Width: int32(side), Height: 40, Data: make([]byte, 3*side*40)}
		if i%7 == 0 {
			f.Format, f.Data = frame.Grey, f.Data[:side*40]
		}
		testkit.Value(d.Detect(f))(t)
		if n := loaded.Load(); n > before+int64(maxIdle)+1 {
			t.Fatalf("after %d frames there are %d networks, before there were %d", i+1, n, before)
		}
	}
}
