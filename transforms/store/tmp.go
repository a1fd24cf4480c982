package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"syscall"
	"time"
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

// tmp is the folder of the run's temporary files, below the root.
func (c Config) tmp() string { return path.Join(tmpDir, c.Run) }

// LastWrite returns a time that changes whenever the run stores a file, from
// whichever process; zero before the first.
func LastWrite(ctx context.Context, cfg Config) (time.Time, error) {
	at, err := cfg.Modified(ctx, cfg.tmp()) // every file passes through it
	return at, ignoreGone(err)
}

// Clean removes temporary files of any run that are older than TmpAge, by the
// file system's own clock, and empty folders that are.
func Clean(ctx context.Context, cfg Config) error { return clean(ctx, cfg, 0) }

// clean is Clean at a time that is so much later.
func clean(ctx context.Context, cfg Config, later time.Duration) error {
	now, err := clock(ctx, cfg)
	if err != nil {
		return err
	}
	now = now.Add(later)
	err = cfg.walk(ctx, tmpDir, func(name string, _ int64, modified time.Time) error {
		if !Dead(name, now.Sub(modified)) {
			return nil
		}
		return cfg.remove(ctx, name)
	})
	if err != nil {
		return err
	}
	return removeEmpty(ctx, cfg, now.Add(-TmpAge))
}

// End removes all temporary files of the run, and those of others that Clean
// would. It first waits for the files that this process is writing. Call it when
// the run's last job has ended.
func End(ctx context.Context, cfg Config) error {
	puts.Lock()
	defer puts.Unlock()
	files, err := cfg.Glob(ctx, cfg.tmp()+"/*")
	if err == nil {
		err = cfg.remove(ctx, files...)
	}
	if err != nil {
		return err
	}
	return Clean(ctx, cfg)
}

// clock returns the time of the file system, which may differ from this
// machine's: that at which a file was written.
func clock(ctx context.Context, cfg Config) (time.Time, error) {
	name := cfg.tmp() + "/clock-" + rand.Text()
	if err := cfg.write(ctx, name, func(io.Writer) error { return nil }); err != nil {
		return time.Time{}, err
	}
	now, err := cfg.Modified(ctx, name)
	return now, errors.Join(err, cfg.remove(ctx, name))
}

// removeEmpty removes empty folders for temporary files: the run's own, and those that
// have not changed since. In a younger one another run may be about to make a file.
func removeEmpty(ctx context.Context, cfg Config, since time.Time) error {
	folders, err := cfg.Glob(ctx, tmpDir+"/*")
	if err != nil {
		return err
	}
	for _, name := range append(folders, tmpDir) {
		if name != cfg.tmp() && name != tmpDir {
			at, err := cfg.Modified(ctx, name)
			if err := ignoreGone(err); err != nil {
				return err
			}
			if at.After(since) {
				continue
			}
		}
		if err := cfg.remove(ctx, name); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}
