package hdfs

import (
	"context"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

func TestVerbs(t *testing.T) {
	ctx := context.Background()
	f := New(ctx).(*fileSystem)
	root := folder(t, f, hdfsAddress(t))
	for _, name := range []string{"/a/1.json", "/a/2.json", "/a/3.txt", "/b/1.json"} {
		testkit.Must(t, f.MkdirAll(ctx, root+name[:2]))
		testkit.Must(t, filesystem.Write(ctx, f, root+name, []byte("12345")))
	}
	for glob, want := range map[string][]string{
		"/a/*.json": {"/a/1.json", "/a/2.json"},
		"/*/1.json": {"/a/1.json", "/b/1.json"},
		"/?":        {"/a", "/b"},
		"/a/1.json": {"/a/1.json"},
		"/a/none":   nil,
		"/none/*":   nil,
		"/*/*/*":    nil,
	} {
		got, err := f.List(ctx, root+glob)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], root)
		}
		testkit.Must(t, err)
		testkit.Equal(t, glob, got, want)
	}

	if all := DataNodes(root); len(all) != 1 || !strings.HasPrefix(all[0], "127.0.0.1:") || len(DataNodes("hdfs://elsewhere:8020/")) > 0 {
		t.Errorf("written to DataNodes at %v, want one at the loopback, and none of another HDFS", all)
	}

	other := strings.Replace(root, testUser, "mallory", 1)
	nested := root + "/none/file"
	for what, test := range map[string]struct {
		err, want error
		path      string
	}{
		"read a folder":            {readAll(f, root+"/a"), syscall.EISDIR, root + "/a"},
		"read what is not there":   {readAll(f, root+"/none"), fs.ErrNotExist, root + "/none"},
		"remove what is not there": {f.Remove(ctx, root+"/none"), fs.ErrNotExist, root + "/none"},
		"remove a full folder":     {f.Remove(ctx, root+"/a"), syscall.ENOTEMPTY, root + "/a"},
		"write without a folder":   {filesystem.Write(ctx, f, nested, []byte("x")), fs.ErrNotExist, nested},
		"write over a folder":      {filesystem.Write(ctx, f, root+"/a", []byte("x")), fs.ErrExist, root + "/a"},
		"write as another":         {filesystem.Write(ctx, f, other+"/x", []byte("x")), fs.ErrPermission, other + "/x"},
		"remove as another":        {f.Remove(ctx, other+"/a/1.json"), fs.ErrPermission, other + "/a/1.json"},
		"rename as another":        {f.Rename(ctx, other+"/a/1.json", other+"/x"), fs.ErrPermission, other + "/a/1.json"},
		"rename into no folder":    {f.Rename(ctx, root+"/a/1.json", nested), fs.ErrNotExist, nested},
	} {
		testkit.Is(t, what, test.err, test.want)
		testkit.Says(t, what, test.err, test.path)
	}
	testkit.Says(t, "another user", f.Rename(ctx, root+"/a/1.json", other+"/b"), "not the same cluster and user")

	testkit.Must(t, filesystem.Write(ctx, f, root+"/a/1.json", nil))
	mustHold(t, f, root+"/a/1.json", "")
}

// The folders above a pattern cost no calls.
func TestListCalls(t *testing.T) {
	f := ownClients(time.Minute, time.Minute)
	calls := count(f)
	root := folder(t, f, hdfsAddress(t))
	for glob, want := range map[string]map[string]int{
		"":     {"getFileInfo": 1},
		"/*":   {"getFileInfo": 1, "getListing": 1},
		"/a/*": {"getFileInfo": 1},
	} {
		calls.take()
		testkit.Value(f.List(t.Context(), root+glob))(t)
		testkit.Equal(t, "the calls for "+glob, calls.take(), want)
	}
}

func readAll(f *fileSystem, name string) error {
	_, err := filesystem.Read(context.Background(), f, name)
	return err
}
