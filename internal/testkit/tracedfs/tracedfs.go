// Package tracedfs is the local disk as a file system of Beam that tells of every call,
// for tests that count calls or end the process at one of them.
package tracedfs

import (
	"context"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/store/disk"
)

// scheme begins the names of its files; a path follows.
const scheme = "traced://"

// Name is the name of a file or folder of this machine.
func Name(path string) string { return scheme + path }

// Register registers it. It tells of the call before that does anything, by the name of
// its method; of a file that is written, also before it is closed.
func Register(tell func(call, path string)) {
	filesystem.Register(strings.TrimSuffix(scheme, "://"), func(context.Context) filesystem.Interface {
		return &fileSystem{disk.New(), tell}
	})
}

// fileSystem has OpenWrite and Space of the disk, by whose names nobody asks.
type fileSystem struct {
	disk.FileSystem
	tell func(call, path string)
}

func (f *fileSystem) path(call, name string) string {
	path := strings.TrimPrefix(name, scheme)
	f.tell(call, path)
	return path
}

func (f *fileSystem) List(ctx context.Context, glob string) ([]string, error) {
	names, err := f.FileSystem.List(ctx, f.path("List", glob))
	for i := range names {
		names[i] = scheme + names[i]
	}
	return names, err
}

func (f *fileSystem) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	return f.FileSystem.OpenRead(ctx, f.path("OpenRead", name))
}

func (f *fileSystem) WriteFrom(ctx context.Context, name string, content func(io.Writer) error) error {
	path := f.path("WriteFrom", name)
	return f.FileSystem.WriteFrom(ctx, path, func(w io.Writer) error {
		err := content(w)
		f.tell("Close", path)
		return err
	})
}

func (f *fileSystem) Size(ctx context.Context, name string) (int64, error) {
	return f.FileSystem.Size(ctx, f.path("Size", name))
}

func (f *fileSystem) LastModified(ctx context.Context, name string) (time.Time, error) {
	return f.FileSystem.LastModified(ctx, f.path("LastModified", name))
}

func (f *fileSystem) Remove(ctx context.Context, name string) error {
	return f.FileSystem.Remove(ctx, f.path("Remove", name))
}

func (f *fileSystem) Rename(ctx context.Context, from, to string) error {
	return f.FileSystem.Rename(ctx, strings.TrimPrefix(from, scheme), f.path("Rename", to))
}

func (f *fileSystem) MkdirAll(ctx context.Context, name string) error {
	return f.FileSystem.MkdirAll(ctx, f.path("MkdirAll", name))
}

func (f *fileSystem) CreateNew(ctx context.Context, name string, data []byte) error {
	return f.FileSystem.CreateNew(ctx, f.path("CreateNew", name), data)
}

func (f *fileSystem) RemoveAll(ctx context.Context, name string) error {
	return f.FileSystem.RemoveAll(ctx, f.path("RemoveAll", name))
}

func (f *fileSystem) ReadDir(ctx context.Context, dir string) ([]fs.FileInfo, error) {
	return f.FileSystem.ReadDir(ctx, f.path("ReadDir", dir))
}
