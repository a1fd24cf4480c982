package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"facestream/internal/testkit"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/colinmarc/hdfs/v2"
)

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

// The answer to any one call may get lost. The file is there all the same, and
// nothing else is.
func TestLostAnswers(t *testing.T) {
	nameNode := hdfsAddress(t)
	ctx := context.Background()
	data := strings.Repeat("0123456789", 6000)
	plain := ownClients(10*time.Second, 10*time.Second)
	// A write is 6 calls or more, a rename 2, and connecting 1.
	for answers := range 13 {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			root := folder(t, plain, nameNode)
			lossy := ownClients(10*time.Second, 10*time.Second)
			through := strings.Replace(root, nameNode, losing(t, nameNode, answers), 1)
			l := testkit.Value(parse(through))(t)
			testkit.Must(t, filesystem.Write(ctx, lossy, through+"/tmp", []byte(data)))
			testkit.Must(t, filesystem.Rename(ctx, lossy, through+"/tmp", through+"/final"))
			// The library would wait for 5 s before it uses a lost connection again.
			if lossy.clients.slot(l.account).current.broken.Load() {
				t.Error("a client is in use whose connection was lost")
			}
			testkit.Gives(plain.List(ctx, root+"/*"))(t, "the folder", []string{root + "/final"})
			got, err := filesystem.Read(ctx, plain, root+"/final")
			if err != nil || string(got) != data {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if err := lossy.Remove(ctx, through+"/final"); err != nil {
				t.Error(err)
			}
			lossy = ownClients(10*time.Second, 10*time.Second)
			through = strings.Replace(root, nameNode, losing(t, nameNode, answers), 1)
			testkit.Must(t, lossy.CreateNew(ctx, through+"/new", []byte("x")))
			if got, err := filesystem.Read(ctx, plain, root+"/new"); err != nil || string(got) != "x" {
				t.Errorf("read %q of a new file, %v", got, err)
			}
		})
	}
}

// Of many who make the same file, one does; the file is theirs, and later ones find it.
func TestCreateNew(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	f := ownClients(10*time.Second, 10*time.Second)
	f.clients.connections = connections
	name := folder(t, f, address) + "/a"
	var made atomic.Pointer[string]
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			data := fmt.Sprint(i)
			switch err := f.CreateNew(ctx, name, []byte(data)); {
			case err == nil && !made.CompareAndSwap(nil, &data):
				t.Error("two have made it")
			case err != nil && !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := filesystem.Read(ctx, f, name); err != nil || made.Load() == nil || string(got) != *made.Load() {
		t.Errorf("read %q, %v", got, err)
	}
	if err := f.CreateNew(ctx, name, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("with a file that is there: %v", err)
	}
	if err := f.CreateNew(ctx, name+"/b", nil); err == nil {
		t.Error("a file below a file was made")
	}
	if err := f.CreateNew(ctx, name+"-folder/b", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// A file that a failed write left open is written anew, whoever left it.
func TestAbandonedFile(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	f := ownClients(10*time.Second, 10*time.Second)
	root := folder(t, f, address)
	own := testkit.Value(f.clients.get(ctx, account{testUser, address}))(t)
	others := testkit.Value(ownClients(10*time.Second, 10*time.Second).clients.get(ctx, account{testUser, address}))(t)
	for about, abandons := range map[string]*client{"same-client": own, "another": others} {
		for _, half := range []string{"", "half of it"} {
			l := testkit.Value(parse(root + "/" + about))(t)
			out := testkit.Value(create(abandons, l.path))(t)
			if half != "" {
				testkit.Value(out.Write([]byte(half)))(t)
				testkit.Must(t, out.Flush())
			}
			if err := filesystem.Write(ctx, f, root+"/"+about, []byte("all of it")); err != nil {
				t.Errorf("%s, after %q: %v", about, half, err)
			}
			if got, err := filesystem.Read(ctx, f, root+"/"+about); err != nil || string(got) != "all of it" {
				t.Errorf("%s, after %q: read %q, %v", about, half, got, err)
			}
		}
	}
}

// A file that somebody removes while it is written is written anew.
func TestFileRemovedWhileWritten(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	plain := ownClients(10*time.Second, 10*time.Second)
	name := folder(t, plain, address) + "/a"
	f := ownClients(10*time.Second, 10*time.Second)
	var once sync.Once
	f.clients.dialDataNode = func(ctx context.Context, network, address string) (net.Conn, error) {
		once.Do(func() {
			if err := plain.Remove(ctx, name); err != nil {
				t.Error(err)
			}
		})
		return dialTCP(ctx, network, address)
	}
	testkit.Must(t, filesystem.Write(ctx, f, name, []byte("x")))
	testkit.Gives(f.Size(ctx, name))(t, "the size", 1)
}
