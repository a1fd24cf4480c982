package ports

import (
	"net"
	"testing"

	"facestream/internal/testkit"
)

func TestReach(t *testing.T) {
	for about, addr := range testkit.Strangers(t) {
		listens := about == "says nothing" || about == "closes"
		if err := Reach(t.Context(), addr); (err == nil) != listens {
			t.Errorf("%s: %v", about, err)
		}
	}
}

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
