// Package proxy puts a bad network between two parts: a TCP proxy on the
// loopback address that can be slow, hold what passes, and break connections.
package proxy

import (
	"context"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"facestream/internal/wait"
)

// Direction is the way that bytes go.
type Direction int

const (
	ToTarget Direction = iota
	FromTarget
)

// chunk is how many bytes pass at once, at most.
const chunk = 64 << 10

// Proxy passes connections on to a target. Its methods may be called at any time. What was read
// from one side before a change may still reach the other.
type Proxy struct {
	target   string
	listener *net.TCPListener
	ctx      context.Context // until Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	lanes   [2]lane // by direction
	latency time.Duration
}

// lane is how one direction is, for all connections.
type lane struct {
	open   chan struct{}      // closed while bytes may pass
	limit  int64              // for new connections
	holdAt func(piece []byte) // holds from a certain piece on; nil if that is not asked
}

// Start starts a proxy to host:port that does no harm yet. A client's connection
// is reset if the target cannot be reached.
func Start(target string) (*Proxy, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	open := make(chan struct{})
	close(open)
	free := lane{open: open, limit: math.MaxInt64}
	p := &Proxy{target: target, listener: listener, lanes: [2]lane{free, free}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(func() {
		for {
			client, err := listener.AcceptTCP()
			if err != nil { // closed
				return
			}
			p.running.Go(func() { p.serve(client) })
		}
	})
	return p, nil
}

// Addr returns where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close breaks all connections, and returns when none is served any more.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.running.Wait()
	return err
}

// CutAfter breaks each connection made from now on, with a reset for both ends, as soon as so
// many bytes have been passed on in a direction. With zero, none comes to be.
func (p *Proxy) CutAfter(d Direction, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[d].limit = n
}

// Hold lets nothing pass in a direction while it is on, not even the end of a connection.
// Connections stay open, new ones are accepted, and senders go on until the buffers are full.
// When it is switched off, everything passes that was sent meanwhile.
func (p *Proxy) Hold(d Direction, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.lanes[d]
	l.holdAt = nil
	select {
	case <-l.open:
		if on {
			l.open = make(chan struct{})
		}
	default:
		if !on {
			close(l.open)
		}
	}
}

// HoldAt holds as Hold does, which also ends this, from the piece on for which at reports true.
// The channel is closed when it has happened. at is called by one goroutine at a time.
func (p *Proxy) HoldAt(d Direction, at func(piece []byte) bool) (held <-chan struct{}) {
	happened := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.lanes[d]
	l.holdAt = func(piece []byte) {
		if at(piece) {
			l.open, l.holdAt = make(chan struct{}), nil
			close(happened)
		}
	}
	return happened
}

// SetLatency delays by d each piece of what the target answers: at most 64 KiB pass in this
// time. Zero ends that for what is read from then on.
func (p *Proxy) SetLatency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// serve makes the connection to the target and passes on what comes.
func (p *Proxy) serve(client *net.TCPConn) {
	conn, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	target := conn.(*net.TCPConn)
	ctx, cut := context.WithCancel(p.ctx)
	defer cut()
	unbroken := context.AfterFunc(ctx, func() {
		reset(client)
		reset(target)
	})
	p.mu.Lock()
	to, from := p.lanes[ToTarget].limit, p.lanes[FromTarget].limit
	p.mu.Unlock()
	var pumps sync.WaitGroup
	pump := func(d Direction, from, to *net.TCPConn, limit int64) {
		pumps.Go(func() {
			if !p.pump(ctx, d, from, to, limit) {
				cut()
			}
		})
	}
	pump(ToTarget, client, target, to)
	pump(FromTarget, target, client, from)
	pumps.Wait()
	if unbroken() {
		_ = client.Close()
		_ = target.Close()
	}
}

// pump passes bytes in one direction, and reports whether they have ended without a break.
func (p *Proxy) pump(ctx context.Context, d Direction, from io.Reader, to *net.TCPConn, limit int64) bool {
	buf := make([]byte, chunk)
	for limit > 0 {
		n, readErr := from.Read(buf[:min(chunk, limit)])
		if !p.pass(ctx, d, buf[:n]) {
			return false
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return false
		}
		limit -= int64(n)
		if readErr != nil {
			return readErr == io.EOF && to.CloseWrite() == nil
		}
	}
	return false
}

// pass waits until what was read may pass on, and reports whether the connection still holds.
func (p *Proxy) pass(ctx context.Context, d Direction, piece []byte) bool {
	p.mu.Lock()
	latency := p.latency
	p.mu.Unlock()
	if d == FromTarget && latency > 0 && wait.Sleep(ctx, latency) != nil {
		return false
	}
	p.mu.Lock()
	l := &p.lanes[d]
	if l.holdAt != nil {
		l.holdAt(piece)
	}
	open := l.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset closes a connection so that the other end gets an error instead of an end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
