package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/hdfs"
)

// Space is how much room there is for files.
type Space = hdfs.Space

// RoomFor returns how much room there is below the root, which need not be there
// yet. It changes nothing.
func RoomFor(ctx context.Context, cfg Config) (Space, error) {
	fsys, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return Space{}, err
	}
	defer fsys.Close()
	var s Space
	if m, ok := fsys.(interface {
		Space(ctx context.Context, name string) (Space, error)
	}); ok {
		s, err = m.Space(ctx, cfg.Root)
	} else if !strings.Contains(cfg.Root, "://") {
		s, err = localSpace(cfg.Root)
	} else {
		err = errors.New("this file system does not tell it")
	}
	if err != nil {
		return Space{}, fmt.Errorf("asking how much room there is in %s: %w", cfg.Root, err)
	}
	return s, nil
}

// localSpace returns the space on the disk of a folder, or of the nearest one above
// it that exists.
func localSpace(folder string) (Space, error) {
	for {
		var s syscall.Statfs_t
		err := syscall.Statfs(folder, &s)
		if parent := path.Dir(folder); errors.Is(err, fs.ErrNotExist) && parent != folder {
			folder = parent
			continue
		}
		if err != nil {
			return Space{}, &os.PathError{Op: "statfs", Path: folder, Err: err}
		}
		return Space{Capacity: int64(s.Blocks) * s.Bsize, Free: int64(s.Bavail) * s.Bsize, Folder: folder}, nil
	}
}
