package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testcoder"
	"facestream/transforms/store/table"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

const testName = "cam/2026/01/02/03/t+0+00000000000000000042.jpg"

func picture(size int) []byte {
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(data)
	return data
}

// Attempts at the same time, and again, give every file once and whole, of whatever
// size. Case 9: whatever a camera calls itself, its files are below the root.
func TestPut(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		want := map[string]string{}
		for i, size := range []int{0, 1, 60_000, 65_536, 3_000_000} {
			want[nameOf("cam", testMillis, "t", 1, int64(i)).Path()] = string(picture(size))
		}
		for i := range 50 {
			want[nameOf("cam", testMillis, "t", 0, int64(i)).Path()] = strings.Repeat(fmt.Sprint(i), 1000)
		}
		for i, camera := range []string{"../../etc", strings.Repeat("c", 300), "a\x00b", "a\nb", "é", "a+b", "", "a:b", "*", "50%", "_tmp", ".snapshot"} {
			want[nameOf(camera, testMillis, "t", 0, int64(i)).Path()] = camera
		}
		for name := range want {
			store(t, root, name, "an earlier attempt")
		}
		var attempts sync.WaitGroup
		for range 3 {
			attempts.Go(func() {
				for name, data := range want {
					if err := testConfig(root).put(t.Context(), name, []byte(data)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		attempts.Wait()
		mustHold(t, root, want)
	})
}

func TestPutCancelled(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		testkit.Is(t, "put", testConfig(root).put(ctx, testName, []byte("x")), context.Canceled)
		mustHold(t, root, nil)
	})
}

// A rename that cannot be done must not leave the temporary file.
func TestPutOverFolder(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		inside := testName + "/inside"
		store(t, root, inside, "x")
		testkit.Says(t, "storing over a folder", testConfig(root).put(t.Context(), testName, []byte("y")), root+"/"+testName)
		mustHold(t, root, map[string]string{inside: "x"})
	})
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
	testkit.WriteFile(t, root, nil)
	fn := &writeFn{Config: testConfig(root)}
	emit := func(w Written) { t.Errorf("emitted %+v", w) }
	fn.StartBundle(emit)
	err := fn.ProcessElement(t.Context(), Entry{Tally: Tally{ID: record.In("frames", 3).At(42)}, Files: []File{{Name: testName}}}, emit)
	if err == nil { // it may come later
		err = fn.FinishBundle(emit)
	}
	testkit.Says(t, "an entry", err, "offset 42 of partition 3 of topic frames", root, testName)
}

func TestElementsPassTheirCoder(t *testing.T) {
	slots := []Slot{{"door", SlotCooldown, 7, []Kept{{3, boxes(1, 2, 3, 4, 5, 6, 7, 8)}}}}
	testcoder.MustPass(t,
		Entry{Tally: Tally{ID: record.In("t", 1).At(2), TimestampMillis: 4, Size: 9, Rejected: "r", Faces: 3, Cooled: true, Events: []string{"a", "b"}, Slots: slots}, Files: []File{{"n", []byte{0, 255}}}, Row: &table.Row{Camera: "c", Picture: []byte{0, 255}, Faces: []table.Face{{Landmarks: &record.Landmarks{NoseTip: record.Point{X: 1}}}}}},
		Written{Tally: Tally{ID: record.In("t", 1).At(2), TimestampMillis: 7, Size: 9, Rejected: "r", Faces: 3, Cooled: true, Events: []string{"a"}, Slots: slots}, Files: 4, Bytes: 5, FirstMillis: 6, Picture: "p", Tables: []Table{{"f", 1, 2}}})
}
