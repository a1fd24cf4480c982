// Package tracedfs is the local disk as a file system of Beam that tells of every call,
// for tests that count calls or end the process at one of them.
package tracedfs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
)

// scheme begins the names of its files; a path follows.
const scheme = "traced://"

// Name is the name of a file or folder of this machine.
func Name(path string) string { return scheme + path }

// Register registers it. It tells of the call before that does anything, by the name of
// its method; of a file that is written, also before Close.
func Register(tell func(call, path string)) {
	filesystem.Register(strings.TrimSuffix(scheme, "://"), func(ctx context.Context) filesystem.Interface {
		return &fileSystem{local.New(ctx).(disk), tell}
	})
}

type disk interface {
	filesystem.Interface
	filesystem.LastModifiedGetter
	filesystem.Remover
	filesystem.Renamer
}

type fileSystem struct {
	disk
	tell func(call, path string)
}

func (f *fileSystem) path(call, name string) string {
	path := strings.TrimPrefix(name, scheme)
	f.tell(call, path)
	return path
}

func (f *fileSystem) List(ctx context.Context, glob string) ([]string, error) {
	names, err := f.disk.List(ctx, f.path("List", glob))
	for i := range names {
		names[i] = scheme + names[i]
	}
	return names, err
}

func (f *fileSystem) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	return f.disk.OpenRead(ctx, f.path("OpenRead", name))
}

// OpenWrite wants the file's folder to be there, as HDFS does.
func (f *fileSystem) OpenWrite(ctx context.Context, name string) (io.WriteCloser, error) {
	path := f.path("OpenWrite", name)
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, err
	}
	w, err := f.disk.OpenWrite(ctx, path)
	return &writer{w, func() { f.tell("Close", path) }}, err
}

type writer struct {
	io.WriteCloser
	tell func()
}

func (w *writer) Close() error {
	w.tell()
	return w.WriteCloser.Close()
}

func (f *fileSystem) Size(ctx context.Context, name string) (int64, error) {
	return f.disk.Size(ctx, f.path("Size", name))
}

func (f *fileSystem) LastModified(ctx context.Context, name string) (time.Time, error) {
	return f.disk.LastModified(ctx, f.path("LastModified", name))
}

func (f *fileSystem) Remove(ctx context.Context, name string) error {
	return f.disk.Remove(ctx, f.path("Remove", name))
}

func (f *fileSystem) Rename(ctx context.Context, from, to string) error {
	return f.disk.Rename(ctx, strings.TrimPrefix(from, scheme), f.path("Rename", to))
}

// MkdirAll and what follows are what transforms/hdfs has beside Beam's interfaces.
func (f *fileSystem) MkdirAll(_ context.Context, name string) error {
	return os.MkdirAll(f.path("MkdirAll", name), 0o755)
}

func (f *fileSystem) CreateNew(_ context.Context, name string, data []byte) error {
	file, err := os.OpenFile(f.path("CreateNew", name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func (f *fileSystem) RemoveAll(_ context.Context, name string) error {
	return os.RemoveAll(f.path("RemoveAll", name))
}

// Walk tells of itself alone.
func (f *fileSystem) Walk(_ context.Context, root string, visit func(name string, size int64, modified time.Time) error) error {
	return filepath.WalkDir(f.path("Walk", root), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return visit(scheme+path, info.Size(), info.ModTime())
	})
}
