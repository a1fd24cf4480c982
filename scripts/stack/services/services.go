// Package services starts real services on this machine: a Kafka broker, and
// an HDFS NameNode and DataNode with the web file browser. They run from the
// Java parts that scripts/setup.sh installed, listen on the loopback address
// only, and count as started when a real operation has gone through them.
// scripts/stack uses it for the developer's stack, tests for their own.
package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/runners/parts"
	"facestream/scripts/stack/state"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	startTimeout   = 90 * time.Second      // until a service must have answered
	attemptTimeout = 20 * time.Second      // of one round of real operations
	pollEvery      = 50 * time.Millisecond // between two rounds
	endGrace       = 10 * time.Second      // between SIGTERM and SIGKILL
)

// Options says what to start.
type Options struct {
	Kafka bool
	HDFS  bool

	// Optional. host:port for the broker, the NameNode and its web pages; a
	// free port of the loopback address if empty.
	KafkaAddr string
	HDFSAddr  string
	WebAddr   string

	// Optional. If set, the processes outlive this one, and Started is called
	// with each as soon as it runs, so that it can be ended whatever happens.
	// If not set, they die with this process, however it ends.
	Started func(service string, p state.Process) error
}

// Stack is what was started.
type Stack struct {
	state.Addrs

	children *children
}

// Start starts services that keep their data, settings and logs in dir, and
// waits until each has done what it is for: the broker has passed a record on;
// HDFS has stored, given back (also through WebHDFS) and removed a file. A
// folder that was used before is used again with its data. In HDFS, "/",
// "/user" and "/tmp" are writable for everybody, as mode 1777; the superuser is
// called "hdfs".
//
// When a service does not start, the error ends with the last lines of its
// log, and nothing is left running.
func Start(ctx context.Context, dir string, o Options) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	java, err := parts.Java()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(dir, "log")
	if err := os.MkdirAll(logs, dirMode); err != nil {
		return nil, err
	}
	addrs, err := chooseAddrs(o.KafkaAddr, "", o.HDFSAddr, o.WebAddr)
	if err != nil {
		return nil, err
	}
	s := &Stack{children: &children{java: java, logs: logs, started: o.Started}}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	g, startCtx := errgroup.WithContext(startCtx)
	if o.Kafka {
		s.Kafka = addrs[0]
		g.Go(func() error {
			return startKafka(startCtx, s.children, filepath.Join(dir, state.Kafka), addrs[0], addrs[1])
		})
	}
	if o.HDFS {
		s.HDFS, s.Web = "hdfs://"+addrs[2], "http://"+addrs[3]
		g.Go(func() error {
			return startHDFS(startCtx, s.children, filepath.Join(dir, state.HDFS), addrs[2], addrs[3])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Stop ends the services. Their data stays.
func (s *Stack) Stop() error {
	return s.children.end()
}

// chooseAddrs returns the wanted addresses after looking that they are free,
// and a free one for each that is empty.
func chooseAddrs(wanted ...string) ([]string, error) {
	addrs := make([]string, len(wanted))
	for i, addr := range wanted {
		l, err := listen(addr)
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are chosen: none is given twice
		addrs[i] = l.Addr().String()
	}
	return addrs, nil
}

// listen opens an address, or a free one if it is empty. It looks for that
// below the ports that the kernel gives to outgoing connections: one of those
// could be taken by any client between here and the start of the service.
func listen(addr string) (net.Listener, error) {
	if addr != "" {
		return net.Listen("tcp", addr)
	}
	const low, high, tries = 20000, 32768, 100
	var last error
	for range tries {
		l, err := net.Listen("tcp", Loopback(low+rand.IntN(high-low)))
		if err == nil {
			return l, nil
		}
		last = err
	}
	return nil, fmt.Errorf("looking for a free port: %w", last)
}

// Loopback returns the address of a port on this machine. It is an IPv4
// address, because "localhost" may lead to IPv6, where nothing listens.
func Loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// prepareOnce runs prepare and marks the folder, unless it is marked: what was
// interrupted is done again.
func prepareOnce(dir string, prepare func() error) error {
	mark := filepath.Join(dir, "formatted")
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := prepare(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, fileMode)
}

// until repeats a round of operations until it goes through. It gives up when
// ctx is over or one of the processes has ended.
func until(ctx context.Context, what string, round func(context.Context) error, procs ...*child) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		roundCtx, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := round(roundCtx)
		cancel()
		if err == nil {
			return nil
		}
		for _, p := range procs {
			select {
			case <-p.ended:
				return p.failed()
			default:
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) { // the reason is elsewhere
				return ctx.Err()
			}
			return fmt.Errorf("waiting for %s: %w; last seen: %w%s", what, ctx.Err(), err, tails(procs))
		case <-tick.C:
		}
	}
}
