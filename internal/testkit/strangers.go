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
	serve := func(do func()) string {
		l := Value(net.Listen("tcp", "127.0.0.1:0"))(t)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					do()
					c.Close()
				}()
			}
		}()
		return l.Addr().String()
	}
	nobody := Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	Must(t, nobody.Close())
	return map[string]string{
		"says nothing": serve(func() { <-ended }),
		"closes":       serve(func() {}),
		"refuses":      nobody.Addr().String(),
		"no such host": "nowhere.invalid:1",
	}
}
