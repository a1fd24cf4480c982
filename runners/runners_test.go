package runners_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/rest"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/runners/goharness"
)

func init() {
	beam.RegisterFunction(fail)
	beam.RegisterFunction(succeed)
	beam.RegisterFunction(hang)
}

func TestMain(m *testing.M) {
	beam.Init()
	if goharness.Wanted() { // a cluster has started it
		fmt.Fprintln(os.Stderr, goharness.Main(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(testservices.Main(m.Run))
}

func fail([]byte) error { return errors.New("the disk is made of cheese") }

func succeed([]byte) error { return nil }

// hang calls the address it is given and waits for an answer that never comes.
func hang(ctx context.Context, url string) error {
	_, err := rest.Call(ctx, http.DefaultClient, http.MethodGet, url, "")
	return err
}

func open(t *testing.T, c runners.Config) runners.Runner {
	t.Helper()
	r := testkit.Value(runners.Open(t.Context(), c))(t)
	t.Cleanup(r.Close)
	return r
}

// runs runs a job of one call of a function.
func runs(t *testing.T, r runners.Runner, fn func([]byte) error, name string) error {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, fn, beam.Impulse(s))
	return r.Run(t.Context(), name, p)
}

// mustBeShort checks that an error is one for a person.
func mustBeShort(t *testing.T, err error) {
	t.Helper()
	if lines := strings.Count(fmt.Sprint(err), "\n"); lines > 12 {
		t.Errorf("the error has %d lines:\n%v", lines, err)
	}
}

// A failed job is an error that names the cause, and the runner runs the next
// job all the same.
func TestRunFails(t *testing.T) {
	for _, name := range []string{runners.Prism, runners.Direct} {
		t.Run(name, func(t *testing.T) { testRunFails(t, open(t, runners.Config{Dir: t.TempDir(), Name: name})) })
	}
}

func testRunFails(t *testing.T, r runners.Runner) {
	t.Helper()
	err := runs(t, r, fail, "fails")
	testkit.Says(t, "a failed job", err, "made of cheese")
	mustBeShort(t, err)
	testkit.Says(t, "the next job", runs(t, r, succeed, "works"), "")
}

// A job under way is cancelled with its context.
func TestRunIsCancelled(t *testing.T) {
	testRunIsCancelled(t, open(t, runners.Config{Dir: t.TempDir(), Name: runners.Prism}))
}

func testRunIsCancelled(t *testing.T, r runners.Runner) {
	t.Helper()
	called, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(called) })
		<-release
	}))
	defer server.Close()
	defer close(release)
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, hang, beam.Create(s, server.URL))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-called
		cancel()
	}()
	if err := r.Run(ctx, "hangs", p); !errors.Is(err, context.Canceled) || errors.Is(err, runners.ErrNotCancelled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// The expansion service, its harness and their pool of workers answer this machine only,
// until they are closed. Then the service is gone with its files.
func TestExpansion(t *testing.T) {
	testkit.NotShort(t, "needs the Java parts")
	dir := t.TempDir()
	scratch := func() []string { return testkit.Value(filepath.Glob(filepath.Join(dir, "tmp", "*")))(t) }
	e := runners.NewExpansion(dir)
	addr := testkit.Value(e.Next(t.Context()))(t)
	testkit.Equal(t, "folders while it runs", len(scratch()), 1)
	java := testkit.Processes(t, func(p proc.Running) bool { return p.Parent == os.Getpid() && p.Has("KeptFnHarness") })
	if len(java) != 1 {
		t.Fatalf("its processes are %v, want one", java)
	}
	testkit.Must(t, runners.AskExpansion(t.Context(), addr))
	at := testkit.Listeners(t, java[0].PID)
	if len(at) != 1 || at[0].String() != addr || !at[0].Addr().IsLoopback() {
		t.Errorf("it listens on %v, want %s alone", at, addr)
	}
	for _, own := range testkit.Listeners(t, os.Getpid()) {
		if !own.Addr().IsLoopback() {
			t.Errorf("this program listens on %s", own)
		}
	}
	e.Close()
	if ports.Reach(t.Context(), addr) == nil {
		t.Error("it still answers after Close")
	}
	testkit.Equal(t, "what is left after Close", scratch(), nil)
}

// What is not at the address that a user has given is said to be so before anything is started
// or submitted.
func TestWrongAddresses(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute) // no longer than a cluster's own patience
	defer stop()
	var asked sync.WaitGroup
	for about, addr := range testkit.Strangers(t) {
		for _, c := range []runners.Config{
			{Name: runners.Flink, Endpoint: addr}, {Name: runners.Spark, Endpoint: addr}, {Name: runners.Flink, Master: addr, Parallelism: 1}, {Name: runners.Spark, Master: "spark://" + addr},
		} {
			c.Dir = t.TempDir()
			asked.Go(func() {
				r, err := runners.Open(ctx, c)
				if err == nil {
					r.Close()
				}
				if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), addr) {
					t.Errorf("%s, --endpoint=%s --master=%s: error %v, want one with the address, before %v", about, c.Endpoint, c.Master, err, ctx.Err())
				}
				testkit.Gives(filepath.Glob(filepath.Join(c.Dir, "*")))(t, "what was started, "+about, nil)
			})
		}
	}
	asked.Wait()
}

// A cluster is elsewhere if its address is no address of this machine.
func TestElsewhere(t *testing.T) {
	for addr, want := range map[string]bool{"": false, "127.0.0.1:1": false, "127.0.0.2:1": false, "localhost:1": false, "[::1]:1": false, "203.0.113.1:1": true, "no such host:1": false} {
		// Without a way to a network nothing is elsewhere.
		if way, err := net.Dial("udp", "203.0.113.1:1"); err != nil {
			want = false
		} else {
			way.Close()
		}
		for _, c := range []runners.Config{{Endpoint: addr}, {Master: addr}, {Master: "spark://" + addr}} {
			testkit.Equal(t, c, c.Elsewhere(), want)
		}
	}
}
