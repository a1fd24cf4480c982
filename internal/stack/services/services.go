// Package services starts real services on this machine, for facestream-stack and for tests:
// Kafka, HDFS, clusters of Flink and of Spark with Beam's job servers, and YARN. They listen on
// the loopback address only (Beam's servers on all, whatever they are told), and count as
// started when a real operation has gone through them.
package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/rest"
	"facestream/internal/stack/state"
	"facestream/internal/wait"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
	host     = "127.0.0.1" // where servers listen

	startTimeout   = 3 * time.Minute       // until a service must have answered
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
	YARN  bool
	// KDC starts a KDC. In its folder, Kafka takes nobody without a password over TLS, and HDFS
	// nobody without a ticket; see Stack.Secret.
	KDC bool
	// View starts the pages of the pictures in the HDFS of the stack, which must run.
	View bool

	// Optional. Where the services listen; a free port of the loopback address if empty.
	Addrs state.Addrs

	// Files is the file system of YARN's applications, if these services have no HDFS.
	Files string

	// Optional. How many DataNodes HDFS has, "datanode", "datanode-2" and so on; 1 if zero.
	DataNodes int

	// Optional. How many NodeManagers, named likewise, share the memory of YARN; 1 if zero.
	NodeManagers int

	// Optional. Further settings of hdfs-site.xml by name; an empty one removes.
	HDFSSettings map[string]string

	// Optional. If set, the processes outlive this one, and Started is called with each as soon
	// as it runs. If not, they die with this process, however it ends.
	Started func(service string, p proc.Process) error

	// Optional. Hosts are the addresses of processes, by name, that run in network namespaces
	// of these names.
	Hosts map[string]string

	controller, jobManager, mutual string // host:port of what only the services themselves call
	yarn                           []int  // ports of the ResourceManager
}

// hostOf is the address of a process.
func (o *Options) hostOf(process string) string { return cmp.Or(o.Hosts[process], host) }

func (o *Options) at(process string, port int) string {
	return net.JoinHostPort(o.hostOf(process), strconv.Itoa(port))
}

// Wants returns the field of a service.
func (o *Options) Wants(service string) *bool {
	return map[string]*bool{state.Kafka: &o.Kafka, state.HDFS: &o.HDFS, state.Flink: &o.Flink, state.Spark: &o.Spark, state.YARN: &o.YARN, state.KDC: &o.KDC, state.View: &o.View}[service]
}

// service is a kind of service.
type service struct {
	name string
	// programs are what is to run from a folder: last the members, first what they register with.
	programs func(s *Stack, dir string, o Options) ([]javaProgram, error)
	// format prepares a new folder for the first program. Without it, each start is in one.
	format func(ctx context.Context, s *Stack, first javaProgram) error
	// members returns those that have registered, by names of their own. Nil if there are none.
	members func(context.Context, state.Addrs) ([]string, error)
	// works does what the service is for.
	works func(context.Context, *Stack) error
	// membersLast has members start when the others answer.
	membersLast bool
}

var kinds = []*service{
	{name: state.Kafka, programs: kafkaPrograms, format: formatKafka, works: tryKafka},
	{name: state.HDFS, programs: hdfsPrograms, format: formatHDFS, members: dataNodes, works: tryHDFS},
	kdc,
	// A new cluster knows nothing of an earlier one's jobs.
	{name: state.Flink, programs: flinkPrograms, members: taskManagers,
		works: func(ctx context.Context, s *Stack) error { return tryJobServer(ctx, s.Flink) }},
	// A Worker that finds no Master asks again after many seconds.
	{name: state.Spark, programs: sparkPrograms, members: sparkWorkers, membersLast: true,
		works: func(ctx context.Context, s *Stack) error { return tryJobServer(ctx, s.Spark) }},
	{name: state.YARN, programs: yarnPrograms, members: nodeManagers, works: tryYARN},
	{name: state.View, programs: viewPrograms, works: func(ctx context.Context, s *Stack) error {
		_, err := rest.Call(ctx, http.DefaultClient, http.MethodGet, s.View, "")
		return err
	}},
}

// Stack is what was started.
type Stack struct {
	state.Addrs
	Mutual string // host:port of the broker for clients with certificates, if it is secured

	java    string
	logs    string // folder
	hosts   map[string]string
	started func(service string, p proc.Process) error
	secrets secrets      // empty if services are open to all
	admins  atomic.Int64 // programs that Admin has run

	mu  sync.Mutex
	all []*child
}

// Start starts services that keep their data, settings and logs in dir, and waits until each
// has all of its members and has done what it is for. In a folder that was used before, the
// broker and HDFS find their data again. In HDFS, "/", "/user" and "/tmp" are writable for
// everybody, as mode 1777; the superuser is called "hdfs".
//
// When a service does not start, the error ends with the last lines of its log, and nothing is
// left running.
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
	if err := o.chooseAddrs(); err != nil {
		return nil, err
	}
	s := &Stack{Addrs: o.Addrs, Mutual: o.mutual, java: java, logs: logs, hosts: o.Hosts, started: o.Started}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	secured := filepath.Join(dir, state.KDC)
	if _, err := os.Stat(secured); err == nil || o.KDC {
		s.secrets = secrets(secured)
	}
	if o.KDC { // the others log in
		if err := s.start(startCtx, kdc, string(s.secrets), o); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	g, startCtx := errgroup.WithContext(startCtx)
	for _, kind := range kinds {
		if *o.Wants(kind.name) && kind != kdc {
			g.Go(func() error { return s.start(startCtx, kind, filepath.Join(dir, kind.name), o) })
		}
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// start starts a service in its folder and waits until it works.
func (s *Stack) start(ctx context.Context, kind *service, dir string, o Options) error {
	if kind.format == nil {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	programs, err := kind.programs(s, dir, o)
	if err != nil {
		return err
	}
	// What was interrupted is done again.
	mark := filepath.Join(dir, "formatted")
	if _, err := os.Stat(mark); err != nil && kind.format != nil {
		if err := kind.format(ctx, s, programs[0]); err != nil {
			return fmt.Errorf("formatting %s: %w", kind.name, err)
		}
		if err := os.WriteFile(mark, nil, fileMode); err != nil {
			return err
		}
	}
	var procs []*child
	members := 0
	for _, p := range programs {
		if p.member && members == 0 && kind.membersLast {
			if err := s.await(ctx, kind, nil, 0, false, procs...); err != nil {
				return err
			}
		}
		if p.member {
			members++
		}
		p.service = kind
		proc, err := s.startProgram(p, nil)
		if err != nil {
			return err
		}
		procs = append(procs, proc)
	}
	return s.await(ctx, kind, nil, members, true, procs...)
}

// await waits until so many members have registered that were not there before and, if it is
// tried, until the service works. It gives up when one of the processes has ended.
func (s *Stack) await(ctx context.Context, kind *service, before []string, members int, try bool, procs ...*child) error {
	return until(ctx, kind.name, func(ctx context.Context) error {
		if kind.members != nil {
			now, err := kind.members(ctx, s.Addrs)
			if err != nil {
				return err
			}
			now = slices.DeleteFunc(now, func(m string) bool { return slices.Contains(before, m) })
			if len(now) < members {
				return fmt.Errorf("%d of %d have registered", len(now), members)
			}
		}
		if !try {
			return nil
		}
		return kind.works(ctx, s)
	}, procs...)
}

// Restart ends a process, unless it has ended already, and starts it again with the same
// settings, folders and address. It waits until a member has registered; with the process that
// members register with, until all have that run. If then all processes of the service run, it
// also waits until the service does again what it is for. Jobs may run meanwhile.
//
// Restart the processes of a service one after the other, first that with which others register.
func (s *Stack) Restart(ctx context.Context, name string) error {
	old := s.find(name)
	if old == nil {
		return fmt.Errorf("restarting %s: the stack has no such process", name)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.restart(ctx, old); err != nil {
		return fmt.Errorf("restarting %s: %w", name, err)
	}
	return nil
}

func (s *Stack) restart(ctx context.Context, old *child) (err error) {
	kind := old.program.service
	var before []string
	if old.program.member { // it may count as registered though it is dead
		if before, err = kind.members(ctx, s.Addrs); err != nil {
			return err
		}
	}
	if err := old.End(EndGrace); err != nil {
		return err
	}
	again, err := s.startProgram(old.program, old)
	if err != nil {
		return err
	}
	members, whole := s.running(kind)
	if old.program.member {
		members = 1
	}
	return s.await(ctx, kind, before, members, whole, again)
}

// Process returns the newest process of a name; ok is false if there was none.
func (s *Stack) Process(name string) (p proc.Process, ok bool) {
	if child := s.find(name); child != nil {
		return child.Process, true
	}
	return proc.Process{}, false
}

// Processes returns what was started, or the replacement by Restart, also what has ended since.
func (s *Stack) Processes() []proc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	procs := make([]proc.Process, len(s.all))
	for i, child := range s.all {
		procs[i] = child.Process
	}
	return procs
}

// Stop ends the services. Their data stays.
func (s *Stack) Stop() error { return proc.End(s.Processes(), EndGrace) }

// chooseAddrs takes free ports for what has no address, and refuses addresses that are taken.
func (o *Options) chooseAddrs() error {
	const internal, yarn = 3, 4
	free, err := ports.Free(len(state.Addresses) + internal + yarn)
	if err != nil {
		return err
	}
	o.controller, o.jobManager, o.mutual = ports.Loopback(free[0]), o.at(jobManager, free[1]), ports.Loopback(free[2])
	o.yarn, free = free[internal:][:yarn], free[internal+yarn:]
	for i, a := range state.Addresses {
		switch addr := a.In(&o.Addrs); {
		case !*o.Wants(a.Service):
			*addr = ""
		case *addr == "":
			*addr = a.Scheme + o.at(a.Process, free[i])
		default:
			if err := ports.Check(state.HostPort(*addr)); err != nil {
				return err
			}
		}
	}
	return nil
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// until repeats a round of operations until it goes through, or one of the processes has ended.
func until(ctx context.Context, what string, round func(context.Context) error, procs ...*child) error {
	for {
		roundCtx, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := round(roundCtx)
		cancel()
		if err == nil {
			return nil
		}
		for _, p := range procs {
			if p.HasEnded() {
				return p.failed()
			}
		}
		if ended := wait.Sleep(ctx, pollEvery); errors.Is(ended, context.Canceled) { // the reason is elsewhere
			return ended
		} else if ended != nil {
			return fmt.Errorf("waiting for %s: %w; last seen: %w%s", what, ended, err, tails(procs))
		}
	}
}
