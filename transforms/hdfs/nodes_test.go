package hdfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

// testNameNodeRestarts writes while the NameNode is killed and started again,
// and while it is ended in order and started again.
func testNameNodeRestarts(t *testing.T, c *cluster) {
	const (
		writers = 3
		pause   = 50 * time.Millisecond // so that the files are not too many
		some    = 3                     // files before, between and after
	)
	root := c.folder(t)
	f := ownClients(nameNodeTimeout, retryBudget)
	var want []string
	var mu sync.Mutex
	written := make(chan struct{}, 1000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				dir := fmt.Sprintf("%s/%d-%d", root, w, i/(dirLimit/2))
				path := fmt.Sprintf("%s/%d", dir, i)
				if err := f.MkdirAll(context.Background(), name(testUser, c.address, dir)); err != nil {
					t.Error(err)
					return
				}
				if err := put(f, c.address, path); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want = append(want, path)
				mu.Unlock()
				written <- struct{}{}
				time.Sleep(pause)
			}
		})
	}
	more := func() {
		for range some * writers {
			select {
			case <-written:
			case <-time.After(retryBudget):
				t.Error("nothing was written any more")
				return
			}
		}
	}
	more()
	c.signal(t, "namenode", syscall.SIGKILL)
	c.restart(t, "namenode")
	more()
	c.restart(t, "namenode")
	more()
	close(stop)
	wg.Wait()
	c.holds(t, root, want...)
}

// testSafeMode lets the NameNode enter safe mode in the middle of a file and
// before every kind of call.
func testSafeMode(t *testing.T, c *cluster) {
	ctx := context.Background()
	root := c.folder(t)
	f := ownClients(time.Minute, retryBudget)
	calls := count(f)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.clients.dialDataNode = func(ctx context.Context, network, address string) (net.Conn, error) {
		once.Do(func() { close(begun); <-goOn })
		return dialTCP(ctx, network, address)
	}
	full := func(path string) string { return name(testUser, c.address, root+path) }
	for _, path := range []string{"/removed", "/from"} {
		testkit.Must(t, filesystem.Write(ctx, c.plain, full(path), content(root+"/to")))
	}
	var wg sync.WaitGroup
	do := func(what string, call func() error) {
		wg.Go(func() {
			if err := call(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	do("write a file that was begun", func() error { return put(f, c.address, root+"/a") })
	<-begun
	c.admin(t, dfsAdmin, "-safemode", "enter")
	var left atomic.Bool
	close(goOn)
	for what, call := range map[string]func() error{
		"write":  func() error { return put(f, c.address, root+"/b") },
		"rename": func() error { return f.Rename(ctx, full("/from"), full("/to")) },
		"mkdir":  func() error { return f.MkdirAll(ctx, full("/made")) },
		"remove": func() error { return f.Remove(ctx, full("/removed")) },
	} {
		do(what, func() error {
			err := call()
			if !left.Load() {
				t.Errorf("%s: was done in safe mode", what)
			}
			return err
		})
	}
	testkit.Value(f.Size(ctx, full("/from")))(t) // looking is done in safe mode, too
	testkit.Await(t, "three tries of each call", func() bool {
		return !slices.ContainsFunc([]string{"create", "rename2", "mkdirs", "delete"}, func(method string) bool { return calls.count(method) < 3 })
	})
	left.Store(true)
	c.admin(t, dfsAdmin, "-safemode", "leave")
	wg.Wait()
	c.holds(t, root, root+"/a", root+"/b", root+"/to")
}

// testNameNodeHangs stops the NameNode for a while, and for longer than the
// budget.
func testNameNodeHangs(t *testing.T, c *cluster) {
	root := c.folder(t)
	f := ownClients(faultTimeout, retryBudget)
	testkit.Must(t, put(f, c.address, root+"/a"))
	c.signal(t, "namenode", syscall.SIGSTOP)
	ended := make(chan error)
	go func() { ended <- put(f, c.address, root+"/b") }()
	_, err := ownClients(faultTimeout, 3*time.Second).Size(context.Background(), name(testUser, c.address, root+"/a"))
	testkit.Says(t, "behind its budget", err, "giving up after")
	c.signal(t, "namenode", syscall.SIGCONT)
	testkit.Must(t, <-ended)
	c.holds(t, root, root+"/a", root+"/b")
}

// testNameNodeConnections disturbs one direction of the connections to the
// NameNode while files are written.
func testNameNodeConnections(t *testing.T, c *cluster) {
	for about, d := range map[string]proxy.Direction{"to": proxy.ToTarget, "from": proxy.FromTarget} {
		t.Run(about, func(t *testing.T) {
			root := c.folder(t)
			var want []string
			write := func(f *fileSystem, address string) error {
				path := fmt.Sprintf("%s/%d", root, len(want))
				want = append(want, path)
				return put(f, address, path)
			}
			// Each limit ends the first connections in another call.
			for _, limit := range []int64{0, 1, 300, 600, 900, 1200} {
				f := ownClients(faultTimeout, retryBudget)
				bad(t, &f.clients.dialNameNode, 2, func(p *proxy.Proxy) { p.CutAfter(d, limit) })
				if err := write(f, c.address); err != nil {
					t.Errorf("cut after %d bytes: %v", limit, err)
				}
			}
			p := testservices.Proxy(t, c.address)
			f := ownClients(faultTimeout, retryBudget)
			connections := bad(t, &f.clients.dialNameNode, 0, nil)
			testkit.Must(t, write(f, p.Addr()))
			p.Hold(d, true)
			ended := make(chan error)
			go func() { ended <- write(f, p.Addr()) }()
			testkit.Await(t, "a timeout and another try", func() bool { return connections.Load() > 1 })
			p.Hold(d, false)
			testkit.Must(t, <-ended)
			c.holds(t, root, want...)
		})
	}
}

// harms are what may happen to a connection in the middle of a block, in each
// direction.
func harms() map[string]func(*proxy.Proxy) {
	all := make(map[string]func(*proxy.Proxy))
	for about, d := range map[string]proxy.Direction{"to": proxy.ToTarget, "from": proxy.FromTarget} {
		all["held "+about] = func(p *proxy.Proxy) { p.Hold(d, true) }
		for _, limit := range []int64{0, 1, 20, 50, 400, 50_000} {
			all[fmt.Sprintf("cut %s after %d", about, limit)] = func(p *proxy.Proxy) { p.CutAfter(d, limit) }
		}
	}
	return all
}

// testDataNodeConnections breaks the connections over which a file is written.
func testDataNodeConnections(t *testing.T, c *cluster) {
	root := c.folder(t)
	var want []string
	for about, harm := range harms() {
		path := root + "/" + strings.ReplaceAll(about, " ", "-")
		want = append(want, path)
		// What breaks needs no timeout to be noticed, and a busy DataNode must not meet one.
		held, timeout := strings.HasPrefix(about, "held"), time.Minute
		if held {
			timeout = faultTimeout
		}
		f := ownClients(timeout, retryBudget)
		connections := bad(t, &f.clients.dialDataNode, 2, harm)
		if err := put(f, c.address, path); err != nil {
			t.Errorf("%s: %v", about, err)
		}
		// There are not so many answers.
		if n := connections.Load(); (n < 3 || n > 3 && !held) && about != "cut from after 400" && about != "cut from after 50000" {
			t.Errorf("%s: %d connections, want 2 that broke and 1", about, n)
		}
	}
	c.holds(t, root, want...)
	noneLeft(t)
}

// noneLeft waits until the library has ended what it started for its writes.
func noneLeft(t *testing.T) {
	t.Helper()
	testkit.Await(t, "the end of the library's goroutines", func() bool {
		stacks := make([]byte, 4<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("blockWriteStream"))
	})
}

// testReading breaks the connections over which a file is read, those to both of
// its replicas.
func testReading(t *testing.T, c *cluster) {
	root := c.folder(t)
	path := root + "/a"
	testkit.Must(t, put(c.plain, c.address, path))
	from := name(testUser, c.address, path)
	for about, harm := range harms() {
		f := ownClients(faultTimeout, retryBudget)
		bad(t, &f.clients.dialDataNode, 2, harm)
		t.Log(about)
		mustHold(t, f, from, string(content(path)))
	}

	// Another file is not gone on with.
	f := ownClients(faultTimeout, retryBudget)
	bad(t, &f.clients.dialDataNode, 2, func(p *proxy.Proxy) { p.CutAfter(proxy.FromTarget, 50_000) })
	r := testkit.Value(f.OpenRead(context.Background(), from))(t)
	testkit.Value(io.ReadFull(r, make([]byte, 10)))(t)
	testkit.Must(t, put(c.plain, c.address, path))
	_, err := io.Copy(io.Discard, r)
	refused(t, err, from, nil, "another file has taken its place")
	testkit.Must(t, r.Close())
}

// testDataNodeDies kills a DataNode. The NameNode goes on choosing it.
func testDataNodeDies(t *testing.T, c *cluster) {
	c.signal(t, "datanode-2", syscall.SIGKILL)
	disturbed(t, c, ownClients(nameNodeTimeout, retryBudget))
	c.restart(t, "datanode-2")
}

// testDataNodeHangs stops a DataNode. The NameNode goes on choosing it.
func testDataNodeHangs(t *testing.T, c *cluster) {
	c.signal(t, "datanode-3", syscall.SIGSTOP)
	disturbed(t, c, ownClients(faultTimeout/2, retryBudget))
	c.signal(t, "datanode-3", syscall.SIGCONT)
}

// disturbed writes files while a DataNode does not work, until it was chosen.
func disturbed(t *testing.T, c *cluster, f *fileSystem) {
	t.Helper()
	const atLeast, atMost = 3, 20
	root := c.folder(t)
	connections := bad(t, &f.clients.dialDataNode, 0, nil)
	var want []string
	for i := 0; i < atLeast || connections.Load() == int64(i); i++ {
		if i == atMost {
			t.Fatalf("%d files, and nothing failed", atMost)
		}
		path := fmt.Sprintf("%s/%d", root, i)
		want = append(want, path)
		testkit.Must(t, put(f, c.address, path))
	}
	c.holds(t, root, want...)
	noneLeft(t)
}
