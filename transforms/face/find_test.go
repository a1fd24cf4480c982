package face

import (
	"fmt"
	"image"
	"math"
	"slices"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

func TestEnlarged(t *testing.T) {
	for _, tt := range []struct {
		name         string
		small, whole image.Point
		min          int
		boxes, want  []record.Box
	}{
		{"twice", image.Pt(320, 240), image.Pt(640, 480), 0, []record.Box{box(10, 20, 30, 31)}, []record.Box{box(20, 40, 60, 62)}},
		{"odd sides", image.Pt(320, 240), image.Pt(641, 479), 0, []record.Box{box(160, 120, 160, 120)}, []record.Box{box(321, 240, 320, 239)}},
		{"beyond the picture", image.Pt(100, 100), image.Pt(250, 250), 0, []record.Box{box(-4, -2, 50, 60), box(90, 80, 20, 30)}, []record.Box{box(0, 0, 115, 145), box(225, 200, 25, 50)}},
		{"outside", image.Pt(100, 100), image.Pt(250, 250), 0, []record.Box{box(100, 50, 20, 20)}, nil},
		{"below the smallest", image.Pt(100, 100), image.Pt(200, 200), 50, []record.Box{box(0, 0, 24, 25), box(0, 0, 25, 24), box(5, 5, 25, 25)}, []record.Box{box(10, 10, 50, 50)}},
		{"none", image.Pt(100, 100), image.Pt(200, 200), 50, nil, nil},
	} {
		if got := enlarged(tt.boxes, tt.small, tt.whole, tt.min); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSuppress(t *testing.T) {
	large, small := box(0, 0, 100, 100), box(10, 10, 80, 80) // IoU 0.64
	apart := box(200, 0, 50, 50)
	third := box(50, 0, 100, 100) // IoU with large 1/3
	touching := box(60, 0, 100, 100)
	for _, tt := range []struct {
		name                  string
		frontal, others, want []record.Box
	}{
		{"larger first", []record.Box{small, large}, nil, []record.Box{large}},
		{"frontal first", []record.Box{small}, []record.Box{large}, []record.Box{small}},
		{"apart", []record.Box{large}, []record.Box{apart}, []record.Box{large, apart}},
		{"a third", []record.Box{large, third}, nil, []record.Box{large}},
		{"a quarter", []record.Box{large, touching}, nil, []record.Box{large, touching}},
		{"what is dropped drops nothing", []record.Box{large}, []record.Box{third, box(120, 0, 100, 100)}, []record.Box{large, box(120, 0, 100, 100)}},
		{"twice the same", []record.Box{large, large}, []record.Box{large}, []record.Box{large}},
		{"none", nil, nil, nil},
	} {
		for range 2 { // in either order
			if got := suppress(tt.frontal, tt.others); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
			slices.Reverse(tt.frontal)
			slices.Reverse(tt.others)
		}
	}
}

// TestDownscale compares with gocv's classifier on the picture shrunk by gocv.
func TestDownscale(t *testing.T) {
	oracle := loadOracle(t)
	for name, p := range pictures(t) {
		grey, small := gocv.NewMat(), gocv.NewMat()
		defer grey.Close()
		defer small.Close()
		gocv.CvtColor(p.mat, &grey, gocv.ColorBGRToGray)
		gocv.Resize(grey, &small, image.Pt((grey.Cols()+1)/2, (grey.Rows()+1)/2), 0, 0, gocv.InterpolationArea)
		var want []record.Box
		for _, b := range sorted(oracle.DetectMultiScale(small)) {
			edge := func(at int32, small, whole int) int32 {
				return int32(math.Round(float64(at) * float64(whole) / float64(small)))
			}
			x, y := edge(b.X, small.Cols(), grey.Cols()), edge(b.Y, small.Rows(), grey.Rows())
			want = append(want, box(x, y, edge(b.X+b.Width, small.Cols(), grey.Cols())-x, edge(b.Y+b.Height, small.Rows(), grey.Rows())-y))
		}
		params := defaultParams(t)
		params.Downscale = 2
		found, err := newDetector(t, params).Detect(greyFrame(grey))
		got, _ := boxes(found, nil)
		if err != nil || !slices.Equal(got, want) || len(got) != p.faces {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
		if int(found.Width) != grey.Cols() || int(found.Height) != grey.Rows() {
			t.Errorf("%s: the picture is said to have %dx%d pixels", name, found.Width, found.Height)
		}
	}
}

// TestMinFaceIsOfTheWholePicture looks for a face of about 230 pixels.
func TestMinFaceIsOfTheWholePicture(t *testing.T) {
	f := parse(t, readFile(t, photo))
	for _, downscale := range []float64{1, 1.5, 2, 3, 4} {
		for min, faces := range map[int]int{0: 1, 60: 1, 180: 1, 300: 0} {
			p := defaultParams(t)
			p.Downscale, p.MinFace = downscale, min
			got, err := boxes(newDetector(t, p).Detect(f))
			if err != nil || len(got) != faces || faces == 1 && int(got[0].Width) < min {
				t.Errorf("downscale %v, faces of %d pixels and more: got %v, %v, want %d", downscale, min, got, err, faces)
			}
		}
	}
}

// TestEqualize compares with gocv's equalizeHist and classifier on a picture of
// so little contrast that it makes a difference.
func TestEqualize(t *testing.T) {
	grey, err := gocv.IMDecode(readFile(t, photo), gocv.IMReadGrayScale)
	if err != nil {
		t.Fatal(err)
	}
	defer grey.Close()
	grey.ConvertToWithParams(&grey, gocv.MatTypeCV8U, 0.1, 40)
	f := greyFrame(grey)
	even := gocv.NewMat()
	defer even.Close()
	gocv.EqualizeHist(grey, &even)
	oracle := loadOracle(t)
	want := sorted(oracle.DetectMultiScale(even))
	if slices.Equal(want, sorted(oracle.DetectMultiScale(grey))) {
		t.Fatal("equalizeHist makes no difference here")
	}
	p := defaultParams(t)
	plain, err := newDetector(t, p).Detect(f)
	if err != nil {
		t.Fatal(err)
	}
	p.Equalize = true
	found, err := newDetector(t, p).Detect(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := boxes(found, nil); !slices.Equal(got, want) {
		t.Errorf("got %v, gocv gives %v", got, want)
	}
	for i, b := range want { // blur is that of the picture as it is
		if plainBlur := blur(grey, b); found.Faces[i].Blur != plainBlur {
			t.Errorf("blur %v, and %v in the picture as it is", found.Faces[i].Blur, plainBlur)
		}
	}
	t.Logf("found %v, without %v", found.Faces, plain.Faces)
}

// withProfile adds OpenCV's cascade of profiles.
func withProfile(t testing.TB, p Params) Params {
	t.Helper()
	file, err := ProfileCascade()
	if err != nil {
		t.Fatal(err)
	}
	if p.Profile, err = ReadCascade(file); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestProfileSeesBothSides has every hit be a face, so that there are some in
// any picture.
func TestProfileSeesBothSides(t *testing.T) {
	p := withProfile(t, defaultParams(t))
	p.MinNeighbors = 0
	d := newDetector(t, p)
	grey, err := gocv.IMDecode(readFile(t, photo), gocv.IMReadGrayScale)
	if err != nil {
		t.Fatal(err)
	}
	defer grey.Close()
	mirrored := gocv.NewMat()
	defer mirrored.Close()
	gocv.Flip(grey, &mirrored, 1)
	one, err := d.sides(grey, p)
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.sides(mirrored, p)
	if err != nil {
		t.Fatal(err)
	}
	left, err := d.profile.detect(grey, p)
	if err != nil || len(left) == 0 || len(left) == len(one) {
		t.Fatalf("%d boxes of one side, %d of both, %v: they prove nothing", len(left), len(one), err)
	}
	for i, b := range other {
		other[i].X = 640 - b.X - b.Width
	}
	slices.SortFunc(one, byPlace)
	slices.SortFunc(other, byPlace)
	if !slices.Equal(one, other) {
		t.Errorf("the picture gives %v, its mirror image %v", one, other)
	}
}

// TestProfileKeepsFrontalBoxes demands the frontal face as it is without
// profiles, once.
func TestProfileKeepsFrontalBoxes(t *testing.T) {
	f := parse(t, readFile(t, photo))
	want, err := boxes(newDetector(t, defaultParams(t)).Detect(f))
	if err != nil || len(want) != 1 {
		t.Fatalf("got %v, %v", want, err)
	}
	got, err := boxes(newDetector(t, withProfile(t, defaultParams(t))).Detect(f))
	if err != nil || !slices.Contains(got, want[0]) {
		t.Fatalf("got %v, %v, want %v among them", got, err, want)
	}
	for i, a := range got {
		for _, b := range got[:i] {
			if a.IoU(b) > maxIoU {
				t.Errorf("%v and %v are one face", a, b)
			}
		}
	}
}

// TestOddPicturesWithEverything sends the sizes that resizing may not like.
func TestOddPicturesWithEverything(t *testing.T) {
	p := withProfile(t, defaultParams(t))
	p.Equalize, p.Downscale = true, MaxDownscale
	d := newDetector(t, p)
	for _, size := range []image.Point{{1, 1}, {1, 334}, {334, 1}, {19, 19}, {201, 207}, {16384, 1}, {1, 16384}, {16384, 21}} {
		f := frame.Frame{Format: frame.Grey, Width: int32(size.X), Height: int32(size.Y), Data: make([]byte, size.X*size.Y)}
		if found, err := boxes(d.Detect(f)); err != nil || len(found) != 0 {
			t.Errorf("%v: got %v, %v", size, found, err)
		}
	}
}

func TestBlur(t *testing.T) {
	even := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(90, 0, 0, 0), 100, 100, gocv.MatTypeCV8UC1)
	defer even.Close()
	if got := blur(even, box(10, 10, 50, 50)); got != 0 {
		t.Errorf("an even grey has the blur %v, want 0", got)
	}
	sharp, err := gocv.IMDecode(readFile(t, photo), gocv.IMReadGrayScale)
	if err != nil {
		t.Fatal(err)
	}
	defer sharp.Close()
	last, box := blur(sharp, box(233, 152, 232, 232)), box(233, 152, 232, 232)
	for _, side := range []int{5, 15} {
		soft := gocv.NewMat()
		defer soft.Close()
		gocv.GaussianBlur(sharp, &soft, image.Pt(side, side), 0, 0, gocv.BorderDefault)
		got := blur(soft, box)
		if !(got > 0 && got < last) {
			t.Errorf("blurred by %d pixels: %v, want less than %v", side, got, last)
		}
		last = got
	}
}

// presetParams gives each preset, and one with everything on.
func presetParams(t testing.TB) map[string]Params {
	t.Helper()
	all := map[string]Params{}
	for _, name := range Presets {
		p, err := NewPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	p := withProfile(t, all["fast"])
	p.Equalize = true
	all["everything"] = p
	return all
}

func TestThreadsOfPresets(t *testing.T) {
	f := parse(t, readFile(t, photo))
	for name, p := range presetParams(t) {
		var found [][]record.Box
		for _, p.Threads = range []int{1, 2} {
			got, err := boxes(newDetector(t, p).Detect(f))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, got)
		}
		if len(found[0]) == 0 || !slices.Equal(found[0], found[1]) {
			t.Errorf("%s: one thread finds %v, two %v", name, found[0], found[1])
		}
	}
}

// TestFastFindsSmallFaces shrinks the photograph until its face has 60 pixels,
// and puts it in several places.
func TestFastFindsSmallFaces(t *testing.T) {
	mat := decodeColour(t, readFile(t, photo))
	small := gocv.NewMat()
	defer small.Close()
	gocv.Resize(mat, &small, image.Pt(640*60/232, 480*60/232), 0, 0, gocv.InterpolationArea)
	d := newDetector(t, presetParams(t)["fast"])
	for i := range 5 {
		canvas := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(120, 120, 120, 0), 240, 320, gocv.MatTypeCV8UC3)
		defer canvas.Close()
		x, y := 50+11*i, 40+7*i
		place := canvas.Region(image.Rect(x, y, x+small.Cols(), y+small.Rows()))
		defer place.Close()
		small.CopyTo(&place)
		got, err := boxes(d.Detect(rawFrame(canvas)))
		want := box(int32(x+233*60/232), int32(y+152*60/232), 60, 60)
		if err != nil || len(got) != 1 || got[0].IoU(want) < 0.5 {
			t.Errorf("at %d,%d: got %v, %v, want about %v", x, y, got, err, want)
		}
	}
}

func TestPresets(t *testing.T) {
	if fmt.Sprint(Presets) != "[parity balanced fast]" {
		t.Errorf("got %v", Presets)
	}
	var last Params
	for i, name := range Presets {
		p, err := NewPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.Profile != nil || p.Equalize || p.Threads != 0 {
			t.Errorf("%s: %v, %v threads: want no profiles, no equalizing, OpenCV's threads", name, p.Equalize, p.Threads)
		}
		if i > 0 && !(p.ScaleFactor >= last.ScaleFactor && p.MinFace >= last.MinFace && p.MinFace <= 60 && p.Downscale >= last.Downscale) {
			t.Errorf("%s looks closer than the preset before it, or sees no faces of 60 pixels", name)
		}
		last = p
	}
	for _, name := range []string{"", "Fast", "slow"} {
		if _, err := NewPreset(name); err == nil {
			t.Errorf("there is a preset %q", name)
		}
	}
}
