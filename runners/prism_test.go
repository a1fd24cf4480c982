package runners

import (
	"context"
	"strings"
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

func runsOneJob(t *testing.T, r *prismRunner) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, pass, beam.Impulse(s))
	testkit.Must(t, r.Run(t.Context(), "passes", p))
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
		runsOneJob(t, r)
		if served[r.server]++; served[r.server] == 1 {
			servers = append(servers, r.server)
		}
	}
	if len(servers) != 3 {
		t.Errorf("%d servers ran 6 jobs, want one for each %d", len(servers), prismJobs)
	}
	for i, s := range servers {
		if last := i == len(servers)-1; s.HasEnded() == last {
			t.Errorf("server %d of %d: has it ended? %v, want %v", i+1, len(servers), last, !last)
		}
	}
}

// When Prism dies, the job has failed, and the next one runs.
func TestPrismDies(t *testing.T) {
	r := prismForTest(t)
	dying = r.server
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, kill, beam.Impulse(s))
	err := r.Run(t.Context(), "dies", p)
	if err == nil || !strings.Contains(err.Error(), "Prism, which ran the job, has ended") || !strings.Contains(err.Error(), r.server.log) {
		t.Errorf("error %v, want one that says that Prism has ended, and where its log is", err)
	}
	runsOneJob(t, r)
}

// A Prism that cannot be followed by another one is an error, and no more.
func TestPrismDoesNotStartAgain(t *testing.T) {
	r := prismForTest(t)
	r.server.close()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, pass, beam.Impulse(s))
	if err := r.Run(ctx, "does not start", p); err == nil {
		t.Error("no error although Prism could not be started")
	}
	r.Close()
	runsOneJob(t, r)
}

// Because the JVM of an expansion service keeps something of each job, another one
// follows after some of them, and after one that has died.
func TestExpansionIsRenewed(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the Java parts")
	}
	before := expansionJobs
	defer func() { expansionJobs = before }()
	expansionJobs = 2
	e := NewExpansion(t.TempDir())
	defer e.Close()
	var served []*service
	for range 3 {
		if _, err := e.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
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
