package testkit

import (
	"net"
	"testing"
)

// Strangers returns addresses, host:port, at which what is looked for is not, by what happens
// there. It is over at the end of the test.
func Strangers(t testing.TB) map[string]string {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	nobody := Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	Must(t, nobody.Close())
	return map[string]string{
		"says nothing": Serve(t, func(net.Conn) { <-ended }),
		"closes":       Serve(t, func(net.Conn) {}),
		"refuses":      nobody.Addr().String(),
		"no such host": "nowhere.invalid:1",
	}
}

// Serve accepts connections at the address that it returns, host:port, until the end of the
// test, and closes each when what it does with it has returned.
func Serve(t testing.TB, do func(net.Conn)) string {
	t.Helper()
	l := Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	return l.Addr().String()
}
