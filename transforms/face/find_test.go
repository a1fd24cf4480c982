package face

import (
	"image"
	"math"
	"slices"
	"testing"

	"gocv.io/x/gocv"

	"facestream/internal/record"
	"facestream/internal/testkit"
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
		testkit.Equal(t, tt.name, enlarged(tt.boxes, tt.small, tt.whole, tt.min), tt.want)
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
			testkit.Equal(t, tt.name, suppressBoxes(slices.Clone(tt.frontal), slices.Clone(tt.others)), tt.want)
			slices.Reverse(tt.frontal)
			slices.Reverse(tt.others)
		}
	}
}

// TestDownscale compares with gocv's classifier on the picture shrunk by gocv.
func TestDownscale(t *testing.T) {
	oracle, p := loadOracle(t), defaultParams(t)
	p.Downscale = 2
	d := newDetector(t, p)
	for name, p := range pictures(t) {
		grey := greyOf(t, p.mat)
		width, height := grey.Cols(), grey.Rows()
		small := derived(t, func(to *gocv.Mat) {
			gocv.Resize(grey, to, image.Pt((width+1)/2, (height+1)/2), 0, 0, gocv.InterpolationArea)
		})
		var want []record.Box
		for _, b := range sorted(oracle.DetectMultiScale(small)) {
			edge := func(at int32, small, whole int) int32 {
				return int32(math.Round(float64(at) * float64(whole) / float64(small)))
			}
			x, y := edge(b.X, small.Cols(), width), edge(b.Y, small.Rows(), height)
			want = append(want, box(x, y, edge(b.X+b.Width, small.Cols(), width)-x, edge(b.Y+b.Height, small.Rows(), height)-y))
		}
		found, err := d.Detect(rawFrame(grey))
		if got := boxesOf(found); err != nil || !slices.Equal(got, want) || len(got) != p.faces || int(found.Width) != width || int(found.Height) != height {
			t.Errorf("%s of %dx%d: got %v in %dx%d, %v, want %v", name, width, height, got, found.Width, found.Height, err, want)
		}
	}
}

// TestMinFaceIsOfTheWholePicture looks for a face of about 230 pixels.
func TestMinFaceIsOfTheWholePicture(t *testing.T) {
	f := parse(t, readPhoto(t))
	for _, downscale := range []float64{1, 1.5, 2, 3, 4} {
		for min, faces := range map[int]int{0: 1, 60: 1, 180: 1, 300: 0} {
			p := defaultParams(t)
			p.Downscale, p.MinFace = downscale, min
			got := mustFind(t, newDetector(t, p), f)
			if len(got) != faces || faces == 1 && int(got[0].Width) < min {
				t.Errorf("downscale %v, faces of %d pixels and more: got %v, want %d", downscale, min, got, faces)
			}
		}
	}
}

// TestEqualize compares with gocv's equalizeHist and classifier on a picture of
// so little contrast that it makes a difference.
func TestEqualize(t *testing.T) {
	grey := decoded(t, readPhoto(t), gocv.IMReadGrayScale)
	grey.ConvertToWithParams(&grey, gocv.MatTypeCV8U, 0.1, 40)
	even := derived(t, func(to *gocv.Mat) { gocv.EqualizeHist(grey, to) })
	oracle := loadOracle(t)
	want := sorted(oracle.DetectMultiScale(even))
	if slices.Equal(want, sorted(oracle.DetectMultiScale(grey))) {
		t.Fatal("equalizeHist makes no difference here")
	}
	p := defaultParams(t)
	p.Equalize = true
	found, err := newDetector(t, p).Detect(rawFrame(grey))
	if got := boxesOf(found); err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %v, %v, gocv gives %v", got, err, want)
	}
	for i, b := range want { // blur is that of the picture as it is
		testkit.Equal(t, "the blur, and that of the picture as it is", found.Faces[i].Blur, blur(grey, b))
	}
}

// TestProfileSeesBothSides has every hit be a face, so that there are some in
// any picture.
func TestProfileSeesBothSides(t *testing.T) {
	p := withProfile(t, defaultParams(t))
	p.MinNeighbors = 0
	d := newDetector(t, p)
	grey := decoded(t, readPhoto(t), gocv.IMReadGrayScale)
	sides := func(m gocv.Mat) []record.Box {
		return testkit.Value(d.detectProfiles(m, p))(t)
	}
	one, other := sides(grey), sides(derived(t, func(to *gocv.Mat) { gocv.Flip(grey, to, 1) }))
	left, err := d.profile.detect(grey, p)
	if err != nil || len(left) == 0 || len(left) == len(one) {
		t.Fatalf("%d boxes of one side, %d of both, %v: they prove nothing", len(left), len(one), err)
	}
	for i, b := range other {
		other[i].X = 640 - b.X - b.Width
	}
	slices.SortFunc(one, byPlace)
	slices.SortFunc(other, byPlace)
	testkit.Equal(t, "the picture, and its mirror image", one, other)
}

// TestProfileKeepsFrontalBoxes demands the frontal face as it is without
// profiles, once.
func TestProfileKeepsFrontalBoxes(t *testing.T) {
	f, p := parse(t, readPhoto(t)), defaultParams(t)
	want, got := mustFind(t, newDetector(t, p), f), mustFind(t, newDetector(t, withProfile(t, p)), f)
	if len(want) != 1 || !slices.Contains(got, want[0]) {
		t.Fatalf("got %v, want %v among them", got, want)
	}
	for i, a := range got {
		for _, b := range got[:i] {
			if a.IoU(b) > maxIoU {
				t.Errorf("%v and %v are one face", a, b)
			}
		}
	}
}

func TestBlur(t *testing.T) {
	even := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(90, 0, 0, 0), 100, 100, gocv.MatTypeCV8UC1)
	defer even.Close()
	testkit.Equal(t, "the blur of an even grey", blur(even, box(10, 10, 50, 50)), 0)
	sharp, face := decoded(t, readPhoto(t), gocv.IMReadGrayScale), box(233, 152, 232, 232)
	last := blur(sharp, face)
	for _, side := range []int{5, 15} {
		soft := derived(t, func(to *gocv.Mat) { gocv.GaussianBlur(sharp, to, image.Pt(side, side), 0, 0, gocv.BorderDefault) })
		got := blur(soft, face)
		if !(got > 0 && got < last) {
			t.Errorf("blurred by %d pixels: %v, want less than %v", side, got, last)
		}
		last = got
	}
}

// TestFastFindsSmallFaces shrinks the photograph until its face has 60 pixels,
// and puts it in several places.
func TestFastFindsSmallFaces(t *testing.T) {
	photo := decoded(t, readPhoto(t), gocv.IMReadColor)
	small := derived(t, func(to *gocv.Mat) {
		gocv.Resize(photo, to, image.Pt(640*60/232, 480*60/232), 0, 0, gocv.InterpolationArea)
	})
	d := newDetector(t, presetParams(t)["fast"])
	for i := range 5 {
		canvas := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(120, 120, 120, 0), 240, 320, gocv.MatTypeCV8UC3)
		defer canvas.Close()
		x, y := 50+11*i, 40+7*i
		place := canvas.Region(image.Rect(x, y, x+small.Cols(), y+small.Rows()))
		defer place.Close()
		small.CopyTo(&place)
		got := mustFind(t, d, rawFrame(canvas))
		if want := box(int32(x+233*60/232), int32(y+152*60/232), 60, 60); len(got) != 1 || got[0].IoU(want) < 0.5 {
			t.Errorf("at %d,%d: got %v, want about %v", x, y, got, want)
		}
	}
}
