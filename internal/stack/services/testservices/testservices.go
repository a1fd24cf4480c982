// Package testservices gives tests real services: those of the stack that "make test"
// has started for all packages, else some that the first test of a package starts and
// Main ends; or, for a test that does harm to them, its own.
package testservices

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/internal/yarnrm"
)

// stateEnv is the environment variable with the absolute state directory of the stack
// that all packages share.
const stateEnv = "FACESTREAM_TEST_STATE"

// suffix is this process's.
var suffix = strings.ToLower(rand.Text()[:8])

// Name returns base with a suffix that other processes do not have: packages share their
// services, so that topics, groups and folders need names of their own.
func Name(base string) string { return base + "-" + suffix }

var shared struct {
	mu     sync.Mutex
	dir    string
	stacks []*services.Stack // of which each holds other services
	addrs  state.Addrs       // of all of them, and of the stack of all packages
	err    error

	clusters clusters
}

// Main runs a package's tests, m.Run or what stands for it, ends the services,
// and returns the exit status. Call it in TestMain.
func Main(run func() int) (status int) {
	status = run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the tests' services:", err)
		status = 1
	}
	return status
}

// Start returns the addresses of the services that the test needs, and maybe of others. Of o,
// only the names of services count. It skips the test under -short.
//
// Until the test ends, tests of no other package have Flink or Spark if it has: each
// job may take all slots.
func Start(t testing.TB, o services.Options) state.Addrs {
	t.Helper()
	testkit.NotShort(t, "needs real services, which take seconds to start")
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.err == nil {
		shared.err = start(o)
	}
	if shared.err != nil {
		t.Fatal("starting the tests' services: ", shared.err)
	}
	if o.Flink || o.Spark {
		shared.clusters.take(t)
	}
	return shared.addrs
}

// Own returns a stack that is the test's own, to do with as it likes: it ends
// with the test, and nothing is left of it. It skips the test under -short.
func Own(t testing.TB, o services.Options) *services.Stack {
	t.Helper()
	testkit.NotShort(t, "needs real services, which take seconds to start")
	stack := testkit.Value(services.Start(context.Background(), t.TempDir(), o))(t)
	t.Cleanup(func() { testkit.Must(t, stack.Stop()) })
	return stack
}

// Proxy starts one that ends with the test.
func Proxy(t testing.TB, target string) *proxy.Proxy {
	t.Helper()
	p := testkit.Value(proxy.Start(target))(t)
	t.Cleanup(func() { testkit.Must(t, p.Close()) })
	return p
}

// DialHDFS returns a client of HDFS that ends with the test.
func DialHDFS(t testing.TB, addr, user string) *hdfs.Client {
	t.Helper()
	client := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{state.HostPort(addr)}, User: user}))(t)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Jobs returns those of Flink, Spark and YARN that have not ended.
func Jobs(t testing.TB, addrs state.Addrs) (out []string) {
	t.Helper()
	var flink struct {
		Jobs []struct{ Name, State string }
	}
	testkit.GetJSON(t, addrs.FlinkWeb+"/jobs/overview", &flink)
	for _, job := range flink.Jobs {
		if !slices.Contains([]string{"FINISHED", "FAILED", "CANCELED"}, job.State) {
			out = append(out, job.Name+" "+job.State)
		}
	}
	var spark struct{ ActiveApps []struct{ Name, ID string } }
	testkit.GetJSON(t, addrs.SparkWeb+"/json/", &spark)
	for _, app := range spark.ActiveApps {
		out = append(out, app.Name+" "+app.ID)
	}
	if addrs.YARNWeb != "" {
		apps := testkit.Value(yarnrm.Applications(t.Context(), addrs.YARNWeb, url.Values{"states": {"NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING"}}))(t)
		for _, app := range apps {
			out = append(out, app.Name+" "+app.ID)
		}
	}
	return out
}

// start starts what o names and is not there yet.
func start(o services.Options) error {
	if dir := os.Getenv(stateEnv); dir != "" && len(shared.stacks) == 0 {
		shared.addrs, _ = state.Running(dir)
	}
	var missing services.Options
	for _, name := range state.Services {
		*missing.Wants(name) = *o.Wants(name) && !shared.addrs.Has(name)
	}
	if !missing.Kafka && !missing.HDFS && !missing.Flink && !missing.Spark {
		return nil
	}
	if shared.dir == "" {
		dir, err := os.MkdirTemp("", "facestream-test-")
		if err != nil {
			return err
		}
		shared.dir = dir
	}
	stack, err := services.Start(context.Background(), shared.dir, missing)
	if err != nil {
		return err
	}
	shared.stacks = append(shared.stacks, stack)
	shared.addrs = shared.addrs.Merge(stack.Addrs)
	return nil
}

func stop() error {
	var err error
	for _, stack := range shared.stacks {
		err = errors.Join(err, stack.Stop())
	}
	if shared.dir != "" {
		err = errors.Join(err, os.RemoveAll(shared.dir))
	}
	return err
}

// clusters is held by this process while one of its tests has them.
type clusters struct {
	mu    sync.Mutex
	tests int
	lock  *os.File // of all processes; nil without a stack of all packages
}

// take waits for the tests of other packages, and lets go when the test ends.
func (c *clusters) take(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if dir := os.Getenv(stateEnv); dir != "" && c.tests == 0 {
		c.lock = testkit.Value(os.Create(filepath.Join(dir, "clusters.lock")))(t)
		testkit.Must(t, syscall.Flock(int(c.lock.Fd()), syscall.LOCK_EX))
	}
	c.tests++
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.tests--; c.tests == 0 && c.lock != nil {
			_ = c.lock.Close()
			c.lock = nil
		}
	})
}
