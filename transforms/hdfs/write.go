package hdfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"facestream/internal/wait"

	"github.com/colinmarc/hdfs/v2"
)

const (
	// The NameNode closes a file once it knows of its blocks, which DataNodes report
	// some milliseconds after the last byte. After the budget, a new file is written.
	closeFirstWait = 5 * time.Millisecond
	closeMaxWait   = 400 * time.Millisecond
	closeBudget    = 30 * time.Second
)

// OpenWrite gives a writer whose Close makes the file, with everything that
// was written to it, in place of one that is there. The folder must exist. The
// bytes are kept in memory until then: the library cannot go on with a block after a
// DataNode failed, so each try writes the whole file. After an error the file is
// removed if the cluster allows it.
func (f *fileSystem) OpenWrite(ctx context.Context, name string) (io.WriteCloser, error) {
	return &writer{make: func(data []byte) error { return f.WriteFrom(ctx, name, Whole(data)) }}, nil
}

type writer struct {
	bytes.Buffer
	make func(data []byte) error // nil after Close
}

func (w *writer) Close() error {
	if w.make == nil {
		return fs.ErrClosed
	}
	err := w.make(w.Bytes())
	w.make = nil
	return err
}

// WriteFrom makes a file as a writer of OpenWrite does, but of what content writes, and
// without keeping it: each try calls content once more.
func (f *fileSystem) WriteFrom(ctx context.Context, name string, content func(io.Writer) error) error {
	return f.do(ctx, "create", name, func(c *client, l location) error { return write(ctx, c, l.path, content) })
}

// Whole writes data. An empty Write would allocate a block that no DataNode ever reports.
func Whole(data []byte) func(io.Writer) error {
	return func(w io.Writer) (err error) {
		if len(data) > 0 {
			_, err = w.Write(data)
		}
		return err
	}
}

// write makes one file. When the answer to one of its calls is lost, even that to
// the last one, the next try removes the file and writes it again: nothing tells a
// complete file from one that is not.
func write(ctx context.Context, c *client, name string, content func(io.Writer) error) error {
	if err := c.checkFolder(path.Dir(name)); err != nil {
		return err
	}
	out, err := create(c, name)
	if err != nil {
		return err
	}
	err = interpret(fill(ctx, out, content))
	if err == nil {
		return nil
	}
	// The file's lease would live as long as the client.
	_ = c.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("somebody removed the file while it was written")
	}
	return err
}

// CreateNew makes a file where none is. If there is one, also one that is not complete,
// the error is fs.ErrExist. The folder must exist.
func (f *fileSystem) CreateNew(ctx context.Context, name string, data []byte) error {
	lost := false // the answer to an earlier try that may have made the file
	return f.do(ctx, "create", name, func(c *client, l location) error {
		if err := c.checkFolder(path.Dir(l.path)); err != nil {
			return err
		}
		out, err := c.CreateFile(l.path, c.defaults.Replication, c.defaults.BlockSize, c.umask.file())
		err = interpret(err)
		if lost && errors.Is(err, fs.ErrExist) {
			switch got, err := c.ReadFile(l.path); {
			case err != nil:
				return err
			case bytes.Equal(got, data):
				return nil
			case len(got) == 0:
				_ = c.Remove(l.path) // whoever made it instead finds it gone, and tries again
				return errors.New("it is not known who made the file")
			}
		}
		if err == nil {
			err = interpret(fill(ctx, out, Whole(data)))
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // else somebody has removed it
				_ = c.Remove(l.path)
			}
		}
		lost = lost || unanswered(err)
		return err
	})
}

// create opens a new file in place of one that is there, which may be left from an
// earlier attempt, open or not.
func create(c *client, name string) (*hdfs.FileWriter, error) {
	open := func() (*hdfs.FileWriter, error) {
		out, err := c.CreateFile(name, c.defaults.Replication, c.defaults.BlockSize, c.umask.file())
		return out, interpret(err)
	}
	out, err := open()
	if !errors.Is(err, fs.ErrExist) {
		return out, err
	}
	info, err := c.Stat(name)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: it is a folder", fs.ErrExist)
	}
	if err == nil {
		err = c.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if out, err = open(); errors.Is(err, fs.ErrExist) {
		// An earlier create, whose answer was lost, was done late.
		return nil, errors.New("somebody made the file at the same time")
	}
	return out, err
}

// fill writes the content and closes the file. After an error, too, the library holds
// nothing that must be closed.
func fill(ctx context.Context, out *hdfs.FileWriter, content func(io.Writer) error) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := out.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := content(out); err != nil {
		return err
	}
	return closeFile(ctx, out.Close)
}

// closeFile calls close again while the NameNode has not heard of the last block.
func closeFile(ctx context.Context, close func() error) error {
	end := time.Now().Add(closeBudget)
	for pause := closeFirstWait; ; pause = min(2*pause, closeMaxWait) {
		err := close()
		if !hdfs.IsErrReplicating(err) || time.Now().After(end) {
			return err
		}
		if err := wait.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// checkFolder refuses a folder whose new files would be erasure coded. The library
// writes and reads every file as a replicated one: at best the NameNode finds no place
// for the block, at worst the bytes are lost. Each client checks a folder once.
func (c *client) checkFolder(dir string) error {
	if _, ok := c.folders.Load(dir); ok {
		return nil
	}
	info, err := c.Stat(dir)
	if err != nil {
		return err
	}
	if erasureCoded(info) {
		return finalError{fmt.Errorf("its folder is erasure coded, which this client cannot write: choose another folder, or have an administrator run hdfs ec -setPolicy -replicate -path %s", dir)}
	}
	c.folders.Store(dir, nil)
	return nil
}
