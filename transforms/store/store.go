// Package store keeps files under one root folder, in HDFS or on a local disk,
// through Beam's file systems. A file appears under its final name
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
	"path"
	"strings"
	"syscall"
)

// successFile says that a run has ended as it should.
const successFile = "_SUCCESS"

// Config says where files are kept.
type Config struct {
	// Root is the folder, as a name for Beam's file systems:
	// hdfs://user@host:port/path, or a path of the local disk.
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
	// NoLinks has Open follow no link of a local disk that leads out of Root. Optional.
	NoLinks bool
}

// Check writes, reads and removes a small file below the root. It leaves
// nothing, not even a folder that it had to make. Call it before a run: its error
// names the folder and the user and says what would be right.
func Check(ctx context.Context, cfg Config) error {
	fsys, err := cfg.fs(ctx)
	if err == nil {
		err = check(ctx, fsys, cfg)
	}
	if err != nil {
		return fmt.Errorf("checking that %s can be written: %w%s", cfg.Root, err, advice(err))
	}
	return nil
}

func check(ctx context.Context, fsys fileSystem, cfg Config) error {
	// The folders that are to be removed again, from the bottom up.
	made := []string{cfg.path(cfg.tmp()), cfg.path(tmpDir)}
	// Up to a file system's top.
	for dir := cfg.Root; dir != "" && !strings.HasSuffix(dir, "/"); dir = dir[:max(0, strings.LastIndex(dir, "/"))] {
		if _, err := fsys.LastModified(ctx, dir); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		made = append(made, dir)
	}
	name := path.Join(cfg.tmp(), "check-"+rand.Text())
	defer func() {
		// Also after an error, and after the end of ctx. Folders that are not empty stay:
		// somebody else uses them.
		ctx := context.WithoutCancel(ctx)
		_ = cfg.remove(ctx, name)
		for _, dir := range made {
			_ = fsys.Remove(ctx, dir)
		}
	}()
	if err := fsys.MkdirAll(ctx, cfg.Root); err != nil {
		return err
	}
	want := []byte(name)
	if err := cfg.put(ctx, name, want); err != nil {
		return err
	}
	got, err := cfg.Read(ctx, name)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s holds %q, written was %q", cfg.path(name), got, want)
	}
	return errors.Join(err, cfg.remove(ctx, name))
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
	return cfg.putJSON(ctx, successFile, about, indented)
}

// Below the root, a copy of the latest picture, and which one it is.
const (
	latestFile  = "face.jpg"
	latestAbout = "_latest.json"
)

// KeepLatest makes <root>/face.jpg a copy of a picture that is stored, in one step,
// unless a run has kept a later one. Of which picture it is, <root>/_latest.json says
// before: what comes between the two is made good by the next run.
func KeepLatest(ctx context.Context, cfg Config, latest Latest) error {
	if err := keepLatest(ctx, cfg, latest); err != nil {
		return fmt.Errorf("keeping the latest picture: %w", err)
	}
	return nil
}

func keepLatest(ctx context.Context, cfg Config, latest Latest) error {
	about, err := cfg.Read(ctx, latestAbout)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var kept Latest
	if json.Unmarshal(about, &kept) == nil && latest.Before(kept) {
		return nil
	}
	picture, err := ReadPicture(ctx, cfg, latest.Picture)
	if err != nil {
		return err
	}
	if err := cfg.putJSON(ctx, latestAbout, latest, json.Marshal); err != nil {
		return err
	}
	return cfg.put(ctx, latestFile, picture)
}
