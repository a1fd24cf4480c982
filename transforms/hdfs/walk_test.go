package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

func TestWalk(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := New(ctx).(*fileSystem)
	root := folder(t, f, hdfsAddress(t))
	for path, data := range map[string]string{"/c": "123", "/a/b/2": "12", "/a/b/1": "1", "/a/z": "", "/b/1": "1"} {
		testkit.Must(t, f.MkdirAll(ctx, root+path[:strings.LastIndex(path, "/")]))
		testkit.Must(t, filesystem.Write(ctx, f, root+path, []byte(data)))
	}
	testkit.Must(t, f.MkdirAll(ctx, root+"/empty"))
	walk := func(root string) (got []string, err error) {
		err = f.Walk(ctx, root, func(name string, size int64, modified time.Time) error {
			if at, err := f.LastModified(ctx, name); err != nil || !modified.Equal(at) {
				t.Errorf("%s was modified at %v, want %v (%v)", name, modified, at, err)
			}
			got = append(got, fmt.Sprint(name, " ", size))
			return nil
		})
		return got, err
	}
	for below, want := range map[string][]string{
		"":       {"/c 3", "/a/z 0", "/a/b/1 1", "/a/b/2 2", "/b/1 1"},
		"/a/b/":  {"/a/b/1 1", "/a/b/2 2"},
		"/c":     {"/c 3"},
		"/empty": nil,
	} {
		got, err := walk(root + below)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], root)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("walking %s: %q, %v, want %q", below, got, err, want)
		}
	}
	if _, err := walk(root + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("walking what is not there: %v", err)
	}

	// A folder that goes while it is walked is no error, nor is that of visit.
	refused := fmt.Errorf("enough: %w", fs.ErrNotExist)
	err := f.Walk(ctx, root, func(name string, _ int64, _ time.Time) error {
		if name == root+"/c" {
			return f.do(ctx, "remove", root+"/a/b", func(c *client, l location) error { return c.RemoveAll(l.path) })
		}
		if name == root+"/b/1" {
			return refused
		}
		return nil
	})
	if err != refused {
		t.Errorf("error is %v, want that of visit", err)
	}
	err = f.Walk(ctx, root, func(string, int64, time.Time) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}
