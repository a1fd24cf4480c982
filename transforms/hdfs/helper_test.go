package hdfs

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

const testUser = "alice"

func TestMain(m *testing.M) {
	os.Exit(testservices.Main(m.Run))
}

func hdfsAddress(t *testing.T) string {
	t.Helper()
	return strings.TrimPrefix(testservices.Start(t, services.Options{HDFS: true}).HDFS, "hdfs://")
}

// folder makes an empty folder on HDFS and returns its name, as testUser, by
// way of the given NameNode address.
func folder(t *testing.T, f *fileSystem, address string) string {
	t.Helper()
	name := "hdfs://" + testUser + "@" + address + "/tmp/" + testservices.Name(strings.ReplaceAll(t.Name(), "/", "-"))
	testkit.Must(t, f.MkdirAll(context.Background(), name))
	return name
}

// mustHold checks what a file holds.
func mustHold(t *testing.T, f *fileSystem, name, want string) {
	t.Helper()
	if data, err := filesystem.Read(context.Background(), f, name); err != nil || string(data) != want {
		t.Errorf("%s holds %d wrong bytes, %.100q (%v)", name, len(data), data, err)
	}
}

// ownClients returns a file system with clients of its own, to which nothing is new.
func ownClients(timeout, budget time.Duration) *fileSystem {
	f := newClients(timeout, budget)
	f.clients.patient.Store(true)
	return f
}

// newClients returns a file system whose clients have never had an answer.
func newClients(timeout, budget time.Duration) *fileSystem {
	return &fileSystem{&clients{
		nameNodeTimeout: timeout, dataNodeTimeout: timeout, retryBudget: budget,
		dialNameNode: dialTCP, dialDataNode: dialTCP,
	}}
}

// someClient returns a client of testUser.
func someClient(t *testing.T, f *fileSystem, address string) *client {
	t.Helper()
	a := account{testUser, address}
	return testkit.Value(f.clients.get(t.Context(), f.clients.slot(a), a))(t)
}

// silent is a NameNode that takes connections, counts them, and says nothing.
func silent(t *testing.T, connections *atomic.Int64) (address string) {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return testkit.Serve(t, func(net.Conn) {
		connections.Add(1)
		<-ended
	})
}

func listen(t *testing.T) net.Listener {
	l := testkit.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	return l
}

// losing stands before a NameNode. On its first connection it loses the answer
// to a call, after the NameNode did it, and closes the connection.
func losing(t *testing.T, nameNode string, answers int) (address string) {
	var connections atomic.Int64
	return testkit.Serve(t, func(in net.Conn) {
		first := connections.Add(1) == 1
		out, err := net.Dial("tcp", nameNode)
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(out, in)
			out.Close()
		}()
		if first {
			_ = copyAnswers(in, out, answers)
			_ = copyAnswers(io.Discard, out, 1)
			return
		}
		_, _ = io.Copy(in, out)
	})
}

// copyAnswers copies n answers, each a 4 byte length and that many bytes.
func copyAnswers(to io.Writer, from io.Reader, n int) error {
	for range n {
		var head [4]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return err
		}
		if _, err := to.Write(head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, int64(binary.BigEndian.Uint32(head[:]))); err != nil {
			return err
		}
	}
	return nil
}
