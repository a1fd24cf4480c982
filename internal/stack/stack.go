package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/state"
	"facestream/internal/wait"
)

const (
	dirMode  = 0o755
	lockPoll = 50 * time.Millisecond
	viewPort = 8088 // if it is free
)

// up starts those of the named services that do not run, where they are wanted.
func up(ctx context.Context, dir string, names []string, wanted state.Addrs, out io.Writer) error {
	stack, unlock, err := load(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	switch _, secured := stack[state.KDC]; {
	case secured && !slices.Contains(names, state.KDC):
		names = append([]string{state.KDC}, names...)
	case !secured && len(stack) > 0 && slices.Contains(names, state.KDC):
		return errors.New("the services that were started are not secured: end them with down first")
	}
	if slices.Contains(names, state.YARN) && !slices.Contains(names, state.HDFS) {
		names = append([]string{state.HDFS}, names...)
	}
	o := services.Options{Files: stack.Addrs().HDFS}
	var missing []string
	for _, name := range names {
		s := stack[name]
		if s.Running() {
			if err := samePlace(name, wanted, s.Addrs); err != nil {
				return err
			}
			fmt.Fprintf(out, "%s was started before\n", name)
			continue
		}
		if err := proc.End(s.Processes, services.EndGrace); err != nil { // one of two may be left
			return err
		}
		stack[name] = state.Service{Addrs: s.Addrs}
		missing = append(missing, name)
		*o.Wants(name) = true
		o.Addrs = o.Addrs.Merge(free(s.Addrs))
	}
	if len(missing) == 0 {
		return status(ctx, dir, out)
	}
	o.Addrs = o.Addrs.Merge(wanted)
	begin := time.Now()
	fmt.Fprintf(out, "starting %s\n", list(missing))
	if err := start(ctx, dir, stack, missing, o); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready after %.1f s\n", time.Since(begin).Seconds())
	return status(ctx, dir, out)
}

// start starts the named services, and keeps the state such that down can end what runs.
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
		stack[name] = state.Service{Addrs: running.Of(name), Ready: true, Processes: stack[name].Processes}
	}
	if err := stack.Save(dir); err != nil {
		return errors.Join(err, running.Stop())
	}
	return nil
}

// samePlace returns an error if a service runs elsewhere than it is wanted.
func samePlace(name string, wanted, has state.Addrs) error {
	for _, a := range state.Addresses {
		if w, h := *a.In(&wanted), *a.In(&has); a.Service == name && w != "" && w != h {
			return fmt.Errorf("%s is wanted at %s, but runs at %s already: end it with down first", name, w, h)
		}
	}
	return nil
}

// free returns those of the addresses that nobody uses.
func free(addrs state.Addrs) state.Addrs {
	for _, a := range state.Addresses {
		if addr := a.In(&addrs); ports.Check(state.HostPort(*addr)) != nil {
			*addr = ""
		}
	}
	return addrs
}

// down ends all services and removes what they stored.
func down(ctx context.Context, dir string, out io.Writer) error {
	stack, unlock, err := load(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
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

// status prints what runs.
func status(_ context.Context, dir string, out io.Writer) error {
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	for _, name := range append(slices.Clone(state.Services), state.View) {
		s := stack[name]
		if !s.Running() {
			fmt.Fprintf(out, "%s is not running\n", name)
		} else {
			at := slices.IndexFunc(state.Addresses, func(a state.Address) bool { return a.Service == name })
			fmt.Fprintf(out, "%s is running at %s\n", name, strings.TrimPrefix(*state.Addresses[at].In(&s.Addrs), "hdfs://"))
		}
		for _, a := range state.Addresses {
			if a.Service == name && a.Pages != "" && s.Running() {
				fmt.Fprintf(out, "  web pages %s%s\n", *a.In(&s.Addrs), a.Pages)
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

// view starts the pages of the pictures in HDFS, unless they are there.
func view(ctx context.Context, dir string, out io.Writer) error {
	stack, unlock, err := load(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	if s := stack[state.View]; !s.Running() {
		if err := proc.End(s.Processes, services.EndGrace); err != nil {
			return err
		}
		stack[state.View] = state.Service{}
		o := services.Options{View: true, Addrs: free(state.Addrs{View: "http://" + ports.Loopback(viewPort)})}
		if err := start(ctx, dir, stack, []string{state.View}, o); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "to look at the faces: %s/ (make down ends this)\n", stack[state.View].Addrs.View)
	return nil
}

// env prints the addresses of what runs.
func env(_ context.Context, dir string, out io.Writer) error {
	stack, err := state.Load(dir)
	if err != nil {
		return err
	}
	addrs := stack.Addrs()
	if addrs.KDC != "" {
		for _, f := range services.ClientFiles {
			fmt.Fprintf(out, "%s=%s\n", f[0], filepath.Join(dir, f[1]))
		}
	}
	for _, a := range state.Addresses {
		if addr := *a.In(&addrs); addr != "" {
			fmt.Fprintf(out, "%s=%s\n", a.Env, addr)
		}
	}
	if addrs.YARNWeb != "" { // HDFS's settings are there, too
		fmt.Fprintf(out, "HADOOP_CONF_DIR=%s\n", filepath.Join(dir, state.YARN, "conf"))
	}
	return nil
}

// load reads the state in dir once no other command works on it, and keeps others away
// until unlock. It locks the folder around dir, which stays when down removes dir.
func load(ctx context.Context, dir string) (stack state.Stack, unlock func(), err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, dirMode); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil, nil, err
	}
	waited := wait.Until(ctx, lockPoll, func() bool {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		return !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR)
	})
	if waited != nil {
		err = fmt.Errorf("waiting for another up or down: %w", waited)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("locking %s: %w", parent, err), f.Close())
	}
	if stack, err = state.Load(dir); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return stack, func() { _ = f.Close() }, nil
}
