// Package store keeps files under one root folder, in HDFS, on a local disk or
// in memory, through Beam's file systems. A file appears under its final name
// in one step and whole, and the same record gives the same name and the same
// bytes: whatever is tried again, each picture is there exactly once.
package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local" // paths without a scheme
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/memfs" // memfs://
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	_ "facestream/transforms/hdfs" // hdfs://
)

func init() {
	register.DoFn2x2[context.Context, Entry, Written, error](&writeFn{})
	beam.RegisterType(reflect.TypeFor[Entry]())
	beam.RegisterType(reflect.TypeFor[Written]())
}

const (
	// tmpDir holds files that are not complete, below the root.
	tmpDir = "_tmp"

	dirMode = 0o755

	// checkTimeout is for Check, which a person waits for.
	checkTimeout = 10 * time.Second
)

// Config says where files are kept.
type Config struct {
	// Root is the folder, as a name for Beam's file systems:
	// hdfs://user@host:port/path, memfs://path, or a path of the local disk.
	// Required.
	Root string
}

// Write stores the files of PCollection<Entry> and returns a
// PCollection<Written> with one element for each Entry, once all its files have
// their final names. A file of that name is replaced. An error names the record
// and the file, and fails the bundle.
func Write(s beam.Scope, cfg Config, entries beam.PCollection) beam.PCollection {
	s = s.Scope("store.Write")
	filesystem.ValidateScheme(cfg.Root)
	return beam.ParDo(s, &writeFn{Root: cfg.Root}, entries)
}

type writeFn struct {
	Root string

	fs filesystem.Interface
}

func (fn *writeFn) StartBundle(ctx context.Context) error {
	var err error
	fn.fs, err = filesystem.New(ctx, fn.Root)
	return err
}

func (fn *writeFn) ProcessElement(ctx context.Context, e Entry) (Written, error) {
	w := Written{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Faces: e.Faces}
	for _, f := range e.Files {
		if err := put(ctx, fn.fs, fn.Root, f.Name, f.Data); err != nil {
			return Written{}, fmt.Errorf("topic %s, partition %d, offset %d: %w", e.Topic, e.Partition, e.Offset, err)
		}
		if w.Files == 0 {
			w.FirstMillis = time.Now().UnixMilli()
		}
		w.Files++
		w.Bytes += int64(len(f.Data))
	}
	return w, nil
}

func (fn *writeFn) FinishBundle() error {
	return fn.fs.Close()
}

// LastWrite returns a time that changes whenever a file is stored below root, by
// whichever process; zero before the first.
func LastWrite(ctx context.Context, root string) (time.Time, error) {
	fsys, err := filesystem.New(ctx, root)
	if err != nil {
		return time.Time{}, err
	}
	defer fsys.Close()
	getter, ok := fsys.(filesystem.LastModifiedGetter)
	if !ok {
		return time.Time{}, fmt.Errorf("looking at %s: this file system does not tell when it was written to", root)
	}
	at, err := getter.LastModified(ctx, join(root, tmpDir)) // every file passes through it
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	return at, err
}

// puts is held for reading by every put of this process, so that CleanTmp can
// wait for those that a cancelled job has under way.
var puts sync.RWMutex

// put stores one file below root: it writes a temporary file of a name that no
// other attempt has, and renames it. After an error no temporary file is left,
// as far as the file system lets us remove it.
func put(ctx context.Context, fsys filesystem.Interface, root, name string, data []byte) error {
	puts.RLock()
	defer puts.RUnlock()
	final := join(root, name)
	tmp := join(root, path.Join(tmpDir, rand.Text()))
	err := ctx.Err() // not every file system looks
	if err == nil {
		err = inFolder(ctx, fsys, tmp, func() error { return filesystem.Write(ctx, fsys, tmp, data) })
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

// inFolder does something to a file, and once more with the file's folder made
// if that is what was missing: folders cost no call for each file, and may go
// at any time.
func inFolder(ctx context.Context, fsys filesystem.Interface, file string, do func() error) error {
	err := do()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mkdirAll(ctx, fsys, file[:strings.LastIndex(file, "/")]); err != nil {
		return err
	}
	return do()
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

func remove(ctx context.Context, fsys filesystem.Interface, name string) error {
	r, ok := fsys.(filesystem.Remover)
	if !ok {
		return fmt.Errorf("removing %s: this file system cannot remove files", name)
	}
	return r.Remove(ctx, name)
}

// join puts a name below root.
func join(root, name string) string {
	if strings.HasSuffix(root, "/") {
		return root + name
	}
	return root + "/" + name
}

// Check makes the root folder if it is missing, and writes, reads and removes a
// small file there. Call it before a run: its error names the folder and the
// user and says what would be right.
func Check(ctx context.Context, root string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := check(ctx, root); err != nil {
		return fmt.Errorf("checking that %s can be written: %w%s", root, err, advice(err))
	}
	return CleanTmp(ctx, root)
}

func check(ctx context.Context, root string) error {
	fsys, err := filesystem.New(ctx, root)
	if err != nil {
		return err
	}
	defer fsys.Close()
	if err := mkdirAll(ctx, fsys, root); err != nil {
		return err
	}
	name := path.Join(tmpDir, "check-"+rand.Text())
	want := []byte(name)
	if err := put(ctx, fsys, root, name, want); err != nil {
		return err
	}
	got, err := filesystem.Read(ctx, fsys, join(root, name))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s holds %q, written was %q", join(root, name), got, want)
	}
	return errors.Join(err, remove(ctx, fsys, join(root, name)))
}

// advice says what to do about an error of Check.
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

// CleanTmp removes the folder of temporary files if it is empty, as it is when
// no other run is writing and none was killed. It first waits for the files
// that this process is writing.
func CleanTmp(ctx context.Context, root string) error {
	puts.Lock()
	defer puts.Unlock()
	fsys, err := filesystem.New(ctx, root)
	if err != nil {
		return err
	}
	defer fsys.Close()
	err = remove(ctx, fsys, join(root, tmpDir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil
	}
	return err
}
