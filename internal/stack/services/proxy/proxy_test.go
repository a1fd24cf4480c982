package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"facestream/internal/testkit"
)

const (
	patience = 30 * time.Second      // for what must come to pass
	silence  = 50 * time.Millisecond // in which nothing may come
)

// rig is a proxy and its target, of which the test plays both ends.
type rig struct {
	*Proxy
	target net.Listener
}

func newRig(t *testing.T) *rig {
	t.Helper()
	target := testkit.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = target.Close() })
	p := testkit.Value(Start(target.Addr().String()))(t)
	t.Cleanup(func() { _ = p.Close() })
	return &rig{Proxy: p, target: target}
}

// connect returns both ends of a connection through the proxy.
func (r *rig) connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	client = testkit.Value(net.Dial("tcp", r.Addr()))(t)
	server = testkit.Value(r.target.Accept())(t)
	return ending(t, client), ending(t, server)
}

// refuses checks that a new connection is broken at once. The client may see
// that before it knows of the connection.
func (r *rig) refuses(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	switch {
	case err == nil:
		isReset(t, ending(t, conn))
	case !errors.Is(err, syscall.ECONNRESET):
		t.Fatalf("connecting: got error %v, want %v", err, syscall.ECONNRESET)
	}
}

// ending sees to it that a connection ends with the test, and never hangs.
func ending(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	testkit.Must(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

func send(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	testkit.Value(conn.Write([]byte(what)))(t)
}

// arrives checks that exactly this comes next.
func arrives(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// passes checks that bytes pass from one end to the other.
func passes(t *testing.T, from, to net.Conn, what string) {
	t.Helper()
	send(t, from, what)
	arrives(t, to, what)
}

// silent checks that nothing comes, not even an end.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(silence)))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes, error %v, where nothing may come", n, err)
	}
	testkit.Must(t, conn.SetReadDeadline(time.Now().Add(patience)))
}

// isReset checks that a connection is broken, not ended.
func isReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %d bytes, error %v, want %v", n, err, syscall.ECONNRESET)
	}
}

// A client that has sent everything still gets its answer, however long both
// are.
func TestPassesEverything(t *testing.T) {
	r := newRig(t)
	client, server := r.connect(t)
	want := bytes.Repeat([]byte("facestream "), 100_000)
	go func() { // echoes
		_, _ = io.Copy(server, server)
		_ = server.Close()
	}()
	go func() {
		_, _ = client.Write(want)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back, %v, want the %d that were sent", len(got), err, len(want))
	}
}

func TestLatency(t *testing.T) {
	const latency = 100 * time.Millisecond
	r := newRig(t)
	client, server := r.connect(t)
	r.SetLatency(latency)
	begin := time.Now()
	passes(t, client, server, "question")
	send(t, server, "answer ")
	send(t, server, "in pieces")
	arrives(t, client, "answer in pieces")
	if took := time.Since(begin); took < latency {
		t.Errorf("the answer came after %v, before %v", took, latency)
	}
	r.SetLatency(time.Hour)
	send(t, server, "late")
	silent(t, client)
}

// bothWays runs a test for each direction, with the ends of a connection in that order.
func bothWays(t *testing.T, test func(t *testing.T, r *rig, d Direction, connect func() (from, to net.Conn))) {
	for name, d := range map[string]Direction{"to the target": ToTarget, "from the target": FromTarget} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			test(t, r, d, func() (from, to net.Conn) {
				client, server := r.connect(t)
				if d == FromTarget {
					return server, client
				}
				return client, server
			})
		})
	}
}

// What was sent meanwhile, also the end of a connection, passes afterwards.
func TestHold(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, d Direction, connect func() (from, to net.Conn)) {
		from, to := connect()
		passes(t, from, to, "before")
		r.Hold(d, true)
		send(t, from, "held")
		newFrom, newTo := connect()
		send(t, newFrom, "new")
		testkit.Must(t, newFrom.Close())
		silent(t, to)
		silent(t, newTo)
		passes(t, to, from, "free")
		r.Hold(d, false)
		arrives(t, to, "held")
		arrives(t, newTo, "new")
		if n, err := newTo.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %d bytes, error %v, want the end", n, err)
		}
		passes(t, from, to, "after")
	})
}

// What comes before the piece passes; that piece waits with all that follows.
func TestHoldAt(t *testing.T) {
	r := newRig(t)
	client, server := r.connect(t)
	pieces := 0
	held := r.HoldAt(ToTarget, func(piece []byte) bool {
		pieces++
		return string(piece) == "stop"
	})
	passes(t, client, server, "before")
	passes(t, server, client, "stop") // the other direction
	select {
	case <-held:
		t.Fatal("it is held before its time")
	default:
	}
	send(t, client, "stop")
	<-held
	send(t, client, " and go")
	silent(t, server)
	passes(t, server, client, "free")
	r.Hold(ToTarget, false)
	arrives(t, server, "stop and go")
	passes(t, client, server, "stop")
	if pieces != 2 {
		t.Errorf("it was asked about %d pieces, want 2", pieces)
	}
}

func TestCutAfter(t *testing.T) {
	bothWays(t, func(t *testing.T, r *rig, d Direction, connect func() (from, to net.Conn)) {
		oldFrom, oldTo := connect()
		passes(t, oldFrom, oldTo, "before")
		r.CutAfter(d, 3)
		from, to := connect()
		passes(t, to, from, "any number")
		send(t, from, "12345")
		arrives(t, to, "123")
		isReset(t, to)
		isReset(t, from)
		passes(t, oldFrom, oldTo, "more than three")
		r.CutAfter(d, 0)
		r.refuses(t)
	})
}
