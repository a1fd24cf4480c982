package hdfs

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

// Walk calls visit for every file below root, folder by folder, with its full
// name as List gives it. A root that is a file is visited itself; one that is
// not there is fs.ErrNotExist. What is made or removed meanwhile is visited or
// not. An error of visit ends the walk and is returned as it is.
func (f *fileSystem) Walk(ctx context.Context, root string, visit func(name string, size int64, modified time.Time) error) error {
	top, err := parse(root)
	if err != nil {
		return err
	}
	info, err := f.stat(ctx, root)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return visit(top.prefix+top.path, info.Size(), info.ModTime())
	}
	for dirs := []location{top}; len(dirs) > 0; {
		dir := dirs[len(dirs)-1]
		dirs = dirs[:len(dirs)-1]
		var entries []fs.FileInfo
		err := f.clients.do(ctx, "list", dir, func(c *client) (err error) {
			entries, err = readDir(c, dir.path)
			return err
		})
		if dir != top && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var below []location
		for _, e := range entries {
			at := dir
			at.path = path.Join(dir.path, e.Name())
			if e.IsDir() {
				below = append(below, at)
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := visit(at.prefix+at.path, e.Size(), e.ModTime()); err != nil {
				return err
			}
		}
		slices.Reverse(below)
		dirs = append(dirs, below...)
	}
	return nil
}

// readDir returns what is in a folder, sorted; nothing if it is a file.
func readDir(c *client, dir string) ([]fs.FileInfo, error) {
	d, err := c.Open(dir)
	if err != nil {
		return nil, err
	}
	if !d.Stat().IsDir() {
		return nil, nil
	}
	return d.Readdir(0)
}
