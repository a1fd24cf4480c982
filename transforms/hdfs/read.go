package hdfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/colinmarc/hdfs/v2"
)

// OpenRead opens a file for reading. Reading goes on after a failure where it
// was, as long as the file is still the same.
func (f *fileSystem) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	l, err := parse(name)
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, clients: f.clients, from: l}
	if err := f.clients.do(ctx, "open", l, r.open); err != nil {
		return nil, err
	}
	return r, nil
}

type reader struct {
	ctx     context.Context
	clients *clients
	from    location
	file    *hdfs.FileReader // nil after a failure
	id      uint64           // of the file that was opened first
	size    int64
	offset  int64
	closed  bool
}

func (r *reader) open(c *client) error {
	file, err := c.Open(r.from.path)
	if err != nil {
		return err
	}
	info := file.Stat()
	if info.IsDir() {
		return finalError{syscall.EISDIR}
	}
	if err := checkFile(info); err != nil {
		return err
	}
	id := info.Sys().(*hdfs.FileStatus).GetFileId()
	if r.id != 0 && id != r.id {
		return finalError{errors.New("another file has taken its place while it was read")}
	}
	if _, err := file.Seek(r.offset, io.SeekStart); err != nil {
		return err
	}
	r.file, r.id, r.size = file, id, info.Size()
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, &fs.PathError{Op: "read", Path: r.from.String(), Err: fs.ErrClosed}
	}
	var n int
	end := false
	err := r.clients.do(r.ctx, "read", r.from, func(c *client) error {
		if r.file == nil {
			if err := r.open(c); err != nil {
				return err
			}
		}
		var err error
		n, err = r.file.Read(p)
		r.offset += int64(n)
		if err == nil {
			return nil
		}
		if end = err == io.EOF; end {
			return nil
		}
		_ = r.file.Close()
		r.file = nil
		if n > 0 {
			return nil
		}
		return err
	})
	if err == nil && end {
		err = io.EOF
	}
	return n, err
}

// Seek has Read go on at an offset from the start or from the end.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += r.size
	}
	if whence == io.SeekCurrent || offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: r.from.String(), Err: fs.ErrInvalid}
	}
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	r.offset = offset
	return offset, nil
}

func (r *reader) Close() error {
	if r.closed {
		return &fs.PathError{Op: "close", Path: r.from.String(), Err: fs.ErrClosed}
	}
	r.closed = true
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// checkFile refuses a file of which the library would read other bytes than were
// written.
func checkFile(info fs.FileInfo) error {
	if erasureCoded(info) {
		return finalError{errors.New("it is erasure coded, which this client cannot read")}
	}
	if info.Sys().(*hdfs.FileStatus).GetFileEncryptionInfo() != nil {
		return finalError{errors.New("it is in an encryption zone, where this client cannot read")}
	}
	return nil
}

// erasureCoded reports whether a file is erasure coded, or new files of a folder will
// be. For Hadoop's own policies the NameNode sends a number, nothing else.
func erasureCoded(info fs.FileInfo) bool {
	return info.Sys().(*hdfs.FileStatus).GetEcPolicy() != nil
}
