package runners

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"

	"facestream/runners/goharness"

	// The harness runs inside this process.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init"
)

const (
	// cancelTimeout is how long a cancelled job may take to end.
	cancelTimeout = time.Minute
	// pollInterval is how often a job service is asked for a job's state: a job
	// server that hangs keeps the stream of messages open.
	pollInterval = 5 * time.Second
	// answerTimeout is how long a job service may take to answer a question.
	answerTimeout = 20 * time.Second

	// embeddedURN is the environment inside of the JVM of a Flink or Spark
	// worker, which has the Java parts in its class path.
	embeddedURN = "EMBEDDED"
)

// errFinished ends the waiting for a job that has ended well.
var errFinished = errors.New("the job has finished")

// portable submits to a job service.
type portable struct {
	config  Config
	client  jobpb.JobServiceClient
	worker  *extworker.Loopback // nil if the cluster starts the workers
	options options
	close   func() // ends what belongs to the client
}

func openPortable(c Config, client jobpb.JobServiceClient, close func()) (*portable, error) {
	r := &portable{config: c, client: client, close: close, options: newOptions(c)}
	if c.Cluster() {
		return r, nil
	}
	// Not the caller's context: a worker must live on while its job is
	// cancelled.
	worker, err := extworker.StartLoopback(context.Background(), 0)
	if err != nil {
		return nil, fmt.Errorf("starting the worker: %w", err)
	}
	r.worker = worker
	return r, nil
}

func (r *portable) Close() {
	if r.worker != nil {
		_ = r.worker.Stop(context.Background())
	}
	r.close()
}

func (r *portable) Run(ctx context.Context, name string, p *beam.Pipeline) error {
	if r.config.Name == Spark && r.config.Endpoint != "" {
		if err := r.awaitTurn(ctx); err != nil {
			return err
		}
	}
	if r.config.Name == Flink {
		// Its cluster knows jobs by their names, those of others and ended ones too.
		name += "-" + strings.ToLower(rand.Text()[:8])
	}
	id, err := r.submit(ctx, name, p)
	if err != nil {
		return fmt.Errorf("submitting the job: %w", err)
	}
	master := ""
	if r.config.Name == Flink && r.config.Cluster() {
		// Also when ctx has just ended: it is needed to cancel the job.
		if master, err = r.flinkMaster(context.WithoutCancel(ctx), id); err != nil {
			return fmt.Errorf("asking for the cluster of job %s: %w", id, err)
		}
	}
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if master != "" {
		go func() {
			if finishedOnFlink(waiting, master, name) {
				stop(errFinished)
			}
		}()
	}
	cause, err := r.awaitEnd(waiting, id)
	if context.Cause(waiting) == errFinished {
		return nil
	}
	if ctx.Err() != nil {
		if err := r.cancel(context.WithoutCancel(ctx), id, name, master); err != nil {
			return fmt.Errorf("%w: job %s: %w", ErrNotCancelled, id, err)
		}
		return context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("following job %s: the job server does not answer any more: %w", id, err)
		if master == "" { // the job ends with the job server
			return err
		}
		return errors.Join(err, r.abandon(ctx, id, name, master))
	}
	state, err := r.state(ctx, id)
	if err != nil {
		return fmt.Errorf("asking for the state of job %s: %w", id, err)
	}
	if state != jobpb.JobState_DONE {
		return fmt.Errorf("job %s: %s: %s", id, state, rootCause(cause))
	}
	return nil
}

func (r *portable) submit(ctx context.Context, name string, p *beam.Pipeline) (string, error) {
	edges, _, err := p.Build()
	if err != nil {
		return "", err
	}
	environment, err := r.environment(ctx)
	if err != nil {
		return "", err
	}
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return "", err
	}
	ours := ""
	for id, e := range pipeline.GetComponents().GetEnvironments() {
		// Nothing is staged: the program is where it runs, and so are the Java
		// parts.
		e.Dependencies = nil
		// The other environments are Java's. Only Prism has no JVM of its own for
		// them.
		own := e.GetUrn() == environment.GetUrn() && bytes.Equal(e.GetPayload(), environment.GetPayload())
		if own {
			ours = id
		}
		if r.config.Name != Prism && !own {
			e.Urn, e.Payload = embeddedURN, nil
		}
	}
	if r.config.Name == Flink {
		onlyReshuffles(pipeline, ours)
	}
	options, err := r.options.proto(name)
	if err != nil {
		return "", err
	}
	prepared, err := r.client.Prepare(ctx, &jobpb.PrepareJobRequest{
		JobName: name, Pipeline: pipeline, PipelineOptions: options,
	})
	if err != nil {
		return "", err
	}
	run, err := r.client.Run(ctx, &jobpb.RunJobRequest{
		PreparationId: prepared.GetPreparationId(), RetrievalToken: prepared.GetStagingSessionToken(),
	})
	return run.GetJobId(), err
}

// onlyReshuffles has Flink shuffle by Beam's Reshuffle in the given environment only.
// Flink's optimizer keeps the property "evenly distributed" through every function, so
// after KafkaIO's own Reshuffle it would drop ours. Others' are expanded into their
// parts, which group by random keys.
func onlyReshuffles(pipeline *pipepb.Pipeline, environment string) {
	for _, t := range pipeline.GetComponents().GetTransforms() {
		if t.GetSpec().GetUrn() == graphx.URNReshuffle && t.GetEnvironmentId() != environment {
			t.Spec = nil
		}
	}
}

// environment says where the DoFns run.
func (r *portable) environment(ctx context.Context) (*pipepb.Environment, error) {
	if r.worker != nil {
		return graphx.CreateEnvironment(ctx, graphx.URNEnvExternal, r.worker.EnvironmentConfig)
	}
	config, err := goharness.Environment(r.config.Worker)
	if err != nil {
		return nil, err
	}
	return graphx.CreateEnvironment(ctx, graphx.URNEnvProcess, func(context.Context) string { return config })
}

// awaitEnd reads the job's messages until the job service closes the stream, and
// returns the first error among them, which is the cause of what follows. It
// gives up on a service that does not answer any more.
func (r *portable) awaitEnd(ctx context.Context, id string) (cause string, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stream, err := r.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
	if err != nil {
		return "", err
	}
	go func() {
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := r.state(ctx, id); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("asking for its state: %w", err))
			}
		}
	}()
	for {
		msg, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return cause, nil
		case err != nil && ctx.Err() != nil:
			return cause, context.Cause(ctx)
		case err != nil:
			return cause, err
		}
		if m := msg.GetMessageResponse(); m.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR && cause == "" {
			cause = m.GetMessageText()
		}
	}
}

func (r *portable) state(ctx context.Context, id string) (jobpb.JobState_Enum, error) {
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	state, err := r.client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: id})
	return state.GetState(), err
}

// cancel ends the job and waits until it has ended, so that nothing of it runs
// on when the program leaves. master is the Flink cluster's, if it is one.
func (r *portable) cancel(ctx context.Context, id, name, master string) error {
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	if _, err := r.client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: id}); err != nil {
		return err
	}
	if master != "" {
		return cancelFlink(ctx, master, name)
	}
	_, err := r.awaitEnd(ctx, id)
	return err
}

// abandon cancels a job of a Flink cluster whose job server is lost: the cluster
// would see that only after a while, and its slots are wanted.
func (r *portable) abandon(ctx context.Context, id, name, master string) error {
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	if err := cancelFlink(ctx, master, name); err != nil {
		return fmt.Errorf("%w: job %s: %w", ErrNotCancelled, id, err)
	}
	return nil
}
