package store

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
)

const interruptedScheme = "interrupted://"

// interrupt ends the context of whoever reads a file of interruptedScheme.
var interrupt context.CancelFunc

func init() {
	filesystem.Register(strings.TrimSuffix(interruptedScheme, "://"), func(ctx context.Context) filesystem.Interface {
		fsys, err := filesystem.New(ctx, "hdfs://")
		if err != nil {
			panic(err)
		}
		return &interrupted{fsys.(fullFS)}
	})
}

// fullFS is what HDFS can do beside reading and writing.
type fullFS interface {
	filesystem.Interface
	filesystem.LastModifiedGetter
	filesystem.Remover
	filesystem.Renamer
	MkdirAll(ctx context.Context, dir string) error
}

// interrupted is HDFS under another name, where reading interrupts the reader.
type interrupted struct{ hdfs fullFS }

func toHDFS(name string) string { return strings.Replace(name, interruptedScheme, "hdfs://", 1) }

func (f *interrupted) Close() error { return f.hdfs.Close() }

func (f *interrupted) List(ctx context.Context, glob string) ([]string, error) {
	return f.hdfs.List(ctx, toHDFS(glob))
}

func (f *interrupted) OpenRead(ctx context.Context, name string) (io.ReadCloser, error) {
	interrupt()
	return f.hdfs.OpenRead(ctx, toHDFS(name))
}

func (f *interrupted) OpenWrite(ctx context.Context, name string) (io.WriteCloser, error) {
	return f.hdfs.OpenWrite(ctx, toHDFS(name))
}

func (f *interrupted) Size(ctx context.Context, name string) (int64, error) {
	return f.hdfs.Size(ctx, toHDFS(name))
}

func (f *interrupted) LastModified(ctx context.Context, name string) (time.Time, error) {
	return f.hdfs.LastModified(ctx, toHDFS(name))
}

func (f *interrupted) Remove(ctx context.Context, name string) error {
	return f.hdfs.Remove(ctx, toHDFS(name))
}

func (f *interrupted) Rename(ctx context.Context, from, to string) error {
	return f.hdfs.Rename(ctx, toHDFS(from), toHDFS(to))
}

func (f *interrupted) MkdirAll(ctx context.Context, dir string) error {
	return f.hdfs.MkdirAll(ctx, toHDFS(dir))
}

// A run may be refused, or interrupted by Ctrl-C, while the check's file is there.
func TestCheckInterrupted(t *testing.T) {
	root := hdfsRoot(t)
	above := strings.TrimSuffix(root, "/root")
	var ctx context.Context
	ctx, interrupt = context.WithCancel(context.Background())
	defer interrupt()
	err := Check(ctx, testConfig(strings.Replace(root, "hdfs://", interruptedScheme, 1)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the check says %v, want context.Canceled", err)
	}
	if left, err := open(t, above).List(context.Background(), above+"/*"); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}
