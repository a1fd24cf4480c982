package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/testkit"
)

func TestCheck(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		left := func(names ...string) {
			t.Helper()
			for _, name := range names {
				if left, err := open(t, root).List(t.Context(), name); err != nil || len(left) > 0 {
					t.Errorf("Check left %v, %v", left, err)
				}
			}
		}
		check := func(root string) {
			t.Helper()
			testkit.Must(t, Check(t.Context(), testConfig(root)))
		}
		check(root)
		check(root)
		left(root)
		// What is there stays.
		store(t, root, testName, "kept")
		check(join(root, "deep/down"))
		check(root)
		mustHold(t, root, map[string]string{testName: "kept"})
		left(join(root, "deep"))
	})
}

func TestCheckRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	testkit.WriteFile(t, file, nil)
	for root, want := range map[string]string{
		file:                      "this is a file",
		filepath.Join(file, "in"): "this is a file",
		"nosuch://x/y":            "nosuch",
		"hdfs:///faces":           "hdfs://user@host:port/path",
		"hdfs://bob@namenode/x":   "namenode:8020",
	} {
		if err := Check(t.Context(), testConfig(root)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), root) {
			t.Errorf("Check(%s) = %v, want an error with %q", root, err, want)
		}
	}
}

// Case 17: no permission is an error with path and user.
func TestHDFSPermission(t *testing.T) {
	root := strings.Replace(hdfsRoot(t), testUser+"@", "mallory@", 1)
	for what, err := range map[string]error{
		"put":   put(t.Context(), open(t, root), testConfig(root), testName, []byte("x")),
		"Check": Check(t.Context(), testConfig(root)),
	} {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), root) {
			t.Errorf("%s as another user: %v, want fs.ErrPermission and the name %s", what, err, root)
		}
	}
}

// hdfsFS is what HDFS can do that a check needs.
type hdfsFS interface {
	filesystem.Interface
	filesystem.LastModifiedGetter
	filesystem.Remover
	filesystem.Renamer
	MkdirAll(ctx context.Context, dir string) error
}

// interrupted is HDFS, where reading a file interrupts the reader.
type interrupted struct {
	hdfsFS
	interrupt context.CancelFunc
}

func (f interrupted) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	f.interrupt()
	return f.hdfsFS.OpenRead(ctx, name)
}

// A run may be refused, or interrupted by Ctrl-C, while the check's file is there.
func TestCheckInterrupted(t *testing.T) {
	root := hdfsRoot(t)
	above := strings.TrimSuffix(root, "/root")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	if err := check(ctx, interrupted{open(t, root).(hdfsFS), interrupt}, testConfig(root)); !errors.Is(err, context.Canceled) {
		t.Errorf("the check says %v, want context.Canceled", err)
	}
	if left, err := open(t, above).List(t.Context(), above+"/*"); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}

// What another user's dead run has left cannot be removed, and is no reason not
// to run.
func TestCheckWithWhatOthersLeft(t *testing.T) {
	root := hdfsRoot(t)
	admin, dir := superuser(t, hdfsAddress(t)), hdfsPath(root)
	// Older than any attempt: nobody but the superuser may remove it.
	old, long := dir+"/"+tmpDir+"/dead-run", time.Now().Add(-2*TmpAge)
	for _, err := range []error{
		admin.MkdirAll(old, dirMode),
		admin.Chown(dir, testUser, testUser),
		admin.Chown(dir+"/"+tmpDir, testUser, testUser),
		admin.CreateEmptyFile(old + "/orphan"),
		admin.Chtimes(old+"/orphan", long, long),
	} {
		testkit.Must(t, err)
	}
	cfg := testConfig(root)
	if err := Clean(t.Context(), cfg); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("cleaning says %v, want that it may not", err)
	}
	if err := Check(t.Context(), cfg); err != nil {
		t.Error(err)
	}
	mustHold(t, root, map[string]string{tmpDir + "/dead-run/orphan": ""})
}

// Space is told of a folder that is not there yet, and of the nearest one above
// it that is.
func TestRoomFor(t *testing.T) {
	for _, d := range drivers[1:] {
		t.Run(d.name, func(t *testing.T) {
			root := d.root(t)
			s, err := RoomFor(t.Context(), testConfig(join(root, "not/yet")))
			if err != nil || s.Free <= 0 || s.Free > s.Capacity || !strings.HasSuffix(root, s.Folder+"/root") {
				t.Errorf("%+v, %v, want some free bytes of the folder above %s", s, err, root)
			}
		})
	}
	if _, err := RoomFor(t.Context(), testConfig(memoryRoot(t))); err == nil {
		t.Error("the memory tells how much room there is")
	}
}
