package face

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"facestream/internal/testkit"
)

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Params)
		want   string
	}{
		{"defaults", func(p *Params) {}, ""},
		{"widest", func(p *Params) { p.ScaleFactor, p.MinNeighbors, p.MinFace = 10, 0, 16384 }, ""},
		{"scale factor 1", func(p *Params) { p.ScaleFactor = 1 }, "scale factor 1: it must be from 1.01 to 10"},
		{"scale factor missing", func(p *Params) { p.ScaleFactor = 0 }, "from 1.01"},
		{"scale factor NaN", func(p *Params) { p.ScaleFactor = math.NaN() }, "NaN"},
		{"scale factor infinite", func(p *Params) { p.ScaleFactor = math.Inf(1) }, "Inf"},
		{"negative neighbours", func(p *Params) { p.MinNeighbors = -1 }, "-1 neighbours"},
		{"negative face", func(p *Params) { p.MinFace = -1 }, "-1 pixels"},
		{"face beyond int32", func(p *Params) { p.MinFace = 1 << 32 }, "4294967296 pixels"},
		{"negative parallel", func(p *Params) { p.Parallel = -1 }, "-1 frames at a time"},
		{"downscale 10", func(p *Params) { p.Downscale = 10 }, ""},
		{"downscale missing", func(p *Params) { p.Downscale = 0 }, "downscale 0: it must be from 1"},
		{"downscale of less than 1", func(p *Params) { p.Downscale = 0.99 }, "from 1"},
		{"downscale NaN", func(p *Params) { p.Downscale = math.NaN() }, "downscale NaN"},
		{"downscale infinite", func(p *Params) { p.Downscale = math.Inf(1) }, "to 10"},
		{"profile", func(p *Params) { p.Profile = p.Cascade }, ""},
		{"profile that is none", func(p *Params) { p.Profile = []byte("x") }, "the cascade of profiles: unpacking"},
		{"cascade missing", func(p *Params) { p.Cascade = nil }, "unpacking the cascade"},
		{"cascade cut short", func(p *Params) { p.Cascade = p.Cascade[:len(p.Cascade)/2] }, "unpacking the cascade"},
	} {
		p := defaultParams(t)
		tt.change(&p)
		testkit.Says(t, tt.name, p.Validate(), tt.want)
	}
}

// TestNewPresetRefuses is case 11: files that are no cascade.
func TestNewPresetRefuses(t *testing.T) {
	whole := testkit.ReadFile(t, mustCascade(t))
	before := loaded.Load()
	for name, content := range map[string][]byte{
		"empty":            nil,
		"text":             []byte("hello"),
		"a JPEG":           readPhoto(t),
		"cut short":        whole[:len(whole)/2],
		"another XML":      []byte("<?xml version=\"1.0\"?>\n<project><name>x</name></project>\n"),
		"OpenCV's XML":     []byte("<?xml version=\"1.0\"?>\n<opencv_storage><a>1</a></opencv_storage>\n"),
		"no stages":        []byte("<?xml version=\"1.0\"?>\n<opencv_storage><cascade><stageType>BOOST</stageType></cascade></opencv_storage>\n"),
		"overwritten tags": bytes.ReplaceAll(whole, []byte("<stages>"), []byte("<stagez>")),
	} {
		file := filepath.Join(t.TempDir(), "cascade.xml")
		testkit.WriteFile(t, file, content)
		_, err := NewPreset(Parity, file)
		testkit.Says(t, name, err, "not a cascade", file)
	}
	testkit.Equal(t, "classifiers from files that are none", loaded.Load(), before)
	missing := filepath.Join(t.TempDir(), "missing.xml")
	_, err := NewPreset(Parity, missing)
	testkit.Says(t, "missing file", err, missing)
	if _, err := NewPreset(Parity, t.TempDir()); err == nil {
		t.Error("a folder is taken as a cascade")
	}
}

// TestCascadesOfOpenCV loads every kind of cascade that OpenCV comes with, and
// leaves no file behind.
func TestCascadesOfOpenCV(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files := testkit.Value(filepath.Glob(otherCascade(t, "../*cascades/*cascade_*.xml")))(t)
	small := parse(t, readProgressive(t))
	if len(files) < 2 {
		t.Fatalf("only %v beside the default cascade", files)
	}
	for _, file := range files {
		p, err := NewPreset(Parity, file)
		if err != nil {
			t.Error(err)
			continue
		}
		mustFind(t, newDetector(t, p), small)
	}
	testkit.Gives(os.ReadDir(os.Getenv("TMPDIR")))(t, "what is left behind", nil)
}

func TestPool(t *testing.T) {
	cascade := defaultParams(t).Cascade
	var pool pool
	lease := func(cascade []byte) *model {
		t.Helper()
		return testkit.Value(pool.lease(cascadeKey(cascade), cascade, loadCascade))(t)
	}
	before := loaded.Load()
	a, b := lease(cascade), lease(cascade)
	if a == b {
		t.Fatal("one classifier was leased twice")
	}
	testkit.Equal(t, "the classifiers that were loaded", loaded.Load()-before, 2)
	pool.release(a)
	if c := lease(cascade); c != a {
		t.Error("a classifier that was given back is not leased again")
	}
	pool.release(a)
	pool.release(b)
	other := testkit.Value(NewPreset(Parity, otherCascade(t, "haarcascade_frontalface_alt2.xml")))(t)
	if c := lease(other.Cascade); c == a || c == b {
		t.Error("another cascade gives the same classifier")
	}

	var many []*model
	for range maxIdle + 3 {
		many = append(many, lease(cascade))
	}
	before = loaded.Load()
	for _, c := range many {
		pool.release(c)
	}
	if freed := before - loaded.Load(); freed != 3 || len(pool.idle) != maxIdle {
		t.Errorf("of %d idle classifiers %d were freed, want all but %d", len(many), freed, maxIdle)
	}
}

// TestDroppedDetectorsAreFreed does what failing bundles do: it leases and
// never returns back.
func TestDroppedDetectorsAreFreed(t *testing.T) {
	p := defaultParams(t)
	// What the pool holds stays; what was taken from it and dropped goes.
	before := loaded.Load()
	for range 20 {
		fn := &detectFn{Params: p}
		testkit.Must(t, fn.StartBundle(t.Context(), nil, nil))
	}
	testkit.Await(t, "classifiers to be freed", func() bool {
		runtime.GC()
		return loaded.Load() <= before
	})

	fn := &detectFn{Params: p}
	for range 3 { // a bundle that failed, and the instance is used again
		testkit.Must(t, fn.StartBundle(t.Context(), nil, nil))
	}
	d := <-fn.detectors
	fn.detectors <- d
	testkit.Must(t, fn.FinishBundle(t.Context(), nil, nil))
	if d.frontal != nil {
		t.Error("the classifier is still held after FinishBundle")
	}
}
