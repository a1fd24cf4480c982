package ports

import (
	"net"
	"testing"

	"facestream/internal/testkit"
)

func TestReach(t *testing.T) {
	for about, addr := range testkit.Strangers(t) {
		listens := about == "says nothing" || about == "closes"
		testkit.Equal(t, about, Reach(t.Context(), addr) == nil, listens)
	}
}

// Free ports are such that a server can have, that no client is given, and nobody else who asks
// before the server has begun.
func TestFree(t *testing.T) {
	const askers, n = 20, 50
	seen := map[int]bool{}
	for range askers {
		for _, port := range testkit.Value(Free(n))(t) {
			seen[port] = true
			if port < 1024 || port >= 32768 {
				t.Errorf("port %d", port)
			}
		}
	}
	if len(seen) != askers*n {
		t.Errorf("%d ports, want %d", len(seen), askers*n)
	}
	for port := range seen {
		l, err := net.Listen("tcp", Loopback(port))
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}
