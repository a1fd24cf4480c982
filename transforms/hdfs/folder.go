package hdfs

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/colinmarc/hdfs/v2"
)

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
