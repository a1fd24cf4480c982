package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

// Kind is what a file below the root is.
type Kind int

const (
	KindUnknown   Kind = iota // nothing that this package gives a name to
	KindPicture               // of Name.Path
	KindAnnotated             // of Name.AnnotatedPath
	KindFace                  // of Name.FacePath
	KindReject                // of RejectPath
	KindKept                  // of KeptPath
	KindLedger                // of a window that counts
	KindEvents                // of KeepEvents
	KindLatest                // of KeepLatest
	KindSuccess               // of WriteSuccess
	KindTemporary             // not complete, or not to be kept
)

// KindOf says what a file is by its name, which is relative to the root, and
// which record it is about, as ParsePath and ParseRejectPath do. Of other kinds
// than these two know, the Name is empty.
func KindOf(name string) (Kind, Name) {
	folder, rest, _ := strings.Cut(name, "/")
	switch folder {
	case tmpDir:
		return KindTemporary, Name{}
	case successFile:
		if rest == "" {
			return KindSuccess, Name{}
		}
	case latestFile:
		if rest == "" {
			return KindLatest, Name{}
		}
	case eventsFolder:
		if window := strings.TrimSuffix(path.Base(rest), eventsExtension); name == eventsPath(window) {
			return KindEvents, Name{}
		}
	case ledgerFolder:
		if strings.HasSuffix(rest, ledgerExtension) && !strings.Contains(rest, "/") {
			return KindLedger, Name{}
		}
	case rejectFolder:
		n, kept, err := ParseRejectPath(name)
		switch {
		case err != nil:
		case kept:
			return KindKept, n
		default:
			return KindReject, n
		}
	default:
		if n, kind, err := ParsePath(name); err == nil {
			return kind, n
		}
	}
	return KindUnknown, Name{}
}

// List calls visit for every file below the root, with its name relative to the
// root. What is stored or removed meanwhile is visited or not. A root that is
// not there is fs.ErrNotExist.
func List(ctx context.Context, cfg Config, visit func(name string, size int64, modified time.Time) error) error {
	fsys, err := filesystem.New(ctx, cfg.Root)
	if err != nil {
		return err
	}
	defer fsys.Close()
	if w, ok := fsys.(interface {
		Walk(ctx context.Context, root string, visit func(name string, size int64, modified time.Time) error) error
	}); ok {
		err = w.Walk(ctx, cfg.Root, func(name string, size int64, modified time.Time) error {
			below, ok := strings.CutPrefix(name, join(cfg.Root, ""))
			if !ok { // the root is a file
				return fmt.Errorf("%s is not below it", name)
			}
			return visit(below, size, modified)
		})
	} else if !strings.Contains(cfg.Root, "://") {
		err = listLocal(ctx, cfg.Root, visit)
	} else {
		err = errors.New("this file system cannot list what is in folders of folders")
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", cfg.Root, err)
	}
	return nil
}

func listLocal(ctx context.Context, root string, visit func(name string, size int64, modified time.Time) error) error {
	const top = "."
	return fs.WalkDir(os.DirFS(root), top, func(name string, d fs.DirEntry, err error) error {
		if name != top {
			err = ignoreGone(err)
		}
		if err != nil || d.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		return visit(name, info.Size(), info.ModTime())
	})
}
