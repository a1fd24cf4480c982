// Package runners runs Beam pipelines: on Prism inside this process and on the
// direct runner. It submits to the job service itself, over the SDK's runner
// library, because that library's own Execute takes a cancelled job and a
// broken stream for success.
package runners

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	//lint:ignore SA1019 Prism is what users get; this one needs no job service, which tests are glad of
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"

	// The harness runs inside this process.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init"
)

// The runners' names, as --runner takes them.
const (
	Prism  = "prism"
	Direct = "direct"
)

// cancelTimeout is how long a cancelled job may take to end.
const cancelTimeout = 10 * time.Second

// Runner runs pipelines one after the other.
type Runner interface {
	// Run runs p to its end. It returns nil only if the runner says that the
	// job is done. When ctx ends, the job is cancelled and the error is ctx's.
	Run(ctx context.Context, name string, p *beam.Pipeline) error
	Close()
}

// Open prepares a runner by name. beam.Init must have been called.
func Open(ctx context.Context, name string) (Runner, error) {
	switch name {
	case Direct:
		return directRunner{}, nil
	case Prism:
		client, err := prism.CreateJobServer(ctx, prism.Options{})
		if err != nil {
			return nil, fmt.Errorf("starting Prism: %w", err)
		}
		return openPortable(client)
	}
	return nil, fmt.Errorf("runner %q: it must be %s or %s", name, Prism, Direct)
}

type directRunner struct{}

func (directRunner) Run(ctx context.Context, _ string, p *beam.Pipeline) error {
	_, err := direct.Execute(ctx, p)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (directRunner) Close() {}

// portable submits to a job service, with the Go worker inside this process.
type portable struct {
	client jobpb.JobServiceClient
	worker *extworker.Loopback
}

func openPortable(client jobpb.JobServiceClient) (*portable, error) {
	// Not the caller's context: a worker must live on while its job is
	// cancelled.
	worker, err := extworker.StartLoopback(context.Background(), 0)
	if err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	return &portable{client: client, worker: worker}, nil
}

func (r *portable) Close() {
	_ = r.worker.Stop(context.Background())
}

func (r *portable) Run(ctx context.Context, name string, p *beam.Pipeline) error {
	id, err := r.submit(ctx, name, p)
	if err != nil {
		return fmt.Errorf("submitting the job: %w", err)
	}
	cause, err := r.follow(ctx, id)
	if ctx.Err() != nil {
		r.cancel(context.WithoutCancel(ctx), id)
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("following job %s: %w", id, err)
	}
	state, err := r.client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: id})
	if err != nil {
		return fmt.Errorf("asking for the state of job %s: %w", id, err)
	}
	if state.GetState() != jobpb.JobState_DONE {
		return fmt.Errorf("job %s: %s: %s", id, state.GetState(), cause)
	}
	return nil
}

func (r *portable) submit(ctx context.Context, name string, p *beam.Pipeline) (string, error) {
	edges, _, err := p.Build()
	if err != nil {
		return "", err
	}
	environment, err := graphx.CreateEnvironment(ctx, graphx.URNEnvExternal, r.worker.EnvironmentConfig)
	if err != nil {
		return "", err
	}
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return "", err
	}
	// Nothing is staged: the Go worker is this process, and the Java harness
	// has its class path on this machine.
	for _, e := range pipeline.GetComponents().GetEnvironments() {
		e.Dependencies = nil
	}
	prepared, _, token, err := runnerlib.Prepare(ctx, r.client, pipeline, &runnerlib.JobOptions{Name: name, Loopback: true})
	if err != nil {
		return "", err
	}
	return runnerlib.Submit(ctx, r.client, prepared, token)
}

// follow reads the job's messages until the job service closes the stream, and
// returns the first error among them, which is the cause of what follows.
func (r *portable) follow(ctx context.Context, id string) (cause string, err error) {
	stream, err := r.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
	if err != nil {
		return "", err
	}
	for {
		msg, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return cause, nil
		case err != nil:
			return cause, err
		}
		if m := msg.GetMessageResponse(); m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR && cause == "" {
			cause = strings.TrimSpace(m.GetMessageText())
		}
	}
}

// cancel ends the job and waits until it has ended, so that nothing of it runs
// on when the program leaves.
func (r *portable) cancel(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	if _, err := r.client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: id}); err != nil {
		return
	}
	_, _ = r.follow(ctx, id)
}
