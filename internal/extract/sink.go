package extract

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"facestream/internal/record"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// sink is where frames are copied to.
type sink interface {
	add(frame) error
	// end completes it, or takes it back after an error, which it returns with any other.
	end(error) error
}

func newSink(o options, stdout io.Writer) (sink, error) {
	switch o.tar {
	case "":
		return &folder{root: o.into, replace: o.replace}, os.MkdirAll(o.into, dirMode)
	case stdio:
		return &archive{out: tar.NewWriter(stdout)}, nil
	}
	file, err := os.CreateTemp(filepath.Dir(o.tar), temporary)
	if err != nil {
		return nil, err
	}
	return &archive{out: tar.NewWriter(file), file: file, name: o.tar}, nil
}

// temporary is the pattern of names of files that are not complete.
const temporary = ".facestream-*"

// folder is a folder of this machine.
type folder struct {
	root    string
	replace bool
}

func (d *folder) add(one frame) error {
	for _, f := range one.files {
		name := filepath.Join(d.root, filepath.FromSlash(f.Name))
		there, err := os.ReadFile(name)
		switch {
		case err == nil && bytes.Equal(there, f.Data):
		case err == nil && !d.replace:
			return fmt.Errorf("%s is there already, and is another: give another folder, or --replace", name)
		case err == nil || errors.Is(err, fs.ErrNotExist):
			if err := writeFile(name, f.Data); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

func (d *folder) end(err error) error { return err }

// writeFile writes a file that appears whole.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), dirMode); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), temporary)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return complete(file, name, err)
}

// complete closes a temporary file and gives it its name, or removes it after an error.
func complete(file *os.File, name string, err error) error {
	err = errors.Join(err, file.Chmod(fileMode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// archive is a tar.
type archive struct {
	out  *tar.Writer
	file *os.File // nil of the standard output
	name string
}

func (a *archive) add(one frame) error {
	modified := time.Unix(0, 0)
	if record.Dated(one.TimestampMillis) {
		modified = time.UnixMilli(one.TimestampMillis)
	}
	for _, f := range one.files {
		err := a.out.WriteHeader(&tar.Header{Name: f.Name, Size: int64(len(f.Data)), Mode: fileMode, ModTime: modified})
		if err == nil {
			_, err = a.out.Write(f.Data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archive) end(err error) error {
	if err == nil { // else the tar has no end, which tells that it is not whole
		err = a.out.Close()
	}
	if a.file != nil {
		err = complete(a.file, a.name, err)
	}
	return err
}
