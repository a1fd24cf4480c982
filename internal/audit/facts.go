package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// facts are lines of a file that the system's sort puts in order: an output may have
// millions of files, and this process holds few of them at a time.
type facts struct {
	dir  string
	file *os.File
	out  *bufio.Writer
}

func newFacts() (*facts, error) {
	dir, err := os.MkdirTemp("", "facestream-verify-")
	if err != nil {
		return nil, err
	}
	f := &facts{dir: dir}
	if f.file, err = os.Create(filepath.Join(dir, "facts")); err != nil {
		f.close()
		return nil, err
	}
	f.out = bufio.NewWriter(f.file)
	return f, nil
}

func (f *facts) close() {
	if f.file != nil {
		f.file.Close()
	}
	os.RemoveAll(f.dir)
}

// add adds a fact about an offset. Those of a partition come back in the order of their
// offsets and kinds. An error of writing shows in each.
func (f *facts) add(topic int, partition int32, offset int64, kind string, fields ...any) {
	fmt.Fprintf(f.out, "%04d\t%010d\t%020d\t%s", topic, partition, offset, kind)
	for _, field := range fields {
		if text, ok := field.(string); ok {
			field = strconv.Quote(text)
		}
		fmt.Fprintf(f.out, "\t%v", field)
	}
	f.out.WriteByte('\n')
}

// fields are those of a fact, with its key.
type fields []string

func (f fields) number(i int) int64 {
	n, _ := strconv.ParseInt(f[i], 10, 64) // add wrote it
	return n
}

func (f fields) text(i int) string {
	s, _ := strconv.Unquote(f[i])
	return s
}

// each calls visit with each fact, in order. None can be added any more.
func (f *facts) each(ctx context.Context, visit func(fields)) error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	name := f.file.Name()
	cmd := exec.CommandContext(ctx, "sort", "--buffer-size=64M", "--temporary-directory="+f.dir, "--output="+name, name)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if said, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("sorting what was found, with sort of GNU's coreutils: %w: %s", err, bytes.TrimSpace(said)))
	}
	sorted, err := os.Open(name)
	if err != nil {
		return err
	}
	defer sorted.Close()
	for lines := bufio.NewReader(sorted); ; {
		line, err := lines.ReadString('\n')
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		visit(strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
}
