package hdfs

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// dialFunc is as in net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
}

// bounded returns a dial function whose connections give each read and write a
// timeout, and call failed when one fails.
func bounded(dial dialFunc, timeout time.Duration, failed func()) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, timeout: timeout, failed: failed}, nil
	}
}

// toDataNode returns a dial function as bounded does, for connections over which
// blocks are written.
func toDataNode(dial dialFunc, timeout time.Duration) dialFunc {
	dial = bounded(dial, timeout, func() {})
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return dataConn{c}, nil
	}
}

type conn struct {
	net.Conn
	timeout time.Duration
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
	t := time.Now().Add(c.timeout)
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
