package store

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/testkit"
)

func TestKindOf(t *testing.T) {
	name := nameOf("", 0, "t", 3, 42)
	for file, want := range map[string]struct {
		kind Kind
		name Name
	}{
		"cam/2026/01/02/03/t+3+00000000000000000042.jpg":           {KindPicture, nameOf("cam", testMillis-testMillis%time.Hour.Milliseconds(), "t", 3, 42)},
		"cam/2026/01/02/03/t+3+00000000000000000042.annotated.jpg": {KindAnnotated, nameOf("cam", testMillis-testMillis%time.Hour.Milliseconds(), "t", 3, 42)},
		"cam/2026/01/02/03/t+3+00000000000000000042.face-2.jpg":    {KindFace, nameOf("cam", testMillis-testMillis%time.Hour.Milliseconds(), "t", 3, 42)},
		"_events/2026-01-02/20260102T030405.000Z-5f3a9c01.jsonl":   {KindEvents, Name{}},
		"_events/2026-01-03/20260102T030405.000Z-5f3a9c01.jsonl":   {KindUnknown, Name{}},
		"_events/2026-01-02/20260102T030405.000Z-5f3a9c01.json":    {KindUnknown, Name{}},
		"_events/20260102T030405.000Z-5f3a9c01.jsonl":              {KindUnknown, Name{}},
		"face.jpg/x":                                  {KindUnknown, Name{}},
		"_rejects/t+3+00000000000000000042.json":      {KindReject, name},
		"_rejects/t+3+00000000000000000042.bin":       {KindKept, name},
		"_windows/20260102T030405.000Z-5f3a9c01.json": {KindLedger, Name{}},
		"_SUCCESS":   {KindSuccess, Name{}},
		"_tmp/run/x": {KindTemporary, Name{}},
		"_tmp/run/20260102T030405.000Z-5f3a9c01.json": {KindTemporary, Name{}},
		"face.jpg":                     {KindLatest, Name{}},
		"cam/2026/01/02/03/t+3+42.jpg": {KindUnknown, Name{}},
		"cam/2026/01/02/03/t+3+00000000000000000042.png": {KindUnknown, Name{}},
		"_rejects/t+3+42.json":                           {KindUnknown, Name{}},
		"_rejects/old/t+3+00000000000000000042.json":     {KindUnknown, Name{}},
		"_windows/x":          {KindUnknown, Name{}},
		"_windows/old/x.json": {KindUnknown, Name{}},
		"_SUCCESS/x":          {KindUnknown, Name{}},
		"_windows/2026/01/02/03/t+3+00000000000000000042.jpg":   {KindUnknown, Name{}},
		"%5Ftmp/2026/01/02/03/t+3+00000000000000000042.jpg":     {KindPicture, nameOf("_tmp", testMillis-testMillis%time.Hour.Milliseconds(), "t", 3, 42)},
		"cam/2026/01/02/03/t+3+00000000000000000042.jpg/inside": {KindUnknown, Name{}},
	} {
		if kind, name := KindOf(file); kind != want.kind || name != want.name {
			t.Errorf("KindOf(%q) = %v, %+v, want %v, %+v", file, kind, name, want.kind, want.name)
		}
	}
}

func TestList(t *testing.T) {
	for _, d := range drivers[1:] { // memory cannot
		t.Run(d.name, func(t *testing.T) {
			cfg := testConfig(d.root(t))
			none := func(name string, _ int64, _ time.Time) error {
				t.Errorf("visited %s", name)
				return nil
			}
			if err := List(t.Context(), cfg, none); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), cfg.Root) {
				t.Errorf("without the root: %v, want fs.ErrNotExist and the root", err)
			}
			want := map[string]int64{testName: 5, "_SUCCESS": 0, "_rejects/a b%20": 70_000, "_tmp/other-run/x": 1}
			for name, size := range want {
				store(t, cfg.Root, name, string(picture(int(size))))
			}
			for _, slash := range []string{"", "/"} {
				cfg := testConfig(cfg.Root + slash)
				got := map[string]int64{}
				err := List(t.Context(), cfg, func(name string, size int64, modified time.Time) error {
					if at, err := lastModified(t.Context(), open(t, cfg.Root), join(cfg.Root, name)); err != nil || !modified.Equal(at) {
						t.Errorf("%s was written at %v, want %v (%v)", name, modified, at, err)
					}
					got[name] = size
					return nil
				})
				if err != nil || !maps.Equal(got, want) {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
			}
			stop := errors.New("enough")
			calls := 0
			err := List(t.Context(), cfg, func(string, int64, time.Time) error {
				calls++
				return stop
			})
			if !errors.Is(err, stop) || calls != 1 {
				t.Errorf("an error of visit: %v after %d calls", err, calls)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := List(ctx, cfg, none); !errors.Is(err, context.Canceled) {
				t.Errorf("with a cancelled context: %v", err)
			}
			file := testConfig(join(cfg.Root, testName))
			if err := List(t.Context(), file, none); err == nil {
				t.Error("a root that is a file is no error")
			}
		})
	}
}

func TestListCannot(t *testing.T) {
	cfg := testConfig(memoryRoot(t))
	err := List(t.Context(), cfg, func(string, int64, time.Time) error { return nil })
	if err == nil || !strings.Contains(err.Error(), cfg.Root) {
		t.Errorf("got %v, want an error that names the root", err)
	}
}

// A root may be a link to the folder.
func TestListLink(t *testing.T) {
	root, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	testkit.WriteFile(t, filepath.Join(root, "_SUCCESS"), nil)
	testkit.Must(t, os.Symlink(root, link))
	var got []string
	err := List(t.Context(), testConfig(link), func(name string, _ int64, _ time.Time) error {
		got = append(got, name)
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != "_SUCCESS" {
		t.Errorf("got %v, %v", got, err)
	}
}
