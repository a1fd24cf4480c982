package hdfs

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/colinmarc/hdfs/v2"
)

// checkFolder refuses a folder whose new files would be erasure coded, as the
// library writes and reads every file as a replicated one: at best the NameNode
// finds no place for the block, at worst the bytes are lost. A folder is looked
// at once for each client, so that this costs no call for each file.
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

// checkFile refuses a file of which the library would read something else than
// was written.
func checkFile(info fs.FileInfo) error {
	if erasureCoded(info) {
		return finalError{errors.New("it is erasure coded, which this client cannot read")}
	}
	if info.Sys().(*hdfs.FileStatus).GetFileEncryptionInfo() != nil {
		return finalError{errors.New("it is in an encryption zone, where this client cannot read")}
	}
	return nil
}

// erasureCoded reports whether a file is, or the files that will be made in a
// folder. The NameNode sends no more than a number of the policies that Hadoop
// brings along.
func erasureCoded(info fs.FileInfo) bool {
	return info.Sys().(*hdfs.FileStatus).GetEcPolicy() != nil
}
