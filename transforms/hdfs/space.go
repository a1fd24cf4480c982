package hdfs

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"github.com/colinmarc/hdfs/v2"
)

// Space is how much room there is for files below a folder.
type Space struct {
	Capacity, Free int64 // bytes of the whole cluster, each replica counted
	// Block is what one file takes of Free, and of a quota, while it is being
	// written: a whole block for each replica. 0 if it takes only its bytes.
	Block  int64
	Folder string // that these are of: the nearest one that exists
	Owner  string // of it
	Quotas []Quota
}

// Quota is what an administrator lets a folder hold with all that is below it;
// -1 is no limit.
type Quota struct {
	Folder           string
	Names, NamesLeft int64 // files and folders, itself included
	Bytes, BytesLeft int64 // each replica counted
}

// Space returns how much room there is for files below a folder, which need not
// exist yet. The quotas are its own and those of the folders above it that belong to
// the user, such as a home. Quotas of others would cost the NameNode a count of
// everything below, and it tells them only to users who may read all of it.
func (f *fileSystem) Space(ctx context.Context, name string) (Space, error) {
	return ask(ctx, f, "measure", name, space)
}

func space(c *client, l location) (Space, error) {
	whole, err := c.StatFs()
	if err != nil {
		return Space{}, err
	}
	s := Space{
		Capacity: int64(whole.Capacity), Free: int64(whole.Remaining),
		Block: c.defaults.BlockSize * int64(c.defaults.Replication),
	}
	for dir := l.path; ; dir = path.Dir(dir) {
		info, err := c.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the root is there
		}
		if err != nil {
			return Space{}, err
		}
		owner := info.(*hdfs.FileInfo).Owner()
		if s.Folder == "" {
			s.Folder, s.Owner = dir, owner
		}
		if dir == "/" || dir != l.path && owner != l.user {
			return s, nil
		}
		q, err := quota(c, dir)
		if err != nil {
			return Space{}, err
		}
		if q.Names >= 0 || q.Bytes >= 0 {
			s.Quotas = append(s.Quotas, q)
		}
	}
}

func quota(c *client, dir string) (Quota, error) {
	summary, err := c.GetContentSummary(dir)
	if err != nil {
		return Quota{}, err
	}
	q := Quota{Folder: dir, Names: int64(summary.NameQuota()), NamesLeft: -1, Bytes: summary.SpaceQuota(), BytesLeft: -1}
	if q.Names >= 0 {
		q.NamesLeft = q.Names - int64(summary.FileCount()) - int64(summary.DirectoryCount())
	}
	if q.Bytes >= 0 {
		q.BytesLeft = q.Bytes - summary.SizeAfterReplication()
	}
	return q, nil
}
