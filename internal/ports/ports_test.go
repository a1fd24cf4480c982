package ports

import (
	"net"
	"testing"

	"facestream/internal/testkit"
)

// Free ports are such that a server can have, and that no client is given.
func TestFree(t *testing.T) {
	const n = 50
	got := testkit.Value(Free(n))(t)
	seen := map[int]bool{}
	for _, port := range got {
		if seen[port] {
			t.Errorf("port %d is given twice", port)
		}
		seen[port] = true
		if port < 1024 || port >= 32768 {
			t.Errorf("port %d", port)
		}
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			t.Error(err)
			continue
		}
		defer l.Close()
	}
	if len(seen) != n {
		t.Errorf("%d ports, want %d", len(seen), n)
	}
}
