package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/transforms/hdfs"
	"facestream/transforms/store/disk"
)

// fileSystem is what this package needs of one. A file that is written needs its folder.
type fileSystem interface {
	filesystem.Interface
	filesystem.LastModifiedGetter
	filesystem.Remover
	filesystem.Renamer
	MkdirAll(ctx context.Context, dir string) error
	RemoveAll(ctx context.Context, dir string) error
	// CreateNew makes a file where none is; fs.ErrExist if there is one. Others may see it
	// before it holds data.
	CreateNew(ctx context.Context, name string, data []byte) error
	WriteFrom(ctx context.Context, name string, content func(io.Writer) error) error
	ReadDir(ctx context.Context, dir string) ([]fs.FileInfo, error)
	Space(ctx context.Context, name string) (Space, error)
}

// Space is how much room there is for files.
type Space = hdfs.Space

// fs returns the file system of the root. None needs to be closed: what one holds belongs
// to the process.
func (c Config) fs(ctx context.Context) (fileSystem, error) {
	if !strings.Contains(c.Root, "://") {
		return disk.New(), nil
	}
	fsys, err := filesystem.New(ctx, c.Root)
	if err != nil {
		return nil, err
	}
	f, ok := fsys.(fileSystem)
	if !ok {
		return nil, fmt.Errorf("the file system of %s cannot do all that an output needs", c.Root)
	}
	return f, nil
}

// do does something with what has a name below the root.
func (c Config) do(ctx context.Context, name string, call func(fsys fileSystem, path string) error) error {
	fsys, err := c.fs(ctx)
	if err == nil {
		err = ctx.Err() // not every file system checks it
	}
	if err != nil {
		return err
	}
	return call(fsys, c.path(name))
}

func (c Config) path(name string) string { return strings.TrimSuffix(c.Root, "/") + "/" + name }

// Open opens a file below the root for reading.
func (c Config) Open(ctx context.Context, name string) (in io.ReadSeekCloser, err error) {
	if c.NoLinks && !strings.Contains(c.Root, "://") {
		return os.OpenInRoot(c.Root, name)
	}
	err = c.do(ctx, name, func(fsys fileSystem, path string) error {
		r, err := fsys.OpenRead(ctx, path)
		if err == nil {
			in = r.(io.ReadSeekCloser) // all file systems of an output can seek
		}
		return err
	})
	return in, err
}

// Read returns the content of a file below the root.
func (c Config) Read(ctx context.Context, name string) (data []byte, err error) {
	in, err := c.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// Glob returns the names below the root that match a pattern, in order.
func (c Config) Glob(ctx context.Context, glob string) (names []string, err error) {
	err = c.do(ctx, glob, func(fsys fileSystem, path string) (err error) { names, err = fsys.List(ctx, path); return err })
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", c.path(glob), err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], c.path(""))
	}
	slices.Sort(names)
	return names, nil
}

// Size returns the bytes of a file below the root.
func (c Config) Size(ctx context.Context, name string) (n int64, err error) {
	err = c.do(ctx, name, func(fsys fileSystem, path string) (err error) { n, err = fsys.Size(ctx, path); return err })
	return n, err
}

// Modified returns when a file, or something in a folder, was last written.
func (c Config) Modified(ctx context.Context, name string) (at time.Time, err error) {
	err = c.do(ctx, name, func(fsys fileSystem, path string) (err error) { at, err = fsys.LastModified(ctx, path); return err })
	return at, err
}

// remove removes files and empty folders. That one is not there is no error.
func (c Config) remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := c.do(ctx, name, func(fsys fileSystem, path string) error { return ignoreGone(fsys.Remove(ctx, path)) }); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) removeAll(ctx context.Context, name string) error {
	return c.do(ctx, name, func(fsys fileSystem, path string) error { return fsys.RemoveAll(ctx, path) })
}

// rename gives a file or folder another name, in place of a file of that name.
func (c Config) rename(ctx context.Context, from, to string) error {
	return c.inFolder(ctx, to, func(fsys fileSystem, path string) error { return fsys.Rename(ctx, c.path(from), path) })
}

func (c Config) createNew(ctx context.Context, name string, data []byte) error {
	return c.inFolder(ctx, name, func(fsys fileSystem, path string) error { return fsys.CreateNew(ctx, path, data) })
}

// write makes a file, which others may see before it is whole.
func (c Config) write(ctx context.Context, name string, content func(io.Writer) error) error {
	return c.inFolder(ctx, name, func(fsys fileSystem, path string) error { return fsys.WriteFrom(ctx, path, content) })
}

// inFolder is do, and again after making the file's folder if that is missing. So folders
// cost no call for each file, and may disappear at any time: another run that ends removes
// empty ones.
func (c Config) inFolder(ctx context.Context, name string, call func(fsys fileSystem, path string) error) error {
	return c.do(ctx, name, func(fsys fileSystem, path string) error {
		const tries = 3
		err := call(fsys, path)
		for range tries {
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err = fsys.MkdirAll(ctx, path[:strings.LastIndex(path, "/")]); err == nil {
				err = call(fsys, path)
			}
		}
		return err
	})
}

// puts is held for reading by every put of this process, so that End can wait
// for those that a cancelled job has under way.
var puts sync.RWMutex

// put stores one file below the root: it writes a temporary file of a name that no
// other attempt has, and renames it. After an error no temporary file is left,
// as far as the file system lets us remove it.
func (c Config) put(ctx context.Context, name string, data []byte) error {
	_, err := c.putFrom(ctx, name, hdfs.Whole(data))
	return err
}

// putJSON is put of a value as JSON, which marshal makes.
func (c Config) putJSON(ctx context.Context, name string, v any, marshal func(any) ([]byte, error)) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return c.put(ctx, name, append(data, '\n'))
}

func indented(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }

// putFrom is put of what content writes, which may be called again. It returns the file's
// size, and keeps nothing of it in memory.
func (c Config) putFrom(ctx context.Context, name string, content func(io.Writer) error) (size int64, err error) {
	puts.RLock()
	defer puts.RUnlock()
	tmp := path.Join(c.tmp(), rand.Text())
	var written counter
	err = c.write(ctx, tmp, func(w io.Writer) error {
		written = 0
		return content(io.MultiWriter(w, &written))
	})
	if err == nil {
		err = c.rename(ctx, tmp, name)
	}
	if err != nil {
		// Also after the context has ended.
		_ = c.remove(context.WithoutCancel(ctx), tmp)
		return 0, fmt.Errorf("storing %s: %w", c.path(name), err)
	}
	return int64(written), nil
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// ignoreGone returns nil for fs.ErrNotExist, and every other error as it is.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
