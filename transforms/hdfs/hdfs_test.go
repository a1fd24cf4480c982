package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/colinmarc/hdfs/v2"
	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

func TestParse(t *testing.T) {
	t.Setenv(userEnv, "env-user")
	for name, want := range map[string]location{
		"hdfs://alice@nn:8020/a/b.jpg":  {account{"alice", "nn:8020"}, "/a/b.jpg", "hdfs://alice@nn:8020"},
		"hdfs://nn:8020/a":              {account{"env-user", "nn:8020"}, "/a", "hdfs://nn:8020"},
		"hdfs://@nn:8020/a":             {account{"env-user", "nn:8020"}, "/a", "hdfs://@nn:8020"},
		"hdfs://a@b.c@nn:8020/a":        {account{"a@b.c", "nn:8020"}, "/a", "hdfs://a@b.c@nn:8020"},
		"hdfs://alice@cluster":          {account{"alice", "cluster"}, "/", "hdfs://alice@cluster"},
		"hdfs://alice@nn:1//a/./b/../c": {account{"alice", "nn:1"}, "/a/c", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/%2E/a?b#c@d": {account{"alice", "nn:1"}, "/%2E/a?b#c@d", "hdfs://alice@nn:1"},
		"hdfs://alice@nn:1/../../etc":   {account{"alice", "nn:1"}, "/etc", "hdfs://alice@nn:1"},
	} {
		if got, err := parse(name); err != nil || got != want {
			t.Errorf("parse(%q) = %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "/a", "hdfs:/a", "hdfs://", "hdfs:///a", "hdfs://alice@/a", "memfs://a"} {
		if got, err := parse(name); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", name, got)
		}
	}
}

func TestNameNodes(t *testing.T) {
	conf := hadoopconf.HadoopConf{
		"fs.defaultFS":                           "hdfs://one",
		"dfs.ha.namenodes.one":                   "a, b",
		"dfs.namenode.rpc-address.one.a":         "a.one:8020",
		"dfs.namenode.rpc-address.one.b":         "b.one:8020",
		"dfs.ha.namenodes.two":                   "a",
		"dfs.namenode.rpc-address.two.a":         "a.two:8020",
		"dfs.ha.namenodes.three":                 "a",
		"dfs.namenode.rpc-address.three.another": "a.three:8020",
	}
	for address, want := range map[string][]string{
		"nn:8020": {"nn:8020"},
		"one":     {"a.one:8020", "b.one:8020"},
		"two":     {"a.two:8020"},
	} {
		if got, err := nameNodes(address, conf); err != nil || !slices.Equal(got, want) {
			t.Errorf("nameNodes(%q) = %v, %v, want %v", address, got, err, want)
		}
	}
	for address, want := range map[string]string{
		"three": "dfs.namenode.rpc-address.three.a",
		"nn":    "nn:8020",
	} {
		if got, err := nameNodes(address, conf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nameNodes(%q) = %v, %v, want an error with %q", address, got, err, want)
		}
	}
}

// exception is an answer of the NameNode.
type exception struct{ method, class string }

func (e exception) Error() string     { return e.class }
func (e exception) Method() string    { return e.method }
func (e exception) Desc() string      { return "ERROR_APPLICATION" }
func (e exception) Exception() string { return e.class }
func (e exception) Message() string   { return "the text\n\tat java" }

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err       error
		is        error
		text      string
		temporary bool
	}{
		{exception{"create", "org.apache.hadoop.security.AccessControlException"}, fs.ErrPermission, "permission denied", false},
		{exception{"complete", "java.io.FileNotFoundException"}, fs.ErrNotExist, "file does not exist", false},
		{exception{"create", "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException"}, nil,
			"create: org.apache.hadoop.hdfs.protocol.NSQuotaExceededException: the text", false},
		{exception{"create", "java.io.IOException"}, nil, "create: java.io.IOException: the text", false},
		{exception{"addBlock", "java.io.IOException"}, nil, "addBlock: java.io.IOException: the text", true},
		{exception{"create", "org.apache.hadoop.hdfs.server.namenode.SafeModeException"}, nil,
			"create: org.apache.hadoop.hdfs.server.namenode.SafeModeException: the text", true},
		{syscall.ECONNRESET, syscall.ECONNRESET, "connection reset by peer", true},
		{errors.New("no available namenodes: EOF"), nil, "no available namenodes: EOF", true},
		{settingError{errors.New("wrong")}, nil, "wrong", false},
		{syscall.ENOTEMPTY, syscall.ENOTEMPTY, "directory not empty", false},
	} {
		got := interpret(&fs.PathError{Op: "op", Path: "/short", Err: test.err})
		if test.is != nil && !errors.Is(got, test.is) {
			t.Errorf("%v became %v, want %v", test.err, got, test.is)
		}
		if got.Error() != test.text {
			t.Errorf("%v became %q, want %q", test.err, got, test.text)
		}
		if temporary(got) != test.temporary {
			t.Errorf("temporary(%v) = %v", got, !test.temporary)
		}
	}
}

func TestCloseFile(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	replicating := &fs.PathError{Op: "create", Path: "/a", Err: hdfs.ErrReplicating}
	refused := errors.New("refused")
	for _, last := range []error{nil, refused} {
		calls := 0
		err := closeFile(ctx, func() error {
			if calls++; calls < 4 {
				return replicating
			}
			return last
		})
		if err != last || calls != 4 {
			t.Errorf("ended with %v after %d calls, want %v after 4", err, calls, last)
		}
	}
	err := closeFile(ctx, func() error {
		cancel()
		return replicating
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

// A cluster that cannot be reached is an error that names it and the user, at
// the end of the budget and not much later, or of the context.
func TestUnreachable(t *testing.T) {
	closed := listen(t)
	closed.Close()
	for about, address := range map[string]string{"refuses": closed.Addr().String(), "silent": silent(t)} {
		t.Run(about, func(t *testing.T) {
			f := ownClients(50*time.Millisecond, 300*time.Millisecond)
			name := "hdfs://bob@" + address + "/a"
			start := time.Now()
			_, err := f.Size(context.Background(), name)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v with a budget of 300 ms", took)
			}
			var pathError *fs.PathError
			if !errors.As(err, &pathError) || pathError.Path != name || !strings.Contains(err.Error(), "giving up after") {
				t.Errorf("error is %v, want a *fs.PathError that gives up on %s", err, name)
			}

			f = ownClients(50*time.Millisecond, time.Hour)
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			_, err = f.Size(ctx, name)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), address) {
				t.Errorf("error is %v, want the context's, and the address", err)
			}
		})
	}
}

func TestWrongSettingsAreErrorsAtOnce(t *testing.T) {
	conf := t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	f := ownClients(time.Second, time.Hour)
	if _, err := f.Size(context.Background(), "hdfs://bob@nowhere/a"); err == nil || !strings.Contains(err.Error(), "HADOOP_CONF_DIR") {
		t.Errorf("nameservice without configuration: %v", err)
	}
	configure(t, conf, map[string]string{"hadoop.security.authentication": "kerberos"})
	if _, err := f.Size(context.Background(), "hdfs://bob@127.0.0.1:1/a"); err == nil || !strings.Contains(err.Error(), "Kerberos") {
		t.Errorf("Kerberos: %v", err)
	}
}

func configure(t *testing.T, dir string, settings map[string]string) {
	text := "<configuration>"
	for name, value := range settings {
		text += "<property><name>" + name + "</name><value>" + value + "</value></property>"
	}
	if err := os.WriteFile(filepath.Join(dir, "hdfs-site.xml"), []byte(text+"</configuration>"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The answer to any one call may get lost. The file is there all the same, and
// nothing else is.
func TestLostAnswers(t *testing.T) {
	nameNode := hdfsAddress(t)
	ctx := context.Background()
	data := strings.Repeat("0123456789", 6000)
	plain := ownClients(10*time.Second, 10*time.Second)
	// A write is 5 calls or more, a rename 2, and connecting 1.
	for answers := range 12 {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			root := folder(t, plain, nameNode)
			lossy := ownClients(10*time.Second, 10*time.Second)
			through := strings.Replace(root, nameNode, losing(t, nameNode, answers), 1)
			start := time.Now()
			if err := filesystem.Write(ctx, lossy, through+"/tmp", []byte(data)); err != nil {
				t.Fatal(err)
			}
			if err := filesystem.Rename(ctx, lossy, through+"/tmp", through+"/final"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("took %v: the library's own wait after a lost connection is 5 s", took)
			}
			names, err := plain.List(ctx, root+"/*")
			if want := []string{root + "/final"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("the folder holds %v, %v, want %v", names, err, want)
			}
			got, err := filesystem.Read(ctx, plain, root+"/final")
			if err != nil || string(got) != data {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if err := lossy.Remove(ctx, through+"/final"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of two NameNodes the one that hangs is first in the configuration.
func TestNameService(t *testing.T) {
	nameNode := hdfsAddress(t)
	conf := t.TempDir()
	t.Setenv("HADOOP_CONF_DIR", conf)
	configure(t, conf, map[string]string{
		"dfs.ha.namenodes.cluster":             "a,b",
		"dfs.namenode.rpc-address.cluster.a":   silent(t),
		"dfs.namenode.rpc-address.cluster.b":   nameNode,
		"dfs.client.use.datanode.hostname":     "false",
		"dfs.namenode.rpc-address.elsewhere.a": "nowhere:1",
	})
	f := ownClients(time.Second, 20*time.Second)
	name := folder(t, f, "cluster") + "/a"
	if err := filesystem.Write(context.Background(), f, name, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Size(context.Background(), name); err != nil || size != 1 {
		t.Errorf("Size = %d, %v, want 1", size, err)
	}
}

func TestClientIsShared(t *testing.T) {
	address := hdfsAddress(t)
	f := New(context.Background()).(*fileSystem)
	folder(t, f, address)
	before := ofProcess.slots[account{testUser, address}].current
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	folder(t, New(context.Background()).(*fileSystem), address)
	if after := ofProcess.slots[account{testUser, address}].current; after != before {
		t.Error("a second file system has another client")
	}
}

func TestVerbs(t *testing.T) {
	ctx := context.Background()
	f := New(ctx).(*fileSystem)
	root := folder(t, f, hdfsAddress(t))
	for _, name := range []string{"/a/1.json", "/a/2.json", "/a/3.txt", "/b/1.json"} {
		if err := f.MkdirAll(ctx, root+name[:2]); err != nil {
			t.Fatal(err)
		}
		if err := filesystem.Write(ctx, f, root+name, []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	for glob, want := range map[string][]string{
		"/a/*.json": {"/a/1.json", "/a/2.json"},
		"/*/1.json": {"/a/1.json", "/b/1.json"},
		"/?":        {"/a", "/b"},
		"/a/1.json": {"/a/1.json"},
		"/a/none":   nil,
		"/none/*":   nil,
		"/*/*/*":    nil,
	} {
		got, err := f.List(ctx, root+glob)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], root)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%s) = %v, %v, want %v", glob, got, err, want)
		}
	}

	other := strings.Replace(root, testUser, "mallory", 1)
	nested := root + "/none/file"
	for what, test := range map[string]struct {
		err, want error
		path      string
	}{
		"read what is not there":   {readAll(f, root+"/none"), fs.ErrNotExist, root + "/none"},
		"remove what is not there": {f.Remove(ctx, root+"/none"), fs.ErrNotExist, root + "/none"},
		"remove a full folder":     {f.Remove(ctx, root+"/a"), syscall.ENOTEMPTY, root + "/a"},
		"write without a folder":   {filesystem.Write(ctx, f, nested, []byte("x")), fs.ErrNotExist, nested},
		"write over a folder":      {filesystem.Write(ctx, f, root+"/a", []byte("x")), fs.ErrExist, root + "/a"},
		"write as another":         {filesystem.Write(ctx, f, other+"/x", []byte("x")), fs.ErrPermission, other + "/x"},
		"remove as another":        {f.Remove(ctx, other+"/a/1.json"), fs.ErrPermission, other + "/a/1.json"},
		"rename as another":        {f.Rename(ctx, other+"/a/1.json", other+"/x"), fs.ErrPermission, other + "/a/1.json"},
		"rename into no folder":    {f.Rename(ctx, root+"/a/1.json", nested), fs.ErrNotExist, nested},
	} {
		if !errors.Is(test.err, test.want) || !strings.Contains(fmt.Sprint(test.err), test.path) {
			t.Errorf("%s: %v, want %v with %s", what, test.err, test.want, test.path)
		}
	}
	if err := f.Rename(ctx, root+"/a/1.json", other+"/b"); err == nil {
		t.Error("renamed from one user to another")
	}

	if err := filesystem.Write(ctx, f, root+"/a/1.json", nil); err != nil {
		t.Errorf("overwriting with nothing: %v", err)
	}
	if size, err := f.Size(ctx, root+"/a/1.json"); err != nil || size != 0 {
		t.Errorf("Size = %d, %v, want 0", size, err)
	}
}

func readAll(f *fileSystem, name string) error {
	_, err := filesystem.Read(context.Background(), f, name)
	return err
}
