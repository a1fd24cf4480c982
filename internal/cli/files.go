package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const mayWriteIn = unix.W_OK | unix.X_OK // of a folder

// CheckFile returns an error unless the file of a flag can be read.
func CheckFile(flag, file string) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && info.IsDir():
		err = errors.New("it is a folder; name a file in it")
	case err == nil:
		err = unix.Access(file, unix.R_OK)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", flag, file, err)
	}
	return nil
}

// CheckNewFile returns an error if the file of a flag could not be written, and makes
// nothing. Empty is no file.
func CheckNewFile(flag, file string) error {
	switch file {
	case "":
		return nil
	case "-":
		return fmt.Errorf("%s=-: it would be a file of that name; the standard output is /dev/stdout", flag)
	}
	dir := filepath.Dir(file)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s=%s: %s is not a folder; make it first", flag, file, dir)
	}
	at, mode := file, uint32(unix.W_OK)
	switch info, err := os.Stat(file); {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s=%s: it is a folder; name a file in it", flag, file)
	case errors.Is(err, fs.ErrNotExist):
		at, mode = dir, mayWriteIn
	}
	if err := unix.Access(at, mode); err != nil {
		return fmt.Errorf("%s=%s: writing to %s: %w", flag, file, at, err)
	}
	return nil
}

// CheckFolder returns an error if the folder of a flag could not be made, or nothing in it,
// and makes nothing.
func CheckFolder(flag, dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue // what is above it decides
		}
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			err = fmt.Errorf("%s is a file", at)
		case err == nil:
			err = unix.Access(at, mayWriteIn)
		}
		if err != nil {
			return fmt.Errorf("%s=%s: it cannot be made or written to: %w", flag, dir, err)
		}
		return nil
	}
}
