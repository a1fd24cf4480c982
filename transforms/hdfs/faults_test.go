package hdfs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"google.golang.org/protobuf/encoding/protowire"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

const (
	superuser = "hdfs"
	dirLimit  = 100 // entries of one folder

	// faultTimeout is for one call to a NameNode or DataNode that may be hanging.
	faultTimeout = time.Second

	dfsAdmin = "org.apache.hadoop.hdfs.tools.DFSAdmin"
	ecAdmin  = "org.apache.hadoop.hdfs.tools.ECAdmin"
)

// cluster is an HDFS that a test may harm.
type cluster struct {
	*services.Stack
	address string // of the NameNode
	plain   *fileSystem
}

// TestFaults does what is done to a cluster of three DataNodes of its own. Each
// part leaves it working.
func TestFaults(t *testing.T) {
	stack := testservices.Own(t, services.Options{HDFS: true, DataNodes: 3, HDFSSettings: map[string]string{
		"dfs.replication": "2",
		"dfs.blocksize":   "1048576",
		"dfs.namenode.fs-limits.max-directory-items": fmt.Sprint(dirLimit),
		"dfs.namenode.ec.system.default.policy":      "XOR-2-1-1024k", // enables it
	}})
	c := &cluster{Stack: stack, address: strings.TrimPrefix(stack.HDFS, "hdfs://"), plain: ownClients(time.Minute, time.Minute)}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"Refusals", testRefusals},
		{"ErasureCoding", testErasureCoding},
		{"Space", testSpace},
		{"NameNodeRestarts", testNameNodeRestarts},
		{"SafeMode", testSafeMode},
		{"NameNodeHangs", testNameNodeHangs},
		{"NameNodeConnections", testNameNodeConnections},
		{"DataNodeConnections", testDataNodeConnections},
		{"Reading", testReading},
		{"DataNodeDies", testDataNodeDies},
		{"DataNodeHangs", testDataNodeHangs},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

// name returns a name below /, by way of an address.
func name(user, address, path string) string {
	return "hdfs://" + user + "@" + address + path
}

// folder makes a folder of testUser's and returns its path.
func (c *cluster) folder(t *testing.T) string {
	t.Helper()
	dir := "/" + strings.ReplaceAll(t.Name(), "/", "-")
	testkit.Must(t, c.plain.MkdirAll(context.Background(), name(testUser, c.address, dir)))
	return dir
}

func (c *cluster) admin(t *testing.T, class string, args ...string) {
	t.Helper()
	testkit.Value(c.Admin(context.Background(), class, args...))(t)
}

func (c *cluster) signal(t *testing.T, process string, s syscall.Signal) {
	t.Helper()
	p, ok := c.Process(process)
	if !ok {
		t.Fatalf("there is no process %s", process)
	}
	testkit.Must(t, syscall.Kill(p.PID, s))
}

func (c *cluster) restart(t *testing.T, process string) {
	t.Helper()
	testkit.Must(t, c.Restart(context.Background(), process))
}

// bad makes the first connections that dial makes go through proxies that harm
// has been done to, and returns how many connections there were.
func bad(t *testing.T, dial *dialFunc, first int64, harm func(*proxy.Proxy)) *atomic.Int64 {
	var connections atomic.Int64
	good := *dial
	*dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if connections.Add(1) <= first {
			p := testservices.Proxy(t, address)
			harm(p)
			address = p.Addr()
		}
		return good(ctx, network, address)
	}
	return &connections
}

// content is what a file of this path holds: enough for several packets to a
// DataNode.
func content(path string) []byte {
	const size = 150_000
	return bytes.Repeat([]byte(path+"\n"), size/(len(path)+1)+1)[:size]
}

// put writes a file under another name and renames it, as package store does.
func put(f *fileSystem, address, path string) error {
	ctx := context.Background()
	tmp := name(testUser, address, path+".tmp")
	if err := filesystem.Write(ctx, f, tmp, content(path)); err != nil {
		return err
	}
	return f.Rename(ctx, tmp, name(testUser, address, path))
}

// holds checks that a folder and those in it hold these files with their
// content, and no other.
func (c *cluster) holds(t *testing.T, dir string, want ...string) {
	t.Helper()
	ctx := context.Background()
	prefix := name(testUser, c.address, "")
	var got []string
	var walk func(dir string)
	walk = func(dir string) {
		for _, e := range testkit.Value(c.plain.ReadDir(ctx, prefix+dir))(t) {
			if path := dir + "/" + e.Name(); e.IsDir() {
				walk(path)
			} else {
				got = append(got, path)
			}
		}
	}
	walk(dir)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
		return
	}
	for _, path := range want {
		mustHold(t, c.plain, prefix+path, string(content(path)))
	}
}

type calls struct {
	mu sync.Mutex
	of map[string]int
}

// count makes a file system's further calls count.
func count(f *fileSystem) *calls {
	c := &calls{of: make(map[string]int)}
	dial := f.clients.dialNameNode
	f.clients.dialNameNode = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return countedConn{conn, c}, err
	}
	return c
}

func (c *calls) count(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[method]
}

// take returns the counts and begins at zero.
func (c *calls) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := maps.Clone(c.of)
	clear(c.of)
	delete(of, "renewLease")
	return of
}

type countedConn struct {
	net.Conn
	calls *calls
}

// Write gets a call as a whole: its length, an RpcRequestHeaderProto, and a
// RequestHeaderProto, whose first field is the method.
func (c countedConn) Write(p []byte) (int, error) {
	const length = 4
	if len(p) > length {
		_, n := protowire.ConsumeBytes(p[length:])
		if header, m := protowire.ConsumeBytes(p[length+max(n, 0):]); n > 0 && m > 0 {
			if number, kind, k := protowire.ConsumeTag(header); number == 1 && kind == protowire.BytesType {
				method, _ := protowire.ConsumeString(header[k:])
				c.calls.mu.Lock()
				c.calls.of[method]++
				c.calls.mu.Unlock()
			}
		}
	}
	return c.Conn.Write(p)
}
