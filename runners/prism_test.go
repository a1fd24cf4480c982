package runners

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/testkit"
)

func init() {
	beam.RegisterFunction(pass)
	beam.RegisterFunction(kill)
}

func pass([]byte) {}

// dying is the server that kill ends.
var dying *service

func kill([]byte) {
	_ = dying.Cmd.Process.Kill()
	<-dying.Ended
}

func prismForTest(t *testing.T) *prismRunner {
	t.Helper()
	r := testkit.Value(Open(t.Context(), Config{Dir: t.TempDir(), Name: Prism}))(t)
	t.Cleanup(r.Close)
	return r.(*prismRunner)
}

// runs runs a job of one call of a function.
func runs(ctx context.Context, r Runner, fn func([]byte)) error {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, fn, beam.Impulse(s))
	return r.Run(ctx, "one", p)
}

// Because a Prism keeps something of each job, another one follows after some of
// them, and the one before has ended.
func TestPrismIsRenewed(t *testing.T) {
	before := prismJobs
	defer func() { prismJobs = before }()
	prismJobs = 2
	r := prismForTest(t)
	var servers []*service
	served := map[*service]int{}
	for range 6 {
		testkit.Must(t, runs(t.Context(), r, pass))
		if served[r.server]++; served[r.server] == 1 {
			servers = append(servers, r.server)
		}
	}
	testkit.Equal(t, "servers of six jobs", len(servers), 3)
	for i, s := range servers {
		testkit.Equal(t, fmt.Sprintf("server %d has ended", i), s.HasEnded(), i < len(servers)-1)
	}
}

// When Prism dies, the job has failed, and the next one runs.
func TestPrismDies(t *testing.T) {
	r := prismForTest(t)
	dying = r.server
	testkit.Says(t, "a dead Prism", runs(t.Context(), r, kill), "Prism, which ran the job, has ended", r.server.log)
	testkit.Must(t, runs(t.Context(), r, pass))
}

// A Prism that cannot be followed by another one is an error, and no more.
func TestPrismDoesNotStartAgain(t *testing.T) {
	r := prismForTest(t)
	r.server.close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if runs(ctx, r, pass) == nil {
		t.Error("no error although Prism could not be started")
	}
	r.Close()
	testkit.Must(t, runs(t.Context(), r, pass))
}

// Because the JVM of an expansion service keeps something of each job, another one
// follows after some of them, and after one that has died.
func TestExpansionIsRenewed(t *testing.T) {
	testkit.NotShort(t, "needs the Java parts")
	before := expansionJobs
	defer func() { expansionJobs = before }()
	expansionJobs = 2
	e := NewExpansion(t.TempDir())
	defer e.Close()
	var served []*service
	for range 3 {
		testkit.Value(e.Next(t.Context()))(t)
		served = append(served, e.service)
	}
	if served[0] != served[1] || served[1] == served[2] || !served[0].HasEnded() {
		t.Error("three jobs were not served by two services, one after the other")
	}
	testkit.Must(t, e.service.Process.Kill())
	<-e.service.Ended
	if addr, err := e.Next(t.Context()); err != nil || addr == served[2].addr || e.service.HasEnded() {
		t.Errorf("%s, %v, want another service", addr, err)
	}
}
