// Package disk is the disk of this machine as a file system of Beam that can do what
// transforms/hdfs can.
package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local" // which is for paths without a scheme

	"facestream/transforms/hdfs"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// FileSystem is the disk.
type FileSystem struct{ beam }

// beam is what Beam's own has.
type beam interface {
	filesystem.Interface
	filesystem.LastModifiedGetter
	filesystem.Remover
	filesystem.Renamer
}

// New returns the disk.
func New() FileSystem { return FileSystem{local.New(context.Background()).(beam)} }

// Size returns the bytes of a file. Beam's own leaves the file open.
func (FileSystem) Size(_ context.Context, name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return -1, err
	}
	return info.Size(), nil
}

// MkdirAll makes a folder and those above it.
func (FileSystem) MkdirAll(_ context.Context, dir string) error { return os.MkdirAll(dir, dirMode) }

// RemoveAll removes a folder with all that is in it.
func (FileSystem) RemoveAll(_ context.Context, dir string) error { return os.RemoveAll(dir) }

// CreateNew makes a file where none is; fs.ErrExist if there is one.
func (FileSystem) CreateNew(_ context.Context, name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// WriteFrom makes a file of what content writes. Its folder must be there.
func (FileSystem) WriteFrom(_ context.Context, name string, content func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(content(f), f.Close())
}

// ReadDir returns what is in a folder, sorted.
func (FileSystem) ReadDir(_ context.Context, dir string) (infos []fs.FileInfo, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil {
			infos = append(infos, info)
		} else if !errors.Is(err, fs.ErrNotExist) { // else it was removed meanwhile
			return nil, err
		}
	}
	return infos, err
}

// Space returns the space on the disk of a folder, or of the nearest one above
// it that exists.
func (FileSystem) Space(_ context.Context, folder string) (hdfs.Space, error) {
	var s syscall.Statfs_t
	err := syscall.Statfs(folder, &s)
	for parent := filepath.Dir(folder); errors.Is(err, fs.ErrNotExist) && parent != folder; parent = filepath.Dir(folder) {
		folder = parent
		err = syscall.Statfs(folder, &s)
	}
	if err != nil {
		return hdfs.Space{}, &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	return hdfs.Space{Capacity: int64(s.Blocks) * s.Bsize, Free: int64(s.Bavail) * s.Bsize, Folder: folder}, nil
}
