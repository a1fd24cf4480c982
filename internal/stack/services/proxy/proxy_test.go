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
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	p, err := Start(target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &rig{Proxy: p, target: target}
}

// connect returns both ends of a connection through the proxy.
func (r *rig) connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	server, err = r.target.Accept()
	if err != nil {
		t.Fatal(err)
	}
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
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func send(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	if _, err := conn.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
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
	if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes, error %v, where nothing may come", n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
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

// What was sent meanwhile, also the end of a connection, passes afterwards.
func TestHold(t *testing.T) {
	r := newRig(t)
	client, server := r.connect(t)
	passes(t, client, server, "before")
	passes(t, server, client, "before")
	r.Hold(Both, true)
	send(t, client, "question")
	send(t, server, "answer")
	newClient, newServer := r.connect(t)
	send(t, newClient, "new")
	if err := newClient.Close(); err != nil {
		t.Fatal(err)
	}
	silent(t, client)
	silent(t, server)
	silent(t, newServer)
	r.Hold(Both, false)
	arrives(t, server, "question")
	arrives(t, client, "answer")
	arrives(t, newServer, "new")
	if n, err := newServer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %d bytes, error %v, want the end", n, err)
	}
	passes(t, client, server, "after")
	passes(t, server, client, "after")
}

func TestHoldOneDirection(t *testing.T) {
	for name, test := range map[string]struct {
		held Direction
		ends func(client, server net.Conn) (held, free net.Conn)
	}{
		"to the target":   {ToTarget, func(client, server net.Conn) (held, free net.Conn) { return client, server }},
		"from the target": {FromTarget, func(client, server net.Conn) (held, free net.Conn) { return server, client }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			held, free := test.ends(r.connect(t))
			r.Hold(test.held, true)
			send(t, held, "held")
			silent(t, free)
			passes(t, free, held, "free")
			r.Hold(test.held, false)
			arrives(t, free, "held")
		})
	}
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

func TestCut(t *testing.T) {
	r := newRig(t)
	client, server := r.connect(t)
	passes(t, client, server, "before")
	r.Cut()
	isReset(t, client)
	isReset(t, server)
	client, server = r.connect(t)
	passes(t, client, server, "after")
}

func TestCutAfter(t *testing.T) {
	for name, test := range map[string]struct {
		limited Direction
		ends    func(client, server net.Conn) (from, to net.Conn)
	}{
		"to the target":   {ToTarget, func(client, server net.Conn) (from, to net.Conn) { return client, server }},
		"from the target": {FromTarget, func(client, server net.Conn) (from, to net.Conn) { return server, client }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			oldFrom, oldTo := test.ends(r.connect(t))
			passes(t, oldFrom, oldTo, "before")
			r.CutAfter(test.limited, 3)
			from, to := test.ends(r.connect(t))
			passes(t, to, from, "any number")
			send(t, from, "12345")
			arrives(t, to, "123")
			isReset(t, to)
			isReset(t, from)
			passes(t, oldFrom, oldTo, "more than three")
			r.CutAfter(test.limited, Unlimited)
			from, to = test.ends(r.connect(t))
			passes(t, from, to, "more than three")
		})
	}
	t.Run("at once", func(t *testing.T) {
		r := newRig(t)
		r.CutAfter(ToTarget, 0)
		r.refuses(t)
	})
}

// Close does not wait for what is held or late.
func TestClose(t *testing.T) {
	r := newRig(t)
	client, server := r.connect(t)
	passes(t, client, server, "before")
	r.Hold(ToTarget, true)
	r.SetLatency(time.Hour)
	send(t, client, "held")
	send(t, server, "late")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	isReset(t, client)
	isReset(t, server)
	if conn, err := net.Dial("tcp", r.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting: got %v, error %v, want %v", conn, err, syscall.ECONNREFUSED)
	}
}

func TestTargetIsDown(t *testing.T) {
	r := newRig(t)
	if err := r.target.Close(); err != nil {
		t.Fatal(err)
	}
	r.refuses(t)
}
