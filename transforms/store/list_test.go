package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
)

func TestKindOf(t *testing.T) {
	about := record.In("t", 3).At(42)
	for file, want := range map[string]Kind{
		"cam/2026/01/02/03/t+3+00000000000000000042.jpg":                  KindPicture,
		"_rejects/cam/2026/01/02/03/t+3+00000000000000000042.json":        KindReject,
		"_rejects/t+3+00000000000000000042.json":                          KindReject, // of older versions
		"_rejects/t+3+00000000000000000042.bin":                           KindKept,
		"_events/2026-01-02/20260102T030405.000Z-5f3a9c01.jsonl":          KindEvents,
		"_events/2026-01-03/20260102T030405.000Z-5f3a9c01.jsonl":          KindUnknown,
		"_events/2026-01-02/20260102T030405.000Z-5f3a9c01.json":           KindUnknown,
		"_events/20260102T030405.000Z-5f3a9c01.jsonl":                     KindUnknown,
		"_windows/g+t/20260102T030405.000Z-5f3a9c01.json":                 KindLedger,
		"_windows/g+t/20260102T030405.000Z-5f3a9c01.jsonl":                KindStaged,
		"_windows/g+t/hour.json":                                          KindLedger,
		"_windows/g+t/2026-01/02T03.json":                                 KindLedger,
		"_windows/20260102T030405.000Z-5f3a9c01.json":                     KindLedger, // of older versions
		"_pictures/undated/20260102T030405.000Z-5f3a9c01+X.parquet":       KindTable,
		"_pictures/2026-01-02/03/20260102T030405.000Z-5f3a9c01+X.parquet": KindTable,
		"_pictures/2026-01-02/03/part-00000.parquet":                      KindUnknown,
		"": KindUnknown,
		"c/undated/0/001/t+3+00000000000000000042.jpg":                  KindUnknown,
		"c/2026/01/02/03/t+3+00000000000000000042.json":                 KindUnknown,
		"_rejects/t+1+2.json":                                           KindUnknown,
		"_rejects/x/t+3+00000000000000000042.json":                      KindUnknown,
		"_rejects/c/2026/01/02/03/t+3+00000000000000000042.jpg":         KindUnknown,
		"/c/2026/01/02/03/t+3+00000000000000000042.jpg":                 KindUnknown,
		"c/2026/01/02/t+3+00000000000000000042.jpg":                     KindUnknown,
		"c/2026/13/02/03/t+3+00000000000000000042.jpg":                  KindUnknown,
		"c/1969/12/31/23/t+3+00000000000000000042.jpg":                  KindUnknown,
		"c/2026/01/02/03/t+3+42.jpg":                                    KindUnknown,
		"c/2026/01/02/03/t+3+99999999999999999999.jpg":                  KindUnknown,
		"c/2026/01/02/03/t+3+-0000000000000000042.jpg":                  KindUnknown,
		"c/2026/01/02/03/t+03+00000000000000000042.jpg":                 KindUnknown,
		"c/2026/01/02/03/t+2147483648+00000000000000000042.jpg":         KindUnknown,
		"c/2026/01/02/03/t+3+00000000000000000042.png":                  KindUnknown,
		"c/2026/01/02/03/t+3+00000000000000000042.face-0.jpg":           KindUnknown,
		"c/2026/01/02/03/t+3+00000000000000000042.face-01.jpg":          KindUnknown,
		"c/2026/01/02/03/t+3+00000000000000000042.face-1.annotated.jpg": KindUnknown,
		"c/2026/01/02/03/a+b+3+00000000000000000042.jpg":                KindUnknown,
		"../2026/01/02/03/t+3+00000000000000000042.jpg":                 KindUnknown,
		"a b/2026/01/02/03/t+3+00000000000000000042.jpg":                KindUnknown,
		"a%2f/2026/01/02/03/t+3+00000000000000000042.jpg":               KindUnknown,
		"a%/2026/01/02/03/t+3+00000000000000000042.jpg":                 KindUnknown,
		"a~b/2026/01/02/03/t+3+00000000000000000042.jpg":                KindUnknown,
		"_windows/x":            KindUnknown,
		"_windows/a/b/c/x.json": KindUnknown,
		"_windows/2026/01/02/03/t+3+00000000000000000042.jpg": KindUnknown,
		"_SUCCESS":         KindSuccess,
		"_leases/g.json":   KindLease,
		"_leases/g/t.json": KindUnknown,
		"_SUCCESS/x":       KindUnknown,
		"_tmp/run/20260102T030405.000Z-5f3a9c01.json": KindTemporary,
		"face.jpg":     KindLatest,
		"_latest.json": KindLatest,
		"face.jpg/x":   KindUnknown,
		"cam/2026/01/02/03/t+3+00000000000000000042.jpg/inside": KindUnknown,
	} {
		kind, id := KindOf(file)
		testkit.Equal(t, fmt.Sprintf("KindOf(%q)", file), kind, want)
		testkit.Equal(t, fmt.Sprintf("whether KindOf(%q) is about the record", file), id == about, strings.Contains(path.Base(file), "t+3+") && kind != KindUnknown)
	}
}

func TestList(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		none := func(name string, _ int64, _ time.Time) error {
			t.Errorf("visited %s", name)
			return nil
		}
		err := List(t.Context(), cfg, none)
		testkit.Is(t, "without the root", err, fs.ErrNotExist)
		testkit.Says(t, "without the root", err, cfg.Root)
		want := map[string]int64{testName: 5, "_SUCCESS": 0, "_rejects/a b%20": 70_000, "_tmp/other-run/x": 1}
		for name, size := range want {
			store(t, cfg.Root, name, string(picture(int(size))))
		}
		for _, slash := range []string{"", "/"} {
			cfg := testConfig(cfg.Root + slash)
			got := map[string]int64{}
			err := List(t.Context(), cfg, func(name string, size int64, modified time.Time) error {
				if at, err := cfg.Modified(t.Context(), name); err != nil || !modified.Equal(at) {
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
		err = List(t.Context(), cfg, func(string, int64, time.Time) error {
			calls++
			return stop
		})
		if !errors.Is(err, stop) || calls != 1 {
			t.Errorf("an error of visit: %v after %d calls", err, calls)
		}
		// What goes while it is listed is no error.
		seen := map[string]bool{}
		testkit.Must(t, List(t.Context(), cfg, func(name string, _ int64, _ time.Time) error {
			seen[name] = true
			return cfg.removeAll(t.Context(), "cam")
		}))
		testkit.Equal(t, "whether another is seen", seen["_rejects/a b%20"], true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		testkit.Is(t, "with a cancelled context", List(ctx, cfg, none), context.Canceled)
		file := testConfig(root + "/_SUCCESS")
		testkit.Says(t, "a root that is a file", List(t.Context(), file, none), file.Root)
	})
}

// A root may be a link to the folder.
func TestListLink(t *testing.T) {
	root, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	testkit.WriteFile(t, filepath.Join(root, "_SUCCESS"), nil)
	testkit.Must(t, os.Symlink(root, link))
	mustHold(t, link, map[string]string{"_SUCCESS": ""})
}
