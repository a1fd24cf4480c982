package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/record"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/colinmarc/hdfs/v2"
)

const testName = "cam/2026/01/02/03/t+0+00000000000000000042.jpg"

func picture(size int) []byte {
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(data)
	return data
}

func mustHold(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got := files(t, root)
	for name, data := range want {
		if g, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if g != data {
			t.Errorf("%s has %d bytes that are not the %d written", name, len(g), len(data))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

func TestPut(t *testing.T) {
	for _, size := range []int{0, 1, 60_000, 65_536, 3_000_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			everywhere(t, func(t *testing.T, root string) {
				data := picture(size)
				if err := put(context.Background(), open(t, root), testConfig(root), testName, data); err != nil {
					t.Fatal(err)
				}
				mustHold(t, root, map[string]string{testName: string(data)})
			})
		})
	}
}

func TestPutAgainReplaces(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		fsys := open(t, root)
		for _, data := range []string{"the first attempt", "second"} {
			if err := put(context.Background(), fsys, testConfig(root), testName, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		mustHold(t, root, map[string]string{testName: "second"})
	})
}

func TestPutConcurrently(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		data := picture(200_000)
		var attempts sync.WaitGroup
		for range 4 {
			attempts.Go(func() {
				if err := put(context.Background(), open(t, root), testConfig(root), testName, data); err != nil {
					t.Error(err)
				}
			})
		}
		attempts.Wait()
		mustHold(t, root, map[string]string{testName: string(data)})
	})
}

func TestPutMany(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		want := map[string]string{}
		for i := range 200 {
			name := nameOf("cam", testMillis, "t", 0, int64(i)).Path()
			want[name] = strings.Repeat(fmt.Sprint(i), 1000)
		}
		fsys := open(t, root)
		var writers sync.WaitGroup
		for part := range 2 {
			writers.Go(func() {
				for i := part; i < 200; i += 2 {
					name := nameOf("cam", testMillis, "t", 0, int64(i)).Path()
					if err := put(context.Background(), fsys, testConfig(root), name, []byte(want[name])); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		mustHold(t, root, want)
	})
}

// Case 9: whatever a camera calls itself, its files are below the root.
func TestPutHostileCameras(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		fsys := open(t, root)
		want := map[string]string{}
		for i, camera := range []string{"../../etc", strings.Repeat("c", 300), "a\x00b", "a\nb", "é", "a+b", "", "a:b", "*", "50%", "_tmp", ".snapshot"} {
			name := nameOf(camera, testMillis, "t", 0, int64(i)).Path()
			want[name] = camera
			if err := put(context.Background(), fsys, testConfig(root), name, []byte(camera)); err != nil {
				t.Errorf("camera %q: %v", camera, err)
			}
		}
		mustHold(t, root, want)
	})
}

// The folders that are there for one file may be gone at the next.
func TestPutAfterFoldersWereRemoved(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	fsys := open(t, root)
	for range 2 {
		if err := put(context.Background(), fsys, testConfig(root), testName, []byte("x")); err != nil {
			t.Fatal(err)
		}
		mustHold(t, root, map[string]string{testName: "x"})
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := put(ctx, open(t, root), testConfig(root), testName, []byte("x"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("put with a cancelled context: %v, want context.Canceled", err)
		}
		mustHold(t, root, nil)
	})
}

// A rename that cannot be done must not leave the temporary file.
func TestPutOverFolder(t *testing.T) {
	for _, d := range drivers[1:] { // memory has no folders
		t.Run(d.name, func(t *testing.T) {
			root := d.root(t)
			fsys := open(t, root)
			inside := testName + "/inside"
			if err := put(context.Background(), fsys, testConfig(root), inside, []byte("x")); err != nil {
				t.Fatal(err)
			}
			err := put(context.Background(), fsys, testConfig(root), testName, []byte("y"))
			if err == nil || !strings.Contains(err.Error(), join(root, testName)) {
				t.Errorf("storing over a folder: %v, want an error that names it", err)
			}
			mustHold(t, root, map[string]string{inside: "x"})
		})
	}
}

func TestHDFSOwner(t *testing.T) {
	root := hdfsRoot(t)
	if err := put(context.Background(), open(t, root), testConfig(root), testName, []byte("x")); err != nil {
		t.Fatal(err)
	}
	address := hdfsAddress(t)
	_, name, _ := strings.Cut(strings.TrimPrefix(root, "hdfs://"), "/")
	name = "/" + name
	for _, rest := range strings.Split(testName, "/") {
		name += "/" + rest
		info, err := superuser(t, address).Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.(*hdfs.FileInfo).Owner(); owner != testUser {
			t.Errorf("%s belongs to %s, want %s", name, owner, testUser)
		}
		if want := map[bool]fs.FileMode{true: 0o755 | fs.ModeDir, false: 0o644}[info.IsDir()]; info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// Case 17: no permission is an error at once, with path and user.
func TestHDFSPermission(t *testing.T) {
	root := strings.Replace(hdfsRoot(t), testUser+"@", "mallory@", 1)
	start := time.Now()
	for what, err := range map[string]error{
		"put":   put(context.Background(), open(t, root), testConfig(root), testName, []byte("x")),
		"Check": Check(context.Background(), testConfig(root)),
	} {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), root) {
			t.Errorf("%s as another user: %v, want fs.ErrPermission and the name %s", what, err, root)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the refusals took %v", took)
	}
}

func TestCheck(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		for range 2 {
			if err := Check(context.Background(), testConfig(root)); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := open(t, root).List(context.Background(), root); err != nil || len(left) > 0 {
			t.Errorf("Check left %v, %v", left, err)
		}
		// What is there stays.
		if err := put(context.Background(), open(t, root), testConfig(root), testName, []byte("kept")); err != nil {
			t.Fatal(err)
		}
		if err := Check(context.Background(), testConfig(join(root, "deep/down"))); err != nil {
			t.Fatal(err)
		}
		if err := Check(context.Background(), testConfig(root)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, root, map[string]string{testName: "kept"})
		left, err := open(t, root).List(context.Background(), join(root, "deep"))
		if err != nil || len(left) > 0 {
			t.Errorf("Check left %v, %v", left, err)
		}
	})
}

// Space is told of a folder that is not there yet, and of the nearest one above
// it that is.
func TestRoomFor(t *testing.T) {
	ctx := context.Background()
	for _, d := range drivers[1:] {
		t.Run(d.name, func(t *testing.T) {
			root := d.root(t)
			s, err := RoomFor(ctx, testConfig(join(root, "not/yet")))
			if err != nil || s.Free <= 0 || s.Free > s.Capacity || !strings.HasSuffix(root, s.Folder+"/root") {
				t.Errorf("%+v, %v, want some free bytes of the folder above %s", s, err, root)
			}
		})
	}
	if _, err := RoomFor(ctx, testConfig(memoryRoot(t))); err == nil {
		t.Error("the memory tells how much room there is")
	}
}

func TestCheckRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{
		file:                      "this is a file",
		filepath.Join(file, "in"): "this is a file",
		"nosuch://x/y":            "nosuch",
		"hdfs:///faces":           "hdfs://user@host:port/path",
		"hdfs://bob@namenode/x":   "namenode:8020",
	} {
		if err := Check(context.Background(), testConfig(root)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), root) {
			t.Errorf("Check(%s) = %v, want an error with %q", root, err, want)
		}
	}
}

func TestWrite(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		name := func(offset int64) string { return nameOf("cam", testMillis, "t", 1, offset).Path() }
		entries := []Entry{
			{Tally: Tally{ID: record.In("t", 1).At(7), TimestampMillis: 5, Size: 100, Faces: 2, Events: []string{"{}", "[]"}}, Files: []File{{name(7), []byte("seven")}, {name(8), []byte("more")}}},
			{Tally: Tally{ID: record.In("t", 1).At(9), Faces: 1}, Files: []File{{name(9), []byte("nine")}}},
			{Tally: Tally{ID: record.In("u", 0).At(3)}},
		}
		start := time.Now().UnixMilli()
		p, s := beam.NewPipelineWithRoot()
		written := Write(s, testConfig(root), beam.CreateList(s, entries))
		passert.Equals(s, beam.ParDo(s, checkFirst, written, beam.SideInput{Input: beam.Create(s, start)}),
			Written{Tally: Tally{ID: record.In("t", 1).At(7), TimestampMillis: 5, Size: 100, Faces: 2, Events: []string{"{}", "[]"}}, Files: 2, Bytes: 9, Picture: name(7)},
			Written{Tally: Tally{ID: record.In("t", 1).At(9), Faces: 1}, Files: 1, Bytes: 4, Picture: name(9)},
			Written{Tally: Tally{ID: record.In("u", 0).At(3)}})
		// Twice: a run again over the same records.
		for range 2 {
			ptest.RunAndValidate(t, p)
			mustHold(t, root, map[string]string{name(7): "seven", name(8): "more", name(9): "nine"})
		}
	})
}

func init() { beam.RegisterFunction(checkFirst) }

// checkFirst takes FirstMillis out of w if it is a time of this test.
func checkFirst(w Written, start int64) (Written, error) {
	if w.Files > 0 && (w.FirstMillis < start || w.FirstMillis > time.Now().UnixMilli()) {
		return w, fmt.Errorf("first file of %+v is not between %d and now", w, start)
	}
	if w.Files > 0 {
		w.FirstMillis = 0
	}
	return w, nil
}

func TestWriteErrorNamesRecord(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(root, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	fn := &writeFn{Config: testConfig(root)}
	emit := func(w Written) { t.Errorf("emitted %+v", w) }
	if err := fn.StartBundle(context.Background(), emit); err != nil {
		t.Fatal(err)
	}
	err := fn.ProcessElement(context.Background(), Entry{Tally: Tally{ID: record.In("frames", 3).At(42)}, Files: []File{{Name: testName}}}, emit)
	if err == nil { // it may come later
		err = fn.FinishBundle(context.Background(), emit)
	}
	for _, want := range []string{"offset 42 of partition 3 of topic frames", root, testName} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}

// A field that the coder drops would be lost between two stages.
func TestElementsPassTheirCoder(t *testing.T) {
	slots := []Slot{{"door", SlotCooldown, 7, []Kept{{3, boxes(1, 2, 3, 4, 5, 6, 7, 8)}}}}
	for _, want := range []any{
		Rejected{ID: record.In("t", 1).At(2), Size: 3, Reason: "r", Skipped: true},
		Entry{Tally: Tally{ID: record.In("t", 1).At(2), TimestampMillis: 4, Size: 9, Faces: 3, Cooled: true, Events: []string{"a", "b"}, Slots: slots}, Files: []File{{"n", []byte{0, 255}}}},
		Written{Tally: Tally{ID: record.In("t", 1).At(2), TimestampMillis: 7, Size: 9, Faces: 3, Cooled: true, Events: []string{"a"}, Slots: slots}, Files: 4, Bytes: 5, FirstMillis: 6, Picture: "p"},
		recordEvents{ID: record.In("t", 1).At(2), Lines: []string{"a", "b"}},
	} {
		typ := reflect.TypeOf(want)
		if v := reflect.ValueOf(want); func() bool {
			for i := range v.NumField() {
				if v.Field(i).IsZero() {
					return true
				}
			}
			return false
		}() {
			t.Fatalf("a field of %+v has no value to lose", want)
		}
		var buf bytes.Buffer
		if err := beam.NewElementEncoder(typ).Encode(want, &buf); err != nil {
			t.Fatal(err)
		}
		got, err := beam.NewElementDecoder(typ).Decode(&buf)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v came back as %+v", want, got)
		}
	}
}
