package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// write makes a file below root, as a dead attempt leaves it.
func write(t *testing.T, root, name string) {
	t.Helper()
	fsys := open(t, root)
	file := join(root, name)
	err := inFolder(context.Background(), fsys, file, func() error {
		return filesystem.Write(context.Background(), fsys, file, []byte("half a pic"))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Case 18: what a dead attempt left is removed when it is old enough, and never
// before.
func TestCleanGoesByAge(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := testConfig(root)
		const orphan = tmpDir + "/dead-run/orphan"
		write(t, root, orphan)
		if err := Clean(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		mustHold(t, root, map[string]string{orphan: "half a pic"})
		if err := clean(context.Background(), cfg, -time.Minute); err != nil { // as if it were later
			t.Fatal(err)
		}
		mustHold(t, root, nil)
		if left, err := open(t, root).List(context.Background(), join(root, "*")); err != nil || len(left) > 0 {
			t.Errorf("left are %v (%v)", left, err)
		}
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
		if err := End(context.Background(), cfg); err != nil {
			t.Fatal(err)
		}
		mustHold(t, root, map[string]string{other: "half a pic"})
		// With a root in which nothing was ever written, too.
		if err := End(context.Background(), testConfig(root+"-new")); err != nil {
			t.Error(err)
		}
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
						if err := End(context.Background(), Config{Root: root, Run: rand.Text()}); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for i := range 30 {
			cfg := Config{Root: root, Run: "run-" + strconv.Itoa(i)}
			if err := put(context.Background(), open(t, root), cfg, testName, []byte("x")); err != nil {
				t.Error(err)
			}
			if err := End(context.Background(), cfg); err != nil {
				t.Error(err)
			}
		}
		close(stop)
		others.Wait()
		mustHold(t, root, map[string]string{testName: "x"})
	})
}

// What another user's dead run has left cannot be removed, and is no reason not
// to run.
func TestCheckWithWhatOthersLeft(t *testing.T) {
	root := hdfsRoot(t)
	address := hdfsAddress(t)
	_, dir, _ := strings.Cut(strings.TrimPrefix(root, "hdfs://"), "/")
	admin := superuser(t, address)
	// Older than any attempt: nobody but the superuser may remove it.
	old := "/" + dir + "/" + tmpDir + "/dead-run"
	if err := admin.MkdirAll(old, dirMode); err != nil {
		t.Fatal(err)
	}
	if err := admin.Chown("/"+dir, testUser, testUser); err != nil {
		t.Fatal(err)
	}
	if err := admin.Chown("/"+dir+"/"+tmpDir, testUser, testUser); err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateEmptyFile(old + "/orphan"); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * TmpAge)
	if err := admin.Chtimes(old+"/orphan", long, long); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(root)
	if err := Clean(context.Background(), cfg); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("cleaning says %v, want that it may not", err)
	}
	if err := Check(context.Background(), cfg); err != nil {
		t.Error(err)
	}
	mustHold(t, root, map[string]string{tmpDir + "/dead-run/orphan": ""})
}

func TestLastWriteTellsProgress(t *testing.T) {
	for _, d := range drivers[1:] { // memory has no folders
		t.Run(d.name, func(t *testing.T) {
			cfg := testConfig(d.root(t))
			if at, err := LastWrite(context.Background(), cfg); err != nil || !at.IsZero() {
				t.Errorf("before the first file: %v (%v)", at, err)
			}
			var last time.Time
			for range 3 {
				for deadline := time.Now().Add(time.Minute); ; { // a file system's clock may be coarse
					if err := put(context.Background(), open(t, cfg.Root), cfg, testName, []byte("x")); err != nil {
						t.Fatal(err)
					}
					at, err := LastWrite(context.Background(), cfg)
					if err != nil {
						t.Fatal(err)
					}
					if at.After(last) {
						last = at
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("files were stored for a minute, and the last write is said to be %v still", last)
					}
				}
			}
			// Another run's files are no progress of this one.
			other := cfg
			other.Run = "other-run"
			if err := put(context.Background(), open(t, cfg.Root), other, testName, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if at, err := LastWrite(context.Background(), cfg); err != nil || !at.Equal(last) {
				t.Errorf("after another run's file: %v (%v), want %v", at, err, last)
			}
		})
	}
}

func TestWriteSuccess(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		for _, about := range []string{"first", "second"} {
			if err := WriteSuccess(context.Background(), testConfig(root), about); err != nil {
				t.Fatal(err)
			}
			got := files(t, root)
			if len(got) != 1 || strings.TrimSpace(got["_SUCCESS"]) != `"`+about+`"` {
				t.Errorf("the root holds %q", got)
			}
		}
	})
}
