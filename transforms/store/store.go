// Package store keeps files under one root folder, in HDFS, on a local disk or
// in memory, through Beam's file systems. A file appears under its final name
// in one step and whole, and the same record gives the same name and the same
// bytes: whatever is tried again, each picture is there exactly once.
package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local" // paths without a scheme
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/memfs" // memfs://

	_ "facestream/transforms/hdfs" // hdfs://
)

const (
	// successFile says that a run has ended as it should.
	successFile = "_SUCCESS"

	dirMode = 0o755
)

// Config says where files are kept.
type Config struct {
	// Root is the folder, as a name for Beam's file systems:
	// hdfs://user@host:port/path, memfs://path, or a path of the local disk.
	// Required.
	Root string
	// Run is the name of the run, one path component that no other run has. Its
	// temporary files are in a folder of this name. Required.
	Run string
	// SegmentBytes is the most that a table of pictures should take. Optional; what a Book
	// gathers is then not bounded.
	SegmentBytes int64
	// HoldEvents has a Book keep the staged events of its windows until Release. Optional.
	HoldEvents bool
}

// with does something in the file system of the root.
func (c Config) with(ctx context.Context, do func(filesystem.Interface) error) error {
	fsys, err := filesystem.New(ctx, c.Root)
	if err != nil {
		return err
	}
	defer fsys.Close()
	return do(fsys)
}

// put stores one file below the root, as the function of that name does.
func (c Config) put(ctx context.Context, name string, data []byte) error {
	return c.with(ctx, func(fsys filesystem.Interface) error { return put(ctx, fsys, c, name, data) })
}

// read returns the content of a file below the root.
func (c Config) read(ctx context.Context, name string) (data []byte, err error) {
	err = c.with(ctx, func(fsys filesystem.Interface) (err error) {
		data, err = filesystem.Read(ctx, fsys, join(c.Root, name))
		return err
	})
	return data, err
}

// list returns the names below the root that match a pattern, in order.
func (c Config) list(ctx context.Context, glob string) (names []string, err error) {
	err = c.with(ctx, func(fsys filesystem.Interface) (err error) {
		names, err = fsys.List(ctx, join(c.Root, glob))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for ledgers: %w", err)
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], join(c.Root, ""))
	}
	slices.Sort(names)
	return names, nil
}

func (c Config) size(ctx context.Context, name string) (n int64, err error) {
	err = c.with(ctx, func(fsys filesystem.Interface) (err error) {
		n, err = fsys.Size(ctx, join(c.Root, name))
		return err
	})
	return n, err
}

// puts is held for reading by every put of this process, so that End can wait
// for those that a cancelled job has under way.
var puts sync.RWMutex

// put stores one file below root: it writes a temporary file of a name that no
// other attempt has, and renames it. After an error no temporary file is left,
// as far as the file system lets us remove it.
func put(ctx context.Context, fsys filesystem.Interface, cfg Config, name string, data []byte) error {
	return putFrom(ctx, fsys, cfg, name, func(tmp string) error { return filesystem.Write(ctx, fsys, tmp, data) })
}

// putFrom is put of a temporary file that write makes, which may be called again.
func putFrom(ctx context.Context, fsys filesystem.Interface, cfg Config, name string, write func(tmp string) error) error {
	puts.RLock()
	defer puts.RUnlock()
	final := join(cfg.Root, name)
	tmp := join(cfg.tmp(), rand.Text())
	err := ctx.Err() // not every file system checks it
	if err == nil {
		err = inFolder(ctx, fsys, tmp, func() error { return write(tmp) })
	}
	if err == nil {
		err = inFolder(ctx, fsys, final, func() error { return filesystem.Rename(ctx, fsys, tmp, final) })
	}
	if err != nil {
		// Also after the context has ended.
		_ = remove(context.WithoutCancel(ctx), fsys, tmp)
		return fmt.Errorf("storing %s: %w", final, err)
	}
	return nil
}

// inFolder does something to a file, and again after making the file's folder if that
// is missing. So folders cost no call for each file, and may disappear at any time:
// another run that ends removes empty ones.
func inFolder(ctx context.Context, fsys filesystem.Interface, file string, do func() error) error {
	const tries = 3
	err := do()
	for range tries {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err = mkdirAll(ctx, fsys, file[:strings.LastIndex(file, "/")]); err == nil {
			err = do()
		}
	}
	return err
}

// mkdirAll makes a folder and those above it, where the file system has
// folders.
func mkdirAll(ctx context.Context, fsys filesystem.Interface, dir string) error {
	if m, ok := fsys.(interface {
		MkdirAll(ctx context.Context, dir string) error
	}); ok {
		return m.MkdirAll(ctx, dir)
	}
	// Beam's local file system makes folders only for files that it opens.
	if !strings.Contains(dir, "://") {
		return os.MkdirAll(dir, dirMode)
	}
	return nil
}

// missing returns which of a folder and the folders above it do not exist, from the
// bottom up.
func missing(ctx context.Context, fsys filesystem.Interface, dir string) ([]string, error) {
	var dirs []string
	for dir != "" && !strings.HasSuffix(dir, "/") { // up to a file system's top
		_, err := lastModified(ctx, fsys, dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return dirs, err
		}
		dirs = append(dirs, dir)
		dir = dir[:max(0, strings.LastIndex(dir, "/"))]
	}
	return dirs, nil
}

func remove(ctx context.Context, fsys filesystem.Interface, name string) error {
	r, ok := fsys.(filesystem.Remover)
	if !ok {
		return fmt.Errorf("removing %s: this file system cannot remove files", name)
	}
	return r.Remove(ctx, name)
}

// lastModified returns when a file, or something in a folder, was last written.
func lastModified(ctx context.Context, fsys filesystem.Interface, name string) (time.Time, error) {
	getter, ok := fsys.(filesystem.LastModifiedGetter)
	if !ok {
		return time.Time{}, fmt.Errorf("looking at %s: this file system does not tell when it was written to", name)
	}
	return getter.LastModified(ctx, name)
}

// Path returns where a file below the root is.
func (c Config) Path(name string) string { return join(c.Root, name) }

func join(root, name string) string {
	if strings.HasSuffix(root, "/") {
		return root + name
	}
	return root + "/" + name
}

// Check writes, reads and removes a small file below the root. It leaves
// nothing, not even a folder that it had to make. Call it before a run: its error
// names the folder and the user and says what would be right.
func Check(ctx context.Context, cfg Config) error {
	err := cfg.with(ctx, func(fsys filesystem.Interface) error { return check(ctx, fsys, cfg) })
	if err != nil {
		return fmt.Errorf("checking that %s can be written: %w%s", cfg.Root, err, advice(err))
	}
	return nil
}

func check(ctx context.Context, fsys filesystem.Interface, cfg Config) error {
	made, err := missing(ctx, fsys, cfg.Root)
	if err != nil {
		return err
	}
	name := path.Join(tmpDir, cfg.Run, "check-"+rand.Text())
	made = append([]string{join(cfg.Root, name), cfg.tmp(), join(cfg.Root, tmpDir)}, made...)
	defer func() {
		// Also after an error, and after the end of ctx. Folders that are not empty stay:
		// somebody else uses them.
		for _, dir := range made {
			_ = remove(context.WithoutCancel(ctx), fsys, dir)
		}
	}()
	if err := mkdirAll(ctx, fsys, cfg.Root); err != nil {
		return err
	}
	want := []byte(name)
	if err := put(ctx, fsys, cfg, name, want); err != nil {
		return err
	}
	got, err := filesystem.Read(ctx, fsys, join(cfg.Root, name))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s holds %q, written was %q", join(cfg.Root, name), got, want)
	}
	return errors.Join(err, remove(ctx, fsys, join(cfg.Root, name)))
}

// advice returns what to do about an error of Check.
func advice(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return " (choose a folder this user may write to, or have the folder's owner make one and give it to this user)"
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR):
		return " (choose a folder, this is a file or is below one)"
	case errors.Is(err, context.DeadlineExceeded):
		return " (is the file system running, and is this its address?)"
	}
	return ""
}

// WriteSuccess stores a description of a run that has ended as it should, as JSON in
// <root>/_SUCCESS, in place of an earlier run's.
func WriteSuccess(ctx context.Context, cfg Config, about any) error {
	data, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	return cfg.put(ctx, successFile, append(data, '\n'))
}
