package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/internal/testkit/tracedfs"
)

func TestCheck(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		check := func(root string) {
			t.Helper()
			testkit.Must(t, Check(t.Context(), testConfig(root)))
		}
		check(root)
		check(root)
		mustBeEmpty(t, root)
		// What is there stays.
		store(t, root, testName, "kept")
		check(root + "/deep/down")
		check(root)
		mustHold(t, root, map[string]string{testName: "kept"})
		mustBeEmpty(t, root+"/deep")
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
		testkit.Says(t, "Check", Check(t.Context(), testConfig(root)), want, root)
	}
}

// Case 17: no permission is an error with path and user.
func TestHDFSPermission(t *testing.T) {
	root := strings.Replace(hdfsRoot(t), testUser+"@", "mallory@", 1)
	for what, err := range map[string]error{
		"put":   testConfig(root).put(t.Context(), testName, []byte("x")),
		"Check": Check(t.Context(), testConfig(root)),
	} {
		testkit.Is(t, what, err, fs.ErrPermission)
		testkit.Says(t, what, err, root)
	}
}

// A run may be refused, or interrupted by Ctrl-C, while the check's file is there.
func TestCheckInterrupted(t *testing.T) {
	above := t.TempDir()
	ctx, interrupt := context.WithCancel(t.Context())
	tracedfs.Register(func(call, _ string) {
		if call == "OpenRead" {
			interrupt()
		}
	})
	if err := Check(ctx, testConfig(tracedfs.Name(above+"/root"))); !errors.Is(err, context.Canceled) || ctx.Err() == nil {
		t.Errorf("the check says %v, want context.Canceled", err)
	}
	mustBeEmpty(t, above)
}

// What another user's dead run has left cannot be removed, and is no reason not
// to run.
func TestCheckWithWhatOthersLeft(t *testing.T) {
	root := hdfsRoot(t)
	admin, dir := testservices.DialHDFS(t, hdfsAddress(t), "hdfs"), hdfsPath(root)
	// Older than any attempt: nobody but the superuser may remove it.
	old, long := dir+"/"+tmpDir+"/dead-run", time.Now().Add(-2*TmpAge)
	for _, err := range []error{
		admin.MkdirAll(old, 0o755),
		admin.Chown(dir, testUser, testUser),
		admin.Chown(dir+"/"+tmpDir, testUser, testUser),
		admin.CreateEmptyFile(old + "/orphan"),
		admin.Chtimes(old+"/orphan", long, long),
	} {
		testkit.Must(t, err)
	}
	cfg := testConfig(root)
	testkit.Is(t, "cleaning", Clean(t.Context(), cfg), fs.ErrPermission)
	testkit.Must(t, Check(t.Context(), cfg))
	mustHold(t, root, map[string]string{tmpDir + "/dead-run/orphan": ""})
}

// Space is told of a folder that is not there yet, and of the nearest one above
// it that is.
func TestRoomFor(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		s, err := RoomFor(t.Context(), testConfig(root+"/not/yet"))
		if err != nil || s.Free <= 0 || s.Free > s.Capacity || !strings.HasSuffix(root, s.Folder+"/root") {
			t.Errorf("%+v, %v, want some free bytes of the folder above %s", s, err, root)
		}
	})
}
