package store

import (
	"crypto/rand"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"facestream/internal/testkit"
)

// write makes a file below root, as a dead attempt leaves it.
func write(t *testing.T, root, name string) {
	t.Helper()
	testkit.Must(t, testConfig(root).write(t.Context(), name, func(w io.Writer) error {
		_, err := io.WriteString(w, "half a pic")
		return err
	}))
}

// Case 18: what a dead attempt left is removed when it is old enough, and never
// before.
func TestCleanGoesByAge(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		const orphan, rows = tmpDir + "/dead-run/orphan", tmpDir + "/dead-run/window+1.parquet"
		write(t, root, orphan)
		write(t, root, rows)
		testkit.Must(t, Clean(t.Context(), cfg))
		mustHold(t, root, map[string]string{orphan: "half a pic", rows: "half a pic"})
		testkit.Must(t, clean(t.Context(), cfg, TmpAge+time.Minute))
		mustHold(t, root, map[string]string{rows: "half a pic"})
		testkit.Must(t, clean(t.Context(), cfg, TableAge+time.Minute))
		mustBeEmpty(t, root)
	})
}

// At its end a run removes what is its own, of whatever age, and nothing that
// another run may be writing.
func TestEndRemovesOnlyTheRunsOwn(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		const other = tmpDir + "/other-run/in-use"
		write(t, root, tmpDir+"/"+cfg.Run+"/orphan")
		write(t, root, other)
		testkit.Must(t, End(t.Context(), cfg))
		mustHold(t, root, map[string]string{other: "half a pic"})
		// With a root in which nothing was ever written, too.
		testkit.Must(t, End(t.Context(), testConfig(root+"-new")))
	})
}

// Runs that begin and end all the time do not take the folder from one that is
// about to store its first file.
func TestEndsOfOthersDisturbNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		stop := make(chan struct{})
		var others sync.WaitGroup
		for range 2 {
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if err := End(t.Context(), Config{Root: root, Run: rand.Text()}); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for i := range 30 {
			cfg := Config{Root: root, Run: "run-" + strconv.Itoa(i)}
			testkit.Must(t, cfg.put(t.Context(), testName, []byte("x")))
			testkit.Must(t, End(t.Context(), cfg))
		}
		close(stop)
		others.Wait()
		mustHold(t, root, map[string]string{testName: "x"})
	})
}

func TestLastWriteTellsProgress(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		last := func() time.Time {
			t.Helper()
			at := testkit.Value(LastWrite(t.Context(), cfg))(t)
			return at
		}
		testkit.Equal(t, "before the first file", last(), time.Time{})
		for range 3 {
			before := last()
			testkit.Await(t, "a later time", func() bool { // a file system's clock may be coarse
				store(t, cfg.Root, testName, "x")
				return last().After(before)
			})
		}
		before := last()
		// Another run's files are no progress of this one.
		other := cfg
		other.Run = "other-run"
		testkit.Must(t, other.put(t.Context(), testName, []byte("x")))
		testkit.Equal(t, "after another run's file", last(), before)
	})
}

func TestWriteSuccess(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		for _, about := range []string{"first", "second"} {
			testkit.Must(t, WriteSuccess(t.Context(), testConfig(root), about))
			mustHold(t, root, map[string]string{"_SUCCESS": `"` + about + `"` + "\n"})
		}
	})
}
