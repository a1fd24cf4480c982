package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

const (
	// retryBudget is how long a call that fails for want of a connection is
	// tried again. The last try may go on for the timeouts below after it.
	retryBudget    = 90 * time.Second
	retryFirstWait = 50 * time.Millisecond
	retryMaxWait   = 2 * time.Second

	dialTimeout = 10 * time.Second
	// nameNodeTimeout is for one read or write on a NameNode connection, so for
	// one call.
	nameNodeTimeout = 15 * time.Second
	// dataNodeTimeout is for one read or write of at most 64 KB, and for the
	// answer that a replica has it.
	dataNodeTimeout = 30 * time.Second
)

// Exceptions after which the NameNode will do the same call a little later.
var passing = map[string]bool{
	"org.apache.hadoop.hdfs.server.namenode.SafeModeException": true,
	"org.apache.hadoop.ipc.RetriableException":                 true,
	"org.apache.hadoop.ipc.StandbyException":                   true,
}

// client is a connected client. Its defaults are fetched once, before anybody
// else has it, as the library fetches them without a lock.
type client struct {
	*hdfs.Client
	defaults hdfs.ServerDefaults
	broken   *atomic.Bool // its NameNode connection failed
}

// clients holds one client for each account.
type clients struct {
	nameNodeTimeout time.Duration
	retryBudget     time.Duration

	mu    sync.Mutex
	slots map[account]*slot
}

var ofProcess = &clients{nameNodeTimeout: nameNodeTimeout, retryBudget: retryBudget}

// slot holds the client of one account.
type slot struct {
	turn    chan struct{} // a lock that one can stop waiting for
	current *client
	// addresses are those of the NameNodes, the one to try first in front.
	addresses []string
}

// do runs call for a location until it succeeds, fails for good, or the budget
// is used up. Errors become *fs.PathError.
func (cs *clients) do(ctx context.Context, op string, l location, call func(*client) error) error {
	start := time.Now()
	for wait := retryFirstWait; ; wait = min(2*wait, retryMaxWait) {
		err := cs.try(ctx, l.account, call)
		if err == nil {
			return nil
		}
		err = interpret(err)
		if temporary(err) && ctx.Err() == nil {
			if time.Since(start)+wait < cs.retryBudget {
				if sleep(ctx, wait) == nil {
					continue
				}
			} else {
				err = fmt.Errorf("giving up after %v: %w", time.Since(start).Round(time.Millisecond), err)
			}
		}
		if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w, the last error was: %w", cause, err)
		}
		return &fs.PathError{Op: op, Path: l.String(), Err: err}
	}
}

func (cs *clients) try(ctx context.Context, a account, call func(*client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := cs.get(ctx, a)
	if err != nil {
		return err
	}
	return call(c)
}

// get returns the account's client, a new one if the last one is broken.
func (cs *clients) get(ctx context.Context, a account) (*client, error) {
	cs.mu.Lock()
	s := cs.slots[a]
	if s == nil {
		s = &slot{turn: make(chan struct{}, 1)}
		if cs.slots == nil {
			cs.slots = make(map[account]*slot)
		}
		cs.slots[a] = s
	}
	cs.mu.Unlock()

	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.current != nil && !s.current.broken.Load() {
		return s.current, nil
	}
	if s.current != nil {
		// Close waits for a call that is under way.
		go s.current.Close()
		s.current = nil
	}
	var err error
	s.current, err = cs.dial(s, a)
	return s.current, err
}

func (cs *clients) dial(s *slot, a account) (*client, error) {
	conf, err := hadoopconf.LoadFromEnvironment()
	if err != nil {
		return nil, settingError{fmt.Errorf("reading the Hadoop configuration: %w", err)}
	}
	options := hdfs.ClientOptionsFromConf(conf)
	if options.KerberosClient != nil {
		return nil, settingError{errors.New("the Hadoop configuration asks for Kerberos, which is not supported yet")}
	}
	if s.addresses == nil {
		if s.addresses, err = nameNodes(a.address, conf); err != nil {
			return nil, settingError{err}
		}
	}
	broken := new(atomic.Bool)
	options.Addresses = s.addresses
	options.User = a.user
	options.NamenodeDialFunc = dialer(cs.nameNodeTimeout, func() { broken.Store(true) })
	options.DatanodeDialFunc = dialer(dataNodeTimeout, func() {})

	// The library shakes hands without reading an answer; asking for the
	// defaults shows that a NameNode is there.
	c, err := hdfs.NewClient(options)
	if err == nil {
		var defaults hdfs.ServerDefaults
		if defaults, err = c.ServerDefaults(); err == nil {
			return &client{Client: c, defaults: defaults, broken: broken}, nil
		}
		go c.Close()
	}
	// A NameNode that accepts connections and does not answer must not be the
	// first for ever.
	s.addresses = append(s.addresses[1:], s.addresses[0])
	return nil, fmt.Errorf("connecting to NameNode %s: %w", strings.Join(options.Addresses, ", "), err)
}

// settingError is one that trying again does not mend.
type settingError struct{ error }

func (e settingError) Unwrap() error { return e.error }

// remoteError is a NameNode's exception with the first line of its text.
type remoteError struct {
	remote hdfs.Error
}

func (e remoteError) Error() string {
	text, _, _ := strings.Cut(e.remote.Message(), "\n")
	return e.remote.Method() + ": " + e.remote.Exception() + ": " + text
}

// interpret takes the library's path off an error, as the full name is put on,
// and turns exceptions into the errors of package fs also where the library
// does not.
func interpret(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		err = p.Err
	}
	var remote hdfs.Error
	if !errors.As(err, &remote) {
		return err
	}
	switch remote.Exception() {
	case "org.apache.hadoop.security.AccessControlException":
		return fs.ErrPermission
	case "java.io.FileNotFoundException":
		return fs.ErrNotExist
	}
	return remoteError{remote}
}

// temporary reports whether a call may succeed a little later. Except for
// exceptions and settings, everything that is no answer of the NameNode is
// about a connection.
func temporary(err error) bool {
	for _, final := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, syscall.ENOTEMPTY} {
		if errors.Is(err, final) {
			return false
		}
	}
	var setting settingError
	if errors.As(err, &setting) {
		return false
	}
	var e remoteError
	if errors.As(err, &e) {
		// addBlock has no exception of its own for a cluster whose DataNodes
		// have not come back yet.
		exception := e.remote.Exception()
		return passing[exception] || e.remote.Method() == "addBlock" && exception == "java.io.IOException"
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dialer returns a dial function whose connections give each read and write a
// timeout, and call failed when one fails.
func dialer(timeout time.Duration, failed func()) func(context.Context, string, string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, timeout: timeout, failed: failed}, nil
	}
}

type conn struct {
	net.Conn
	timeout time.Duration
	failed  func()
	limit   atomic.Int64 // the library's own deadline, Unix nanoseconds; 0 is none
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(c.deadline()); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Read(p)
	return n, c.fail(err)
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(c.deadline()); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Write(p)
	return n, c.fail(err)
}

// fail closes a connection that failed: the answer to a call that timed out
// would be taken for that to the next one.
func (c *conn) fail(err error) error {
	if err != nil {
		c.failed()
		_ = c.Close()
	}
	return err
}

func (c *conn) deadline() time.Time {
	t := time.Now().Add(c.timeout)
	if limit := c.limit.Load(); limit != 0 {
		if own := time.Unix(0, limit); own.Before(t) {
			return own
		}
	}
	return t
}

// SetDeadline keeps the library's own deadline beside the timeout.
func (c *conn) SetDeadline(t time.Time) error {
	var limit int64
	if !t.IsZero() {
		limit = t.UnixNano()
	}
	c.limit.Store(limit)
	return c.Conn.SetDeadline(c.deadline())
}
