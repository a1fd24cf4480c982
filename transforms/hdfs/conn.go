package hdfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// dialFunc is as in net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
}

// within returns a dial function with a limit for what is not known to answer.
func (dial dialFunc) within(limit time.Duration, known func() bool) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if !known() {
			first, stop := context.WithTimeout(ctx, limit)
			defer stop()
			ctx = first
		}
		return dial(ctx, network, address)
	}
}

// through returns a dial function of connections that go through what wrap makes of them.
func (dial dialFunc) through(wrap func(c net.Conn, address string) net.Conn) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return wrap(c, address), nil
	}
}

const (
	// maxFirstAnswer bounds a NameNode's first answer, which is of some 100 bytes, or an
	// exception with its stack.
	maxFirstAnswer = 64 << 10
	// maxClosed is how often an address that never answered may close a connection.
	maxClosed = 6
)

type strangerError struct {
	address string
	said    []byte // first of all; nothing if it closed the connection
}

func (e strangerError) Error() string {
	const wants = "give the port of its RPC, as in fs.defaultFS (8020 is usual)"
	switch {
	case len(e.said) == 0:
		return fmt.Sprintf("%s closed the connection without an answer, which a NameNode does not do: %s", e.address, wants)
	case bytes.HasPrefix(e.said, []byte("HTTP")):
		return fmt.Sprintf("%s is a web port, maybe that of the NameNode: %s", e.address, wants)
	}
	return fmt.Sprintf("%s does not speak the NameNode's protocol, its answer begins with %q: %s", e.address, e.said, wants)
}

// nameNodeConn looks whether the first answer is one of a NameNode, before the library makes
// room for as many bytes as a stranger says, and calls answered or met.
type nameNodeConn struct {
	net.Conn
	address  string
	answered func()
	met      func(strangerError)
	known    bool
	first    []byte // what is left of the first answer
}

func (c *nameNodeConn) Read(p []byte) (int, error) {
	if !c.known {
		if err := c.meet(); err != nil {
			return 0, err
		}
	}
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// meet reads the first answer: four bytes of its length, and messages that have each its
// own length before them.
func (c *nameNodeConn) meet() error {
	head := make([]byte, 4)
	n, err := io.ReadFull(c.Conn, head)
	if err != nil && (n > 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET)) {
		return err
	}
	stranger := strangerError{c.address, head[:n]}
	if length := binary.BigEndian.Uint32(head); length > 0 && length <= maxFirstAnswer {
		c.first = append(head, make([]byte, length)...)
		if _, err := io.ReadFull(c.Conn, c.first[len(head):]); err != nil {
			return err
		}
		rest := c.first[len(head):]
		for n := 1; n > 0 && len(rest) > 0; rest = rest[max(n, 0):] {
			_, n = protowire.ConsumeBytes(rest)
		}
		if c.known = len(rest) == 0; c.known {
			c.answered()
			return nil
		}
	}
	c.met(stranger)
	_ = c.Close()
	return stranger
}

// dataNodes has the DataNodes that this process was connected to.
var dataNodes sync.Map // of dataNode

// dataNode is a DataNode's address, host:port, and that of the NameNode that gave it.
type dataNode struct{ nameNode, address string }

// DataNodes returns the addresses of those that have files of the HDFS of a name.
func DataNodes(name string) []string {
	_, nameNode, _, _ := split(name)
	return reached(nameNode)
}

func reached(nameNode string) (addrs []string) {
	for key := range dataNodes.Range {
		if d := key.(dataNode); d.nameNode == nameNode {
			addrs = append(addrs, d.address)
		}
	}
	slices.Sort(addrs)
	return addrs
}

// conn gives each read and write a timeout, and calls failed when one fails.
type conn struct {
	net.Conn
	timeout func() time.Duration
	failed  func()
	limit   atomic.Int64 // the library's own deadline, Unix nanoseconds; 0 is none
	first   atomic.Pointer[error]
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(c.deadline()); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Read(p)
	return n, c.fail(err)
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(c.deadline()); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Write(p)
	return n, c.fail(err)
}

// fail closes a connection that failed, because the library would take a late answer
// for that to its next call. It drops what has not been sent, so that no call is done
// after it was tried again. Further reads and writes return the first error.
func (c *conn) fail(err error) error {
	if err == nil {
		return nil
	}
	c.first.CompareAndSwap(nil, &err)
	c.failed()
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
	return *c.first.Load()
}

func (c *conn) deadline() time.Time {
	t := time.Now().Add(c.timeout())
	if limit := c.limit.Load(); limit != 0 {
		if own := time.Unix(0, limit); own.Before(t) {
			return own
		}
	}
	return t
}

// SetDeadline keeps the library's own deadline beside the timeout.
func (c *conn) SetDeadline(t time.Time) error {
	var limit int64
	if !t.IsZero() {
		limit = t.UnixNano()
	}
	c.limit.Store(limit)
	return c.Conn.SetDeadline(c.deadline())
}

// dataConn is a connection to a DataNode. It reports a failed write only by the failed
// read of the acknowledgement after it: after a failed write, the library leaks its
// goroutines and up to 64 KB.
type dataConn struct{ net.Conn }

func (c dataConn) Write(p []byte) (int, error) {
	_, _ = c.Conn.Write(p)
	return len(p), nil
}
