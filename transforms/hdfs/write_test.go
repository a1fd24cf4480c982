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
	testkit.Is(t, "a file that is not closed", err, context.Canceled)
}

// The answer to any one call may get lost. The file is there all the same, and
// nothing else is.
func TestLostAnswers(t *testing.T) {
	nameNode := hdfsAddress(t)
	ctx := context.Background()
	data := strings.Repeat("0123456789", 6000)
	plain := ownClients(time.Minute, time.Minute)
	// A write is 6 calls or more, a rename 2, and connecting 1.
	for answers := range 13 {
		t.Run(fmt.Sprint(answers), func(t *testing.T) {
			root := folder(t, plain, nameNode)
			lossy := ownClients(time.Minute, time.Minute)
			through := strings.Replace(root, nameNode, losing(t, nameNode, answers), 1)
			l := testkit.Value(parse(through))(t)
			testkit.Must(t, filesystem.Write(ctx, lossy, through+"/tmp", []byte(data)))
			testkit.Must(t, filesystem.Rename(ctx, lossy, through+"/tmp", through+"/final"))
			// The library would wait for 5 s before it uses a lost connection again.
			if lossy.clients.slot(l.account).current.broken.Load() {
				t.Error("a client is in use whose connection was lost")
			}
			testkit.Gives(plain.List(ctx, root+"/*"))(t, "the folder", []string{root + "/final"})
			mustHold(t, plain, root+"/final", data)
			testkit.Must(t, lossy.Remove(ctx, through+"/final"))
			lossy = ownClients(time.Minute, time.Minute)
			through = strings.Replace(root, nameNode, losing(t, nameNode, answers), 1)
			testkit.Must(t, lossy.CreateNew(ctx, through+"/new", []byte("x")))
			mustHold(t, plain, root+"/new", "x")
		})
	}
}

// Of many who make the same file, one does; the file is theirs, and later ones find it.
func TestCreateNew(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	f := ownClients(time.Minute, time.Minute)
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
	if made.Load() == nil {
		t.Fatal("nobody has made it")
	}
	mustHold(t, f, name, *made.Load())
	testkit.Is(t, "with a file that is there", f.CreateNew(ctx, name, nil), fs.ErrExist)
	testkit.Says(t, "a file below a file", f.CreateNew(ctx, name+"/b", nil), name+"/b")
	testkit.Is(t, "in a folder that is not there", f.CreateNew(ctx, name+"-folder/b", nil), fs.ErrNotExist)
}

// A file that a failed write left open is written anew, whoever left it.
func TestAbandonedFile(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	f := ownClients(time.Minute, time.Minute)
	root := folder(t, f, address)
	own, others := someClient(t, f, address), someClient(t, ownClients(time.Minute, time.Minute), address)
	for about, abandons := range map[string]*client{"same-client": own, "another": others} {
		for _, half := range []string{"", "half of it"} {
			l := testkit.Value(parse(root + "/" + about))(t)
			out := testkit.Value(create(abandons, l.path))(t)
			if half != "" {
				testkit.Value(out.Write([]byte(half)))(t)
				testkit.Must(t, out.Flush())
			}
			testkit.Must(t, filesystem.Write(ctx, f, root+"/"+about, []byte("all of it")))
			mustHold(t, f, root+"/"+about, "all of it")
		}
	}
}

// A file that somebody removes while it is written is written anew.
func TestFileRemovedWhileWritten(t *testing.T) {
	ctx := context.Background()
	address := hdfsAddress(t)
	plain := ownClients(time.Minute, time.Minute)
	name := folder(t, plain, address) + "/a"
	f := ownClients(time.Minute, time.Minute)
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
