package hdfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"facestream/internal/kerberos"

	"github.com/colinmarc/hdfs/v2"
	krb "github.com/jcmturner/gokrb5/v8/client"
)

// client is a connected client. Its defaults are fetched when it is made, because the
// library fetches them without a lock.
type client struct {
	*hdfs.Client
	defaults hdfs.ServerDefaults
	umask    Umask
	broken   *atomic.Bool // its NameNode connection failed
	kerberos *krb.Client  // nil without Kerberos
	until    time.Time    // another one takes its place; zero is never
	folders  sync.Map     // paths that checkFolder has accepted
}

func (c *client) end() {
	_ = c.Close()
	if c.kerberos != nil {
		c.kerberos.Destroy()
	}
}

// connections is how many clients a process has for one account. The library
// makes one call to the NameNode at a time, so concurrent writers wait for each
// other.
const connections = 4

// clients holds a few clients for each account, which all file systems share.
type clients struct {
	connections     int // for each account; 0 is one
	nameNodeTimeout time.Duration
	dataNodeTimeout time.Duration
	retryBudget     time.Duration
	securedLife     time.Duration
	dialNameNode    dialFunc
	dialDataNode    dialFunc

	patient   atomic.Bool // see Patient
	answered  sync.Map    // accounts of which a NameNode has answered
	connected sync.Map    // accounts that have had a client

	mu    sync.Mutex
	slots map[account][]*slot
}

var ofProcess = &clients{
	connections:     connections,
	nameNodeTimeout: nameNodeTimeout,
	dataNodeTimeout: dataNodeTimeout,
	retryBudget:     retryBudget,
	securedLife:     securedLife,
	dialNameNode:    dialTCP,
	dialDataNode:    dialTCP,
}

type slot struct {
	calls   atomic.Int64  // under way
	turn    chan struct{} // a lock for which a context can end the waiting
	current *client
	// addresses are those of the NameNodes, in the order in which they are tried.
	addresses []string
	closed    int // how often a connection was closed without an answer
	// failed is when connecting failed last, and err how.
	failed time.Time
	err    error
}

// get returns the client of a slot. It replaces one that is broken.
func (cs *clients) get(ctx context.Context, s *slot, a account) (*client, error) {
	asked := time.Now()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	old := s.current != nil && !s.current.until.IsZero() && asked.After(s.current.until)
	if s.current != nil && !s.current.broken.Load() && !old {
		return s.current, nil
	}
	// Callers that waited share the error of the first. Otherwise each would take the
	// timeout of a NameNode that hangs, one after the other.
	if s.failed.After(asked) {
		return nil, s.err
	}
	if s.current != nil {
		// Close waits for the calls of others.
		grace := time.Duration(0)
		if old {
			grace = securedGrace
		}
		time.AfterFunc(grace, s.current.end)
		s.current = nil
	}
	c, err := cs.dial(s, a)
	if err != nil {
		s.failed, s.err = time.Now(), err
		return nil, err
	}
	s.current = c
	return c, nil
}

// slot gives a call the first of the account's slots with the fewest calls under way. Each
// client renews its leases once a second, so one that nobody needs is not made.
func (cs *clients) slot(a account) *slot {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.slots == nil {
		cs.slots = make(map[account][]*slot)
	}
	slots := cs.slots[a]
	if slots == nil {
		for range max(1, cs.connections) {
			slots = append(slots, &slot{turn: make(chan struct{}, 1)})
		}
		cs.slots[a] = slots
	}
	s := slots[0] // first of all: each has an order of NameNodes of its own
	if _, connected := cs.connected.Load(a); connected || cs.patient.Load() {
		s = slices.MinFunc(slots, func(s, t *slot) int { return cmp.Compare(s.calls.Load(), t.calls.Load()) })
	}
	s.calls.Add(1)
	return s
}

func (cs *clients) dial(s *slot, a account) (*client, error) {
	var mask Umask
	var secure Security
	conf, err := loadConf()
	if err == nil {
		mask, err = umask()
	}
	if err == nil {
		secure, err = security()
	}
	if err != nil {
		return nil, finalError{err}
	}
	conf = secure.overlaid(conf)
	options := hdfs.ClientOptionsFromConf(conf)
	if options.KerberosClient != nil {
		if options.KerberosClient, err = secure.Client(); err != nil {
			if errors.Is(err, kerberos.ErrNoKDC) {
				return nil, err
			}
			return nil, finalError{err}
		}
	}
	if s.addresses == nil {
		if s.addresses, err = nameNodes(a.address, conf); err != nil {
			return nil, finalError{err}
		}
	}
	broken := new(atomic.Bool)
	var stranger atomic.Pointer[strangerError]
	var unknown atomic.Pointer[net.DNSError] // of the library's errors, only the text is left
	options.Addresses = s.addresses
	options.User = a.user
	answers := func() bool { return cs.answers(a) }
	dial := dialFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := cs.dialNameNode.within(firstTimeout, answers)(ctx, network, address)
		if lookup := (*net.DNSError)(nil); errors.As(err, &lookup) && lookup.IsNotFound {
			unknown.Store(lookup)
		}
		return c, err
	})
	timeout := func() time.Duration {
		if !answers() {
			return min(firstTimeout, cs.nameNodeTimeout)
		}
		return cs.nameNodeTimeout
	}
	options.NamenodeDialFunc = dial.through(func(c net.Conn, address string) net.Conn {
		c = &conn{Conn: c, timeout: timeout, failed: func() { broken.Store(true) }}
		return &nameNodeConn{Conn: c, address: address,
			answered: func() { cs.answered.Store(a, nil) }, met: func(err strangerError) { stranger.Store(&err) }}
	})
	options.DatanodeDialFunc = cs.dialDataNode.within(firstDial, func() bool { return cs.writes(a) }).through(func(c net.Conn, address string) net.Conn {
		dataNodes.Store(dataNode{a.address, address}, nil)
		return dataConn{&conn{Conn: c, timeout: func() time.Duration { return cs.dataNodeTimeout }, failed: func() {}}}
	})

	// The library connects without reading an answer. Asking for the defaults shows
	// that a NameNode is there.
	c, err := hdfs.NewClient(options)
	if err == nil {
		var defaults hdfs.ServerDefaults
		if defaults, err = c.ServerDefaults(); err == nil {
			s.closed = 0
			cs.connected.Store(a, nil)
			made := &client{Client: c, defaults: defaults, umask: mask, broken: broken, kerberos: options.KerberosClient}
			if made.kerberos != nil {
				made.until = time.Now().Add(cs.securedLife)
			}
			return made, nil
		}
		go c.Close()
	}
	if options.KerberosClient != nil {
		options.KerberosClient.Destroy()
		err = explainSecurity(err)
	}
	// The next try begins with another NameNode: this one may accept connections and
	// never answer.
	s.addresses = append(s.addresses[1:], s.addresses[0])
	err = fmt.Errorf("connecting to NameNode %s: %w", strings.Join(options.Addresses, ", "), err)
	if met := stranger.Load(); met != nil {
		// A NameNode that ends while it is asked closes its connections, too.
		_, answered := cs.answered.Load(a)
		if s.closed++; len(met.said) > 0 || s.closed >= maxClosed && !answered {
			return nil, finalError{*met}
		}
		return nil, *met
	}
	if lookup := unknown.Load(); lookup != nil && len(options.Addresses) == 1 && !answers() {
		return nil, finalError{fmt.Errorf("connecting to the NameNode that --output names: %w", lookup)}
	}
	if strings.HasSuffix(err.Error(), wantsKerberos) {
		return nil, finalError{fmt.Errorf("%w: it may ask for Kerberos: have $HADOOP_CONF_DIR name the folder of the cluster's settings", err)}
	}
	return nil, err
}

// wantsKerberos ends the library's error when a NameNode refuses a client without
// Kerberos: its answer belongs to no call.
const wantsKerberos = "unexpected sequence number"
