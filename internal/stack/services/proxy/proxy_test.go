package proxy

import (
	"io"
	"net"
	"testing"
	"time"

	"facestream/internal/testkit"
)

// An answer comes late. What else a proxy does is seen by the tests that need it: with nothing
// held and nothing cut, those of package hdfs and chaos fail.
func TestLatency(t *testing.T) {
	const latency = 100 * time.Millisecond
	p := testkit.Value(Start(testkit.Serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })))(t)
	defer p.Close()
	client := testkit.Value(net.Dial("tcp", p.Addr()))(t)
	defer client.Close()
	p.SetLatency(latency)
	began, answer := time.Now(), make([]byte, len("question"))
	testkit.Value(client.Write([]byte("question")))(t)
	testkit.Value(io.ReadFull(client, answer))(t)
	if took := time.Since(began); took < latency || string(answer) != "question" {
		t.Errorf("%q came back after %s, want it after %s or more", answer, took, latency)
	}
}
