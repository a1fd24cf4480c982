package hdfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/stack/services/proxy"
	"facestream/internal/testkit"
)

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
		f := ownClients(faultTimeout, retryBudget)
		connections := bad(t, &f.clients.dialDataNode, 2, harm)
		if err := put(f, c.address, path); err != nil {
			t.Errorf("%s: %v", about, err)
		}
		// There are not so many answers.
		if n := connections.Load(); n != 3 && about != "cut from after 400" && about != "cut from after 50000" {
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
		got, err := filesystem.Read(context.Background(), f, from)
		if err != nil || !bytes.Equal(got, content(path)) {
			t.Errorf("%s: read %d wrong bytes, %v", about, len(got), err)
		}
	}

	// Another file is not gone on with.
	f := ownClients(faultTimeout, retryBudget)
	bad(t, &f.clients.dialDataNode, 2, func(p *proxy.Proxy) { p.CutAfter(proxy.FromTarget, 50_000) })
	r := testkit.Value(f.OpenRead(context.Background(), from))(t)
	testkit.Value(io.ReadFull(r, make([]byte, 10)))(t)
	testkit.Must(t, put(c.plain, c.address, path))
	_, err := io.Copy(io.Discard, r)
	refused(t, err, from, nil, "another file has taken its place")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
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
		if err := put(f, c.address, path); err != nil {
			t.Error(err)
		}
	}
	c.holds(t, root, want...)
	noneLeft(t)
}
