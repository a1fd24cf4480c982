// Package ports finds free ports for servers that are other programs.
package ports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Free returns n ports that nobody listens on. For a minute, nobody else is given them: a
// connection that has ended is left there, past which a server listens that sets SO_REUSEADDR,
// as Go's and Java's do.
func Free(n int) (free []int, err error) {
	// Below those that the kernel gives to outgoing connections: a client could take one of
	// these before the server starts.
	const low, high, tries = 20000, 32768, 100
	for left := tries; len(free) < n; left-- {
		port := low + rand.IntN(high-low)
		if err = claim(port); err == nil {
			free, left = append(free, port), tries
		} else if left == 0 {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
	}
	return free, nil
}

// claim leaves the end of a connection at a port, which fails where there is one already.
func claim(port int) error {
	alone := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0) })
		return errors.Join(err, failed)
	}}
	l, err := alone.Listen(context.Background(), "tcp", Loopback(port))
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	// No server could listen past the end of a connection of that listener: this one sets
	// SO_REUSEADDR.
	if l, err = net.Listen("tcp", Loopback(port)); err != nil {
		return err
	}
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		return err
	}
	return in.Close() // first: its end is what is left
}

// Check returns an error if somebody listens on an address of this machine.
func Check(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// Reach returns an error unless somebody accepts a connection at an address.
func Reach(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Loopback returns the address of a port on this machine. It is an IPv4
// address, because "localhost" may lead to IPv6, where nothing listens.
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
