package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// tmpDir holds files that are not complete, below the root: a folder for each
// run.
const tmpDir = "_tmp"

// TmpAge is the age from which on no attempt uses a temporary file any more. A file is
// in use from its creation to its renaming, and each of the few calls in between ends
// soon after the file system's budget of one and a half minutes.
const TmpAge = 15 * time.Minute

// TableAge is TmpAge for tables, which are in use until their window ends.
const TableAge = 24 * time.Hour

// Dead reports whether no attempt uses a temporary file of this name and age any more.
func Dead(name string, age time.Duration) bool {
	return age >= TableAge || age >= TmpAge && path.Ext(name) != tableExtension
}

// UniqueName is the name of a run or of a window. Names sort by time.
func UniqueName(t time.Time) string {
	id := make([]byte, 4)
	_, _ = rand.Read(id) // it never fails
	return t.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(id)
}

// tmp is the folder of the run's temporary files.
func (c Config) tmp() string { return join(c.Root, path.Join(tmpDir, c.Run)) }

// LastWrite returns a time that changes whenever the run stores a file, from
// whichever process; zero before the first.
func LastWrite(ctx context.Context, cfg Config) (at time.Time, err error) {
	err = cfg.with(ctx, func(fsys filesystem.Interface) (err error) {
		at, err = lastModified(ctx, fsys, cfg.tmp()) // every file passes through it
		return ignoreGone(err)
	})
	return at, err
}

// Clean removes temporary files of any run that are older than TmpAge, by the
// file system's own clock, and empty folders that are.
func Clean(ctx context.Context, cfg Config) error {
	return cfg.with(ctx, func(fsys filesystem.Interface) error { return clean(ctx, fsys, cfg, 0) })
}

// clean is Clean at a time that is so much later.
func clean(ctx context.Context, fsys filesystem.Interface, cfg Config, later time.Duration) error {
	now, err := clock(ctx, fsys, cfg)
	if err != nil {
		return err
	}
	now = now.Add(later)
	files, err := fsys.List(ctx, join(cfg.Root, path.Join(tmpDir, "*", "*")))
	if err != nil {
		return err
	}
	for _, name := range files {
		at, err := lastModified(ctx, fsys, name)
		if err == nil && Dead(name, now.Sub(at)) {
			err = remove(ctx, fsys, name)
		}
		if err := ignoreGone(err); err != nil {
			return err
		}
	}
	return removeEmpty(ctx, fsys, cfg, now.Add(-TmpAge))
}

// End removes all temporary files of the run, and those of others that Clean
// would. It first waits for the files that this process is writing. Call it when
// the run's last job has ended.
func End(ctx context.Context, cfg Config) error {
	puts.Lock()
	defer puts.Unlock()
	return cfg.with(ctx, func(fsys filesystem.Interface) error {
		files, err := fsys.List(ctx, join(cfg.tmp(), "*"))
		if err != nil {
			return err
		}
		for _, name := range files {
			if err := ignoreGone(remove(ctx, fsys, name)); err != nil {
				return err
			}
		}
		return clean(ctx, fsys, cfg, 0)
	})
}

// clock returns the time of the file system, which may differ from this
// machine's: that at which a file was written.
func clock(ctx context.Context, fsys filesystem.Interface, cfg Config) (time.Time, error) {
	name := join(cfg.tmp(), "clock-"+rand.Text())
	err := inFolder(ctx, fsys, name, func() error { return filesystem.Write(ctx, fsys, name, nil) })
	if err != nil {
		return time.Time{}, err
	}
	now, err := lastModified(ctx, fsys, name)
	return now, errors.Join(err, remove(ctx, fsys, name))
}

// removeEmpty removes empty folders for temporary files: the run's own, and those that
// have not changed since. In a younger one another run may be about to make a file.
func removeEmpty(ctx context.Context, fsys filesystem.Interface, cfg Config, since time.Time) error {
	folders, err := fsys.List(ctx, join(cfg.Root, path.Join(tmpDir, "*")))
	if err != nil {
		return err
	}
	for _, name := range append(folders, join(cfg.Root, tmpDir)) {
		if path.Base(name) != cfg.Run && path.Base(name) != tmpDir {
			at, err := lastModified(ctx, fsys, name)
			if err := ignoreGone(err); err != nil {
				return err
			}
			if at.After(since) {
				continue
			}
		}
		if err := ignoreGone(remove(ctx, fsys, name)); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// ignoreGone returns nil for fs.ErrNotExist, and every other error as it is.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
