package store

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"time"

	"facestream/internal/record"
)

// Kind is what a file below the root is.
type Kind int

const (
	KindUnknown   Kind = iota // nothing that this package gives a name to
	KindPicture               // of Name.Path
	KindAnnotated             // of Name.AnnotatedPath
	KindFace                  // of Name.FacePath
	KindReject                // of Name.RejectPath
	KindKept                  // of Name.KeptPath
	KindLedger                // of a window that counts, or of an hour
	KindStaged                // events and tables that are not published yet
	KindEvents                // events that are
	KindTable                 // pictures as rows, of WriteRows and Book.Gather
	KindLatest                // of KeepLatest
	KindSuccess               // of WriteSuccess
	KindLease                 // of Acquire
	KindTemporary             // not complete, or not to be kept
	KindPurged                // of Purge: what was purged, or is about to go
)

// tableName is a name that WriteRows gives. Other programs' tables there would be read with
// ours, and their rows counted.
var tableName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}(\` + tableMark + `\w+)?\` + tableExtension + `$`)

// KindOf says what a file is by its name, which is relative to the root, and
// which record it is about, as parsePath does. Of other kinds, the ID is empty.
func KindOf(name string) (Kind, record.ID) {
	folder, rest, below := strings.Cut(name, "/")
	kind := KindUnknown
	switch {
	case folder == tmpDir:
		kind = KindTemporary
	case folder == purgedFolder:
		kind = KindPurged
	case name == successFile:
		kind = KindSuccess
	case name == latestFile || name == latestAbout:
		kind = KindLatest
	case folder == eventsFolder:
		if name == eventsPath(strings.TrimSuffix(path.Base(rest), eventsExtension)) {
			kind = KindEvents
		}
	case folder == tableFolder:
		if _, dated := (Table{File: name}).Hour(); (dated || path.Dir(rest) == undatedFolder) && tableName.MatchString(path.Base(rest)) {
			kind = KindTable
		}
	case folder == leaseFolder:
		if strings.HasSuffix(rest, leaseExtension) && !strings.Contains(rest, "/") {
			kind = KindLease
		}
	case folder == ledgerFolder && below && strings.Count(rest, "/") <= 2:
		switch path.Ext(rest) {
		case ledgerExtension, unreadableExtension:
			kind = KindLedger
		case eventsExtension, tableExtension:
			kind = KindStaged
		}
	default:
		if id, kind, ok := parsePath(name); ok {
			return kind, id
		}
	}
	return kind, record.ID{}
}

// IsTable reports whether a file has pictures of kept windows as rows, by its name.
func IsTable(name string) bool {
	kind, _ := KindOf(name)
	return kind == KindTable || kind == KindStaged && path.Ext(name) == tableExtension
}

// List calls visit for every file below the root, with its name relative to the
// root. What is stored or removed meanwhile is visited or not. A root that is
// not there is fs.ErrNotExist.
func List(ctx context.Context, cfg Config, visit func(name string, size int64, modified time.Time) error) error {
	if err := cfg.walk(ctx, "", visit); err != nil {
		return fmt.Errorf("listing %s: %w", cfg.Root, err)
	}
	return nil
}

func (c Config) walk(ctx context.Context, dir string, visit func(name string, size int64, modified time.Time) error) error {
	var entries []fs.FileInfo
	err := c.do(ctx, dir, func(fsys fileSystem, path string) (err error) { entries, err = fsys.ReadDir(ctx, path); return err })
	if dir != "" { // it may be removed meanwhile
		err = ignoreGone(err)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			err = c.walk(ctx, name, visit)
		} else if err = ctx.Err(); err == nil {
			err = visit(name, e.Size(), e.ModTime())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RoomFor returns how much room there is below the root, which need not be there
// yet. It changes nothing.
func RoomFor(ctx context.Context, cfg Config) (s Space, err error) {
	err = cfg.do(ctx, "", func(fsys fileSystem, _ string) (err error) { s, err = fsys.Space(ctx, cfg.Root); return err })
	if err != nil {
		return Space{}, fmt.Errorf("asking how much room there is in %s: %w", cfg.Root, err)
	}
	return s, nil
}
