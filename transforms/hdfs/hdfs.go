// Package hdfs is a Beam file system for names like
// hdfs://alice@namenode:8020/faces/a.jpg, over the client library
// github.com/colinmarc/hdfs. Import it for its registration.
//
// The user in a name is the Hadoop user the file is touched as. Without one it
// is $HADOOP_USER_NAME, else the user of the process. Several NameNodes of one
// cluster are separated by commas: hdfs://alice@nn1:8020,nn2:8020/faces. A host
// without a port is a nameservice of the configuration in $HADOOP_CONF_DIR;
// Resolve makes of it a name for machines without that configuration.
//
// Everything that touches one cluster as one user shares a few clients, which
// live as long as the process. The library has no deadlines and does not
// recover from a lost connection or DataNode, so this package gives every call
// a deadline, replaces a broken client, and tries again for a minute and a half, or
// for seconds as long as nothing has ever answered (see Patient): after a lost connection or answer, a NameNode that is not active or in safe
// mode, and a block that no DataNode takes, which means a new file. What the
// NameNode refuses (permission, quota, limits, encryption zone, missing parent)
// and a folder with erasure coding are errors at once.
//
// Errors are *fs.PathError or *os.LinkError over fs.ErrNotExist,
// fs.ErrPermission and fs.ErrExist where these fit. Their paths are full names,
// user included. A context is checked between calls; a call that waits for a
// NameNode or DataNode ends by its own deadline.
package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

func init() {
	filesystem.Register(scheme, New)
}

const scheme = "hdfs"

type fileSystem struct {
	clients *clients
}

// New returns the HDFS file system. It connects when it is first used, and
// closing it does nothing: clients belong to the process.
func New(context.Context) filesystem.Interface {
	return &fileSystem{clients: ofProcess}
}

func (f *fileSystem) Close() error { return nil }

// do does something to what a name stands for, as clients.do does.
func (f *fileSystem) do(ctx context.Context, op, name string, call func(*client, location) error) error {
	l, err := parse(name)
	if err != nil {
		return err
	}
	return f.clients.do(ctx, op, l, func(c *client) error { return call(c, l) })
}

// ask is do for what returns something.
func ask[T any](ctx context.Context, f *fileSystem, op, name string, call func(*client, location) (T, error)) (v T, err error) {
	err = f.do(ctx, op, name, func(c *client, l location) (err error) {
		v, err = call(c, l)
		return err
	})
	return v, err
}

// List returns the files and folders that match glob, sorted within a folder.
// Each part of the path may hold the patterns of path.Match.
func (f *fileSystem) List(ctx context.Context, glob string) ([]string, error) {
	return ask(ctx, f, "list", glob, list)
}

func list(c *client, l location) ([]string, error) {
	paths := []string{"/"}
	parts := strings.Split(strings.Trim(l.path, "/"), "/")
	for i, part := range parts {
		var next []string
		for _, dir := range paths {
			matches, err := match(c, dir, part, i == len(parts)-1)
			if err != nil {
				return nil, err
			}
			next = append(next, matches...)
		}
		paths = next
	}
	for i, p := range paths {
		paths[i] = l.prefix + p
	}
	return paths, nil
}

// match returns what is in dir under the given name, which may be a pattern. Of a name that is
// not the last, the call for the next one tells whether it is there.
func match(c *client, dir, pattern string, last bool) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		p := path.Join(dir, pattern)
		if !last {
			return []string{p}, nil
		}
		if _, err := c.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return []string{p}, nil
	}
	entries, err := readDir(c, dir)
	if errors.Is(interpret(err), fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // it was removed since its name was found, or is a file
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		ok, err := path.Match(pattern, e.Name())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", fs.ErrInvalid, err)
		}
		if ok {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// ReadDir returns what is in a folder, sorted.
func (f *fileSystem) ReadDir(ctx context.Context, name string) ([]fs.FileInfo, error) {
	return ask(ctx, f, "list", name, func(c *client, l location) ([]fs.FileInfo, error) { return readDir(c, l.path) })
}

func readDir(c *client, dir string) ([]fs.FileInfo, error) {
	d, err := c.Open(dir)
	if err != nil {
		return nil, err
	}
	if !d.Stat().IsDir() {
		return nil, finalError{syscall.ENOTDIR}
	}
	return d.Readdir(0)
}

// Size returns the bytes of a file.
func (f *fileSystem) Size(ctx context.Context, name string) (int64, error) {
	info, err := f.stat(ctx, name)
	if err != nil {
		return -1, err
	}
	return info.Size(), nil
}

// LastModified returns when a file was written, or when something in a folder
// was last made, renamed or removed.
func (f *fileSystem) LastModified(ctx context.Context, name string) (time.Time, error) {
	info, err := f.stat(ctx, name)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (f *fileSystem) stat(ctx context.Context, name string) (fs.FileInfo, error) {
	return ask(ctx, f, "stat", name, func(c *client, l location) (fs.FileInfo, error) { return c.Stat(l.path) })
}

// Remove removes a file or an empty folder; a folder that is not empty gives
// syscall.ENOTEMPTY.
func (f *fileSystem) Remove(ctx context.Context, name string) error {
	lost := false // the answer to an earlier try that may have done it
	return f.do(ctx, "remove", name, func(c *client, l location) error {
		err := c.Remove(l.path)
		if lost && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		lost = lost || unanswered(err)
		return err
	})
}

// RemoveAll removes a folder with all that is in it, in one step. One that is not there is
// no error.
func (f *fileSystem) RemoveAll(ctx context.Context, name string) error {
	return f.do(ctx, "remove", name, func(c *client, l location) error { return c.RemoveAll(l.path) })
}

// Rename gives a file or folder a new name on the same cluster, as the same user, in one
// step that also replaces a file of that name. The new name's folder must exist.
func (f *fileSystem) Rename(ctx context.Context, oldname, newname string) error {
	from, err := parse(oldname)
	if err != nil {
		return err
	}
	to, err := parse(newname)
	if err != nil {
		return err
	}
	if from.account != to.account {
		return &os.LinkError{Op: "rename", Old: from.String(), New: to.String(), Err: errors.New("not the same cluster and user")}
	}
	lost := false // the answer to an earlier try that may have done it
	err = f.clients.do(ctx, "rename", from, func(c *client) error {
		err := c.Rename(from.path, to.path)
		if lost && errors.Is(err, fs.ErrNotExist) {
			return moved(c, from.path, to.path, err)
		}
		lost = lost || unanswered(err)
		return err
	})
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return &os.LinkError{Op: "rename", Old: from.String(), New: to.String(), Err: failed.Err}
	}
	return err
}

// moved returns nil if a file is at its new name and no longer at its old one,
// where a call said that something is missing.
func moved(c *client, from, to string, missing error) error {
	_, err := c.Stat(from)
	if err == nil {
		return missing
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = c.Stat(to)
	return err
}

// MkdirAll makes a folder and the folders above it. One that is there is no
// error.
func (f *fileSystem) MkdirAll(ctx context.Context, name string) error {
	return f.do(ctx, "mkdir", name, func(c *client, l location) error { return c.MkdirAll(l.path, c.umask.folder()) })
}
