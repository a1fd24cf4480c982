// Package hdfs is a Beam file system for names like
// hdfs://alice@namenode:8020/faces/a.jpg, over the client library
// github.com/colinmarc/hdfs. Import it for its registration.
//
// The user in a name is the Hadoop user the file is touched as. Without one it
// is $HADOOP_USER_NAME, else the user of the process. A host without a port is
// a nameservice of the configuration in $HADOOP_CONF_DIR.
//
// Everything that touches one cluster as one user shares one client, which
// lives as long as the process. The library has no deadlines and does not
// recover from a lost connection, so this package gives every call a deadline,
// replaces a broken client, and tries again for retryBudget. What the NameNode
// refuses (permission, quota, missing parent) is an error at once.
//
// Errors are *fs.PathError or *os.LinkError over fs.ErrNotExist,
// fs.ErrPermission and fs.ErrExist where these fit. Their paths are full names,
// user included. A context is looked at between calls: one that waits for a
// NameNode or DataNode ends by its own deadline.
package hdfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/colinmarc/hdfs/v2"
)

func init() {
	filesystem.Register(scheme, New)
}

const (
	scheme = "hdfs"

	dirMode  = 0o755
	fileMode = 0o644

	// A file is closed once the NameNode knows of its blocks, which DataNodes
	// report some milliseconds after the last byte.
	closeFirstWait = 5 * time.Millisecond
	closeMaxWait   = 400 * time.Millisecond
	closeBudget    = 30 * time.Second
)

type fileSystem struct {
	clients *clients
}

// New returns the HDFS file system. It connects when it is first used, and
// closing it does nothing: clients belong to the process.
func New(context.Context) filesystem.Interface {
	return &fileSystem{clients: ofProcess}
}

func (f *fileSystem) Close() error { return nil }

// List returns the files and folders that match glob, sorted within a folder.
// Each part of the path may hold the patterns of path.Match.
func (f *fileSystem) List(ctx context.Context, glob string) ([]string, error) {
	l, err := parse(glob)
	if err != nil {
		return nil, err
	}
	var found []string
	err = f.clients.do(ctx, "list", l, func(c *client) error {
		found, err = list(c, l)
		return err
	})
	return found, err
}

func list(c *client, l location) ([]string, error) {
	paths := []string{"/"}
	for _, part := range strings.Split(strings.Trim(l.path, "/"), "/") {
		var next []string
		for _, dir := range paths {
			matches, err := match(c, dir, part)
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

// match returns what is in dir under the given name, which may be a pattern.
func match(c *client, dir, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		p := path.Join(dir, pattern)
		if _, err := c.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return []string{p}, nil
	}
	info, err := c.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, nil
	}
	entries, err := c.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		ok, err := path.Match(pattern, e.Name())
		if err != nil {
			return nil, errors.Join(fs.ErrInvalid, err)
		}
		if ok {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// OpenRead opens a file for reading.
func (f *fileSystem) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	l, err := parse(name)
	if err != nil {
		return nil, err
	}
	var r *hdfs.FileReader
	err = f.clients.do(ctx, "open", l, func(c *client) error {
		r, err = c.Open(l.path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// OpenWrite gives a writer whose Close makes the file, with everything that
// was written to it, in place of one that is there. The folder must exist. The
// bytes are kept in memory until then: the library cannot go on with a block
// after a DataNode failed, so that trying again means writing the whole file.
// After an error the file is removed as far as the cluster lets us.
func (f *fileSystem) OpenWrite(ctx context.Context, name string) (io.WriteCloser, error) {
	l, err := parse(name)
	if err != nil {
		return nil, err
	}
	return &writer{ctx: ctx, clients: f.clients, to: l}, nil
}

type writer struct {
	ctx     context.Context
	clients *clients
	to      location
	data    bytes.Buffer
	closed  bool
}

func (w *writer) Write(p []byte) (int, error) { return w.data.Write(p) }

func (w *writer) Close() error {
	if w.closed {
		return &fs.PathError{Op: "close", Path: w.to.String(), Err: fs.ErrClosed}
	}
	w.closed = true
	return w.clients.do(w.ctx, "create", w.to, func(c *client) error {
		return write(w.ctx, c, w.to.path, w.data.Bytes())
	})
}

// write makes one file.
func write(ctx context.Context, c *client, name string, data []byte) error {
	out, err := create(c, name)
	if err != nil {
		return err
	}
	if err := fill(ctx, out, data); err != nil {
		// Close frees the library's connection and goroutines; with a deadline
		// that has passed it cannot complete the file. The file's lease would
		// live as long as the client: remove the file.
		_ = out.SetDeadline(time.Unix(1, 0))
		_ = out.Close()
		_ = c.Remove(name)
		return err
	}
	return nil
}

// create opens a new file. One that is there is what an earlier attempt left
// behind, or is to be overwritten.
func create(c *client, name string) (*hdfs.FileWriter, error) {
	open := func() (*hdfs.FileWriter, error) {
		return c.CreateFile(name, c.defaults.Replication, c.defaults.BlockSize, fileMode)
	}
	out, err := open()
	if !errors.Is(err, fs.ErrExist) {
		return out, err
	}
	info, err := c.Stat(name)
	if err == nil && info.IsDir() {
		return nil, errors.Join(fs.ErrExist, errors.New("it is a folder"))
	}
	if err == nil {
		err = c.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return open()
}

// fill writes data and closes the file.
func fill(ctx context.Context, out *hdfs.FileWriter, data []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := out.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// Even an empty Write allocates a block, which no DataNode would report.
	if len(data) > 0 {
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	return closeFile(ctx, out.Close)
}

// closeFile calls close until it no longer answers that the NameNode has not
// heard of the last block yet.
func closeFile(ctx context.Context, close func() error) error {
	end := time.Now().Add(closeBudget)
	for wait := closeFirstWait; ; wait = min(2*wait, closeMaxWait) {
		err := close()
		if !hdfs.IsErrReplicating(err) || time.Now().After(end) {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Size returns the bytes of a file.
func (f *fileSystem) Size(ctx context.Context, name string) (int64, error) {
	l, err := parse(name)
	if err != nil {
		return -1, err
	}
	size := int64(-1)
	err = f.clients.do(ctx, "stat", l, func(c *client) error {
		info, err := c.Stat(l.path)
		if err == nil {
			size = info.Size()
		}
		return err
	})
	return size, err
}

// LastModified returns when a file was written, or when something in a folder
// was last made, renamed or removed.
func (f *fileSystem) LastModified(ctx context.Context, name string) (time.Time, error) {
	l, err := parse(name)
	if err != nil {
		return time.Time{}, err
	}
	var at time.Time
	err = f.clients.do(ctx, "stat", l, func(c *client) error {
		info, err := c.Stat(l.path)
		if err == nil {
			at = info.ModTime()
		}
		return err
	})
	return at, err
}

// Remove removes a file or an empty folder; a folder that is not empty gives
// syscall.ENOTEMPTY.
func (f *fileSystem) Remove(ctx context.Context, name string) error {
	l, err := parse(name)
	if err != nil {
		return err
	}
	tries := 0
	return f.clients.do(ctx, "remove", l, func(c *client) error {
		tries++
		err := c.Remove(l.path)
		if tries > 1 && errors.Is(err, fs.ErrNotExist) {
			return nil // an earlier try did it, and its answer was lost
		}
		return err
	})
}

// Rename gives a file a new name on the same cluster, as the same user, in one
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
	tries := 0
	err = f.clients.do(ctx, "rename", from, func(c *client) error {
		tries++
		err := c.Rename(from.path, to.path)
		if tries > 1 && errors.Is(err, fs.ErrNotExist) && moved(c, from.path, to.path) {
			return nil // an earlier try did it, and its answer was lost
		}
		return err
	})
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return &os.LinkError{Op: "rename", Old: from.String(), New: to.String(), Err: failed.Err}
	}
	return err
}

func moved(c *client, from, to string) bool {
	_, gone := c.Stat(from)
	_, there := c.Stat(to)
	return errors.Is(gone, fs.ErrNotExist) && there == nil
}

// MkdirAll makes a folder and the folders above it. One that is there is no
// error.
func (f *fileSystem) MkdirAll(ctx context.Context, name string) error {
	l, err := parse(name)
	if err != nil {
		return err
	}
	return f.clients.do(ctx, "mkdir", l, func(c *client) error {
		return c.MkdirAll(l.path, dirMode)
	})
}

var (
	_ filesystem.LastModifiedGetter = (*fileSystem)(nil)
	_ filesystem.Remover            = (*fileSystem)(nil)
	_ filesystem.Renamer            = (*fileSystem)(nil)
)
