package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"facestream/internal/proc"

	"facestream/internal/stack/services"
	"facestream/internal/stack/state"
)

const (
	dirMode  = 0o755
	lockPoll = 50 * time.Millisecond
)

// up starts what is wanted and does not run.
func up(ctx context.Context, dir string, w wanted, out io.Writer) error {
	unlock, err := lock(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	var o services.Options
	var missing []string
	for _, name := range w.services {
		s := stack[name]
		if s.Running() {
			if err := w.sameAddrs(name, s); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s was started before\n", name)
			continue
		}
		if err := proc.End(s.Processes, services.EndGrace); err != nil { // one of two may be left
			return err
		}
		s.Ready, s.Processes = false, nil
		stack[name] = s
		missing = append(missing, name)
		addr, webAddr := cmp.Or(w.addrs[name], ifFree(s.Addr)), cmp.Or(w.webAddrs[name], ifFree(s.WebAddr))
		switch name {
		case state.Kafka:
			o.Kafka, o.KafkaAddr = true, addr
		case state.HDFS:
			o.HDFS, o.HDFSAddr, o.WebAddr = true, addr, webAddr
		case state.Flink:
			o.Flink, o.FlinkAddr, o.FlinkWeb = true, addr, webAddr
		case state.Spark:
			o.Spark, o.SparkAddr, o.SparkWeb = true, addr, webAddr
		}
	}
	if len(missing) == 0 {
		return status(dir, out)
	}
	begin := time.Now()
	fmt.Fprintf(out, "starting %s\n", list(missing))
	if err := start(ctx, dir, stack, missing, o); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready after %.1f s\n", time.Since(begin).Seconds())
	return status(dir, out)
}

// start starts the named services and keeps the state up to date: from the
// moment a process runs, down can end it.
func start(ctx context.Context, dir string, stack state.Stack, names []string, o services.Options) error {
	var mu sync.Mutex
	o.Started = func(name string, p proc.Process) error {
		mu.Lock()
		defer mu.Unlock()
		s := stack[name]
		s.Processes = append(s.Processes, p)
		stack[name] = s
		return stack.Save(dir)
	}
	running, err := services.Start(ctx, dir, o)
	if err != nil {
		return err
	}
	for _, name := range names {
		s := stack[name]
		s.Ready = true
		switch name {
		case state.Kafka:
			s.Addr = running.Kafka
		case state.HDFS:
			s.Addr, s.WebAddr = strings.TrimPrefix(running.HDFS, "hdfs://"), hostPort(running.Web)
		case state.Flink:
			s.Addr, s.WebAddr = running.Flink, hostPort(running.FlinkWeb)
		case state.Spark:
			s.Addr, s.WebAddr, s.Master = running.Spark, hostPort(running.SparkWeb), running.SparkMaster
		}
		stack[name] = s
	}
	if err := stack.Save(dir); err != nil {
		return errors.Join(err, running.Stop())
	}
	return nil
}

// hostPort returns host:port of a service's web pages.
func hostPort(url string) string { return strings.TrimPrefix(url, "http://") }

// sameAddrs looks whether a running service is where it is wanted.
func (w wanted) sameAddrs(name string, s state.Service) error {
	for _, p := range [][2]string{{w.addrs[name], s.Addr}, {w.webAddrs[name], s.WebAddr}} {
		if p[0] != "" && p[0] != p[1] {
			return fmt.Errorf("%s is wanted at %s, but runs at %s already: end it with down first", name, p[0], p[1])
		}
	}
	return nil
}

// ifFree returns addr if nobody uses it.
func ifFree(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return ""
	}
	_ = l.Close()
	return addr
}

// down ends all services and removes what they stored.
func down(ctx context.Context, dir string, out io.Writer) error {
	unlock, err := lock(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	var procs []proc.Process
	for _, s := range stack {
		procs = append(procs, s.Processes...)
	}
	if err := proc.End(procs, services.EndGrace); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	fmt.Fprintln(out, "nothing runs, nothing is stored")
	return nil
}

// status says what runs.
func status(dir string, out io.Writer) error {
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	for _, name := range state.Services {
		s := stack[name]
		if !s.Running() {
			fmt.Fprintf(out, "%s is not running\n", name)
		} else {
			fmt.Fprintf(out, "%s is running at %s\n", name, s.Addr)
			switch name {
			case state.HDFS:
				fmt.Fprintf(out, "  file browser http://%s/explorer.html\n", s.WebAddr)
			case state.Flink, state.Spark:
				fmt.Fprintf(out, "  web pages http://%s\n", s.WebAddr)
			}
		}
		for _, p := range s.Processes {
			what := "process"
			if !p.Alive() {
				what = "ended: process"
			}
			fmt.Fprintf(out, "  %s: %s %d, log %s\n", p.Name, what, p.PID, p.Log)
		}
	}
	return nil
}

// env prints the addresses of what runs.
func env(dir string, out io.Writer) error {
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	addrs := stack.Addrs()
	for _, line := range [][2]string{
		{"KAFKA", addrs.Kafka},
		{"HDFS", addrs.HDFS}, {"HDFS_WEB", addrs.Web},
		{"FLINK_ENDPOINT", addrs.Flink}, {"FLINK_WEB", addrs.FlinkWeb},
		{"SPARK_ENDPOINT", addrs.Spark}, {"SPARK_WEB", addrs.SparkWeb}, {"SPARK_MASTER", addrs.SparkMaster},
	} {
		if line[1] != "" {
			fmt.Fprintf(out, "%s=%s\n", line[0], line[1])
		}
	}
	return nil
}

// lock waits until no other up or down works on the stack in dir. What it locks
// is the folder around dir, which stays when down removes dir.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, dirMode); err != nil {
		return nil, err
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", parent, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for another up or down: %w", ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}
