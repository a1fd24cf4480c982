// Package ports finds free ports for servers that are other programs.
package ports

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// Listen listens on a free port of the loopback address, below those that the kernel gives to
// outgoing connections: a client could take one of these before the server starts.
func Listen() (net.Listener, error) {
	const low, high, tries = 20000, 32768, 100
	var last error
	for range tries {
		l, err := net.Listen("tcp", Loopback(low+rand.IntN(high-low)))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("looking for a free port: %w", last)
}

// Free returns n different ports that nobody listens on.
func Free(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := Listen()
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are chosen: none is given twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
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
