// Package services starts real services on this machine: a Kafka broker, an
// HDFS NameNode and DataNodes with the web file browser, and clusters of Flink
// and of Spark, each with Beam's job server in front of it. They run from the
// Java parts that scripts/setup.sh installed, listen on the loopback address
// only (Beam's servers do not, whatever they are told), and count as started
// when a real operation has gone through them. scripts/stack uses it for the
// developer's stack, tests for their own.
package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"facestream/internal/proc"

	"golang.org/x/sync/errgroup"

	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/internal/stack/state"
)

const (
	dirMode  = 0o755
	fileMode = 0o644

	startTimeout   = 90 * time.Second      // until a service must have answered
	attemptTimeout = 20 * time.Second      // of one round of real operations
	pollEvery      = 50 * time.Millisecond // between two rounds

	// EndGrace is between SIGTERM and SIGKILL when services end.
	EndGrace = 10 * time.Second
)

// Options says what to start.
type Options struct {
	Kafka bool
	HDFS  bool
	Flink bool
	Spark bool

	// Optional. host:port for the broker, the NameNode and its web pages, the
	// job service and the web pages of Flink, and those of Spark; a free port
	// of the loopback address if empty.
	KafkaAddr string
	HDFSAddr  string
	WebAddr   string
	FlinkAddr string
	FlinkWeb  string
	SparkAddr string
	SparkWeb  string

	// Optional. How many DataNodes HDFS has, called "datanode", "datanode-2" and
	// so on; 1 if zero.
	DataNodes int

	// Optional. Further settings of hdfs-site.xml by name. They override those
	// made here.
	HDFSSettings map[string]string

	// Optional. If set, the processes outlive this one, and Started is called
	// with each as soon as it runs, also after Restart, so that it can be ended
	// whatever happens. If not set, they die with this process, however it ends.
	Started func(service string, p proc.Process) error
}

// Stack is what was started.
type Stack struct {
	state.Addrs

	children *children
	checks   map[string]*check // by service
	admins   atomic.Int64      // programs that Admin has run
}

// Start starts services that keep their data, settings and logs in dir, and
// waits until each has done what it is for: the broker has passed a record on;
// HDFS has all DataNodes and has stored, given back (also through WebHDFS) and
// removed a file; Flink's JobManager and Spark's Master have two workers of one
// slot each, all free, and the job servers answer over Beam's job API. In a
// folder that was used before, the broker and HDFS find their data again. In
// HDFS, "/", "/user" and "/tmp" are writable for everybody, as mode 1777; the
// superuser is called "hdfs".
//
// When a service does not start, the error ends with the last lines of its
// log, and nothing is left running.
func Start(ctx context.Context, dir string, o Options) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	java, err := paths.Java()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(dir, "log")
	if err := os.MkdirAll(logs, dirMode); err != nil {
		return nil, err
	}
	var controller, jobManager, master string
	err = chooseAddrs(&o.KafkaAddr, &controller, &o.HDFSAddr, &o.WebAddr,
		&o.FlinkAddr, &o.FlinkWeb, &jobManager, &o.SparkAddr, &o.SparkWeb, &master)
	if err != nil {
		return nil, err
	}
	s := &Stack{children: &children{java: java, logs: logs, started: o.Started}, checks: checks(o)}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	g, startCtx := errgroup.WithContext(startCtx)
	if o.Kafka {
		s.Kafka = o.KafkaAddr
		g.Go(func() error {
			return startKafka(startCtx, s.children, filepath.Join(dir, state.Kafka), o.KafkaAddr, controller, s.checks[state.Kafka])
		})
	}
	if o.HDFS {
		s.HDFS, s.Web = "hdfs://"+o.HDFSAddr, "http://"+o.WebAddr
		g.Go(func() error {
			return startHDFS(startCtx, s.children, filepath.Join(dir, state.HDFS), o, s.checks[state.HDFS])
		})
	}
	if o.Flink {
		s.Flink, s.FlinkWeb = o.FlinkAddr, "http://"+o.FlinkWeb
		g.Go(func() error {
			return startFlink(startCtx, s.children, filepath.Join(dir, state.Flink), o.FlinkAddr, o.FlinkWeb, jobManager, s.checks[state.Flink])
		})
	}
	if o.Spark {
		s.Spark, s.SparkWeb, s.SparkMaster = o.SparkAddr, "http://"+o.SparkWeb, "spark://"+master
		g.Go(func() error {
			return startSpark(startCtx, s.children, filepath.Join(dir, state.Spark), o.SparkAddr, o.SparkWeb, master, s.checks[state.Spark])
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Processes returns what was started, by name, in the order of their start, also
// what has ended since. Instead of a process that Restart has replaced it returns
// the replacement.
func (s *Stack) Processes() []proc.Process { return s.children.processes() }

// Stop ends the services. Their data stays.
func (s *Stack) Stop() error {
	return s.children.end()
}

// chooseAddrs looks whether addresses are free, and sets those that are empty
// to free ones.
func chooseAddrs(addrs ...*string) error {
	for _, addr := range addrs {
		l, err := listen(*addr)
		if err != nil {
			return err
		}
		defer l.Close() // held until all are chosen: none is given twice
		*addr = l.Addr().String()
	}
	return nil
}

// listen opens an address, or a free one if it is empty.
func listen(addr string) (net.Listener, error) {
	if addr != "" {
		return net.Listen("tcp", addr)
	}
	return ports.Listen()
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
			case <-p.Ended:
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
