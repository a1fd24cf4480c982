// Package proxy puts a bad network between two parts: a TCP proxy on the
// loopback address that can be slow, hold what passes, and break connections.
package proxy

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

// Direction is the way that bytes go.
type Direction int

const (
	ToTarget Direction = 1 << iota
	FromTarget

	Both = ToTarget | FromTarget
)

// Unlimited as the limit of CutAfter never breaks a connection.
const Unlimited = math.MaxInt64

// chunk is how many bytes pass at once, at most.
const chunk = 64 << 10

// Proxy passes connections on to a target. Its methods may be called at any
// time by any goroutine.
//
// What was read from one side before a change may still reach the other, as
// packets do that were under way.
type Proxy struct {
	target   string
	listener *net.TCPListener
	ctx      context.Context // until Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	err      error // of the listener; read after running

	mu      sync.Mutex
	lanes   map[Direction]*lane
	latency time.Duration
	links   map[*link]struct{}
	closed  bool
}

// lane is how one direction is, for all connections.
type lane struct {
	open   chan struct{}           // closed while bytes may pass
	limit  int64                   // for new connections
	holdAt func(piece []byte) bool // reports whether to hold from this piece on; nil if that is not asked
}

// link is one connection from a client to the target.
type link struct {
	client, target *net.TCPConn
	broken         chan struct{}
	breakOnce      func()
}

// Start starts a proxy to host:port that does no harm yet. A client's connection
// is reset if the target cannot be reached.
func Start(target string) (*Proxy, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, links: map[*link]struct{}{}, lanes: map[Direction]*lane{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, d := range []Direction{ToTarget, FromTarget} {
		open := make(chan struct{})
		close(open)
		p.lanes[d] = &lane{open: open, limit: Unlimited}
	}
	p.running.Go(p.accept)
	return p, nil
}

// Addr returns where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close breaks all connections and listens no more. Nothing of the proxy runs
// when it returns.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	err := p.listener.Close()
	p.Cut()
	p.running.Wait()
	return errors.Join(p.err, err)
}

// Cut breaks all connections; both ends get a reset. One on which nothing has
// passed yet may be missed.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.breakOnce()
	}
}

// CutAfter breaks each connection made from now on as soon as so many bytes
// have been passed on in a direction; Both counts each by itself. Both ends get
// a reset. With zero, none comes to be.
func (p *Proxy) CutAfter(d Direction, n int64) {
	p.change(d, func(l *lane) { l.limit = n })
}

// Hold lets nothing pass in a direction while it is on, not even the end of a
// connection, as a firewall that drops packets. Connections stay open, new ones
// are accepted, and senders go on until the buffers on the way are full. When
// it is switched off, everything passes that was sent meanwhile.
func (p *Proxy) Hold(d Direction, on bool) {
	p.change(d, func(l *lane) {
		l.holdAt = nil
		switch held := !isClosed(l.open); {
		case on && !held:
			l.open = make(chan struct{})
		case !on && held:
			close(l.open)
		}
	})
}

// HoldAt lets everything pass in one direction until at reports true for a piece of
// it, as it was read. That piece and all that follows are held, as by Hold, which also
// ends this. The channel is closed when it has happened. at is called by one goroutine
// at a time.
func (p *Proxy) HoldAt(d Direction, at func(piece []byte) bool) (held <-chan struct{}) {
	happened := make(chan struct{})
	p.change(d, func(l *lane) {
		l.holdAt = func(piece []byte) bool {
			if !at(piece) {
				return false
			}
			close(happened)
			return true
		}
	})
	return happened
}

// SetLatency delays by d what the target answers, one piece of at most 64 KiB
// after the other: no more than that passes in this time. Zero ends that for
// what is read from then on.
func (p *Proxy) SetLatency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

func (p *Proxy) change(d Direction, f func(*lane)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for of, lane := range p.lanes {
		if d&of != 0 {
			f(lane)
		}
	}
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.err = err
			return
		}
		p.running.Go(func() { p.serve(conn) })
	}
}

// serve makes the connection to the target and passes on what comes.
func (p *Proxy) serve(client *net.TCPConn) {
	conn, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, target: conn.(*net.TCPConn), broken: make(chan struct{})}
	l.breakOnce = sync.OnceFunc(func() {
		close(l.broken)
		reset(l.client)
		reset(l.target)
	})
	to, from, ok := p.add(l)
	if !ok {
		l.breakOnce()
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(l, ToTarget, client, l.target, to) })
	pumps.Go(func() { p.pump(l, FromTarget, l.target, client, from) })
	pumps.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	_ = client.Close() // in order, if it has not been broken
	_ = l.target.Close()
}

// add notes a connection and returns its limits; ok is false after Close.
func (p *Proxy) add(l *link) (to, from int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, 0, false
	}
	p.links[l] = struct{}{}
	return p.lanes[ToTarget].limit, p.lanes[FromTarget].limit, true
}

// pump passes bytes in one direction until they end or the connection breaks.
func (p *Proxy) pump(l *link, d Direction, from io.Reader, to *net.TCPConn, limit int64) {
	buf := make([]byte, chunk)
	for limit > 0 {
		n, readErr := from.Read(buf[:min(chunk, limit)])
		if !p.pass(l, d, buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			break
		}
		limit -= int64(n)
		if readErr == io.EOF {
			if to.CloseWrite() != nil {
				break
			}
			return
		}
		if readErr != nil {
			break
		}
	}
	l.breakOnce()
}

// pass waits until what was read may pass on. It reports whether the connection
// is not broken.
func (p *Proxy) pass(l *link, d Direction, piece []byte) bool {
	p.mu.Lock()
	latency := p.latency
	p.mu.Unlock()
	if d == FromTarget && latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.broken:
			return false
		}
	}
	p.mu.Lock()
	lane := p.lanes[d]
	if lane.holdAt != nil && lane.holdAt(piece) {
		lane.open, lane.holdAt = make(chan struct{}), nil
	}
	open := lane.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-l.broken:
		return false
	}
}

// reset closes a connection so that the other end gets an error instead of an
// end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
