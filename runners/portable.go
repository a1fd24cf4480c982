package runners

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"facestream/internal/wait"
	"facestream/runners/goharness"
	"facestream/runners/jobserver"

	// The harness runs inside this process.
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init"
)

const (
	// cancelTimeout is how long a cancelled job may take to end.
	cancelTimeout = time.Minute
	// pollInterval is how often a job service is asked for a job's state: a job
	// server that hangs keeps the stream of messages open.
	pollInterval = 5 * time.Second
	cancelPoll   = 100 * time.Millisecond
	// answerTimeout is how long a job service may take to answer a question.
	answerTimeout = 20 * time.Second
	// firstTimeout is for the first answer at an address that a user has given, maybe wrongly.
	firstTimeout = 8 * time.Second

	// embeddedURN is the environment inside of the JVM of a Flink or Spark worker.
	embeddedURN = "EMBEDDED"
)

// ends are the states that a job does not leave.
var ends = []jobpb.JobState_Enum{jobpb.JobState_DONE, jobpb.JobState_FAILED, jobpb.JobState_CANCELLED, jobpb.JobState_DRAINED, jobpb.JobState_UPDATED}

// errFinished ends the waiting for a job that has ended well.
var errFinished = errors.New("the job has finished")

// portable submits to a job service.
type portable struct {
	config  Config
	conn    *grpc.ClientConn
	client  jobpb.JobServiceClient // of conn
	worker  *extworker.Loopback    // nil if the cluster starts the workers
	master  string                 // host:port of the Flink cluster's REST API, once that is known
	options options
	slots   int     // of a Spark cluster, once they are counted
	yarn    *onYARN // nil elsewhere

	closeServer func()
}

// openPortable connects to a job server, which must answer within a time. closeServer ends it,
// with the runner or if there is an error.
func openPortable(ctx context.Context, c Config, addr string, within time.Duration, closeServer func()) (*portable, error) {
	conn, err := dialJobServer(ctx, addr, within)
	if err != nil {
		closeServer()
		return nil, err
	}
	r := &portable{config: c, conn: conn, client: jobpb.NewJobServiceClient(conn), closeServer: closeServer, options: newOptions(c)}
	if r.onFlinkCluster() {
		r.master = c.Master
	}
	if c.Master == YARN && c.Worker == "" {
		r.config.Worker = "./" + jobserver.WorkerName // in the container
	}
	if len(c.Options) > 0 {
		_, err = optionNames(ctx, r.client, c.Options)
	}
	if err == nil && !c.Cluster() {
		// Not the caller's context: a worker must live on while its job is cancelled.
		r.worker, err = extworker.StartLoopback(context.Background(), 0)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *portable) Close() {
	if r.worker != nil {
		_ = r.worker.Stop(context.Background())
	}
	_ = r.conn.Close()
	r.closeServer()
}

func (r *portable) Slots(ctx context.Context) (int, error) {
	if n, ok := r.options["parallelism"].(int); ok {
		return n, nil
	}
	if r.config.Name != Spark {
		return runtime.GOMAXPROCS(0), nil
	}
	var err error
	if r.slots == 0 {
		r.slots, err = r.countSlots(ctx)
	}
	return r.slots, err
}

func (r *portable) Run(ctx context.Context, name string, p *beam.Pipeline) error {
	_, err := r.run(ctx, name, p)
	return err
}

// run is Run, and returns the job's id.
func (r *portable) run(ctx context.Context, name string, p *beam.Pipeline) (id string, err error) {
	if r.config.Name == Spark && r.config.Endpoint != "" {
		if err := r.awaitTurn(ctx); err != nil {
			return "", err
		}
	}
	if r.config.Name == Flink {
		// Its cluster knows jobs by their names, those of others and ended ones too.
		name += "-" + strings.ToLower(rand.Text()[:8])
	}
	if id, err = r.submit(ctx, name, p); err != nil {
		return "", fmt.Errorf("submitting the job: %w", err)
	}
	ended, err := r.follow(ctx, id, name)
	if err != nil && ctx.Err() == nil {
		err = r.yarn.explain(err)
	}
	if ended {
		return id, err
	}
	cancelErr := r.cancel(context.WithoutCancel(ctx), id, name)
	if status.Code(cancelErr) == codes.Unavailable && r.config.Endpoint == "" {
		cancelErr = nil // the job has ended with the job server, which is a child
	}
	if cancelErr != nil {
		cancelErr = fmt.Errorf("%w: job %s: %w", ErrNotCancelled, id, cancelErr)
	}
	if ctx.Err() != nil {
		return id, cmp.Or(cancelErr, context.Cause(ctx))
	}
	return id, errors.Join(err, cancelErr)
}

func init() { beam.RegisterFunction(doNothing) }

func doNothing([]byte) {}

// runEmptyJob runs a job for what comes of its having run.
func (r *portable) runEmptyJob(ctx context.Context, name string) error {
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, doNothing, beam.Impulse(s))
	_, err := r.probe(ctx, name, p)
	return err
}

// probe is run, of a job that only asks: a cluster that others fill would have it wait for ever.
func (r *portable) probe(ctx context.Context, name string, p *beam.Pipeline) (id string, err error) {
	bounded, stop := context.WithTimeout(ctx, turnTimeout)
	defer stop()
	id, err = r.run(bounded, name, p)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the cluster has not run a job within %v: has it a free slot? (%w)", turnTimeout, err)
	}
	return id, err
}

// follow waits for the end of the job. It returns an error without an end when ctx ends,
// or when nobody says any more how the job is doing.
func (r *portable) follow(ctx context.Context, id, name string) (ended bool, err error) {
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if r.onFlinkCluster() {
		master, err := r.flinkMaster(ctx, id)
		if err != nil {
			return false, fmt.Errorf("asking for the cluster of job %s: %w", id, err)
		}
		go func() {
			if finishedOnFlink(waiting, master, name) {
				stop(errFinished)
			}
		}()
	}
	cause, err := r.awaitEnd(waiting, id)
	if context.Cause(waiting) == errFinished {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("following job %s: the job server does not answer any more: %w", id, err)
	}
	state, err := r.state(ctx, id)
	if err != nil {
		return false, fmt.Errorf("asking for the state of job %s: %w", id, err)
	}
	if state != jobpb.JobState_DONE {
		err = fmt.Errorf("job %s: %s: %s", id, state, r.rootCause(cause))
	}
	return true, err
}

// onFlinkCluster reports whether a cluster of Flink runs the jobs, and not the job server.
func (r *portable) onFlinkCluster() bool { return r.config.Name == Flink && r.config.Cluster() }

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
		// Nothing is staged: the program and the Java parts are where they run.
		e.Dependencies = nil
		// The other environments are Java's. Only Prism has no JVM of its own for them.
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
	// Not ctx: its end must not hide the job that may have begun.
	running, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer stop()
	run, err := r.client.Run(running, &jobpb.RunJobRequest{
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
	config, err := goharness.Environment(r.config.Worker, r.config.WorkerKeytab)
	if err != nil {
		return nil, err
	}
	return graphx.CreateEnvironment(ctx, graphx.URNEnvProcess, func(context.Context) string { return config })
}

// awaitEnd reads the job's messages until the stream ends, and returns the first error among
// them, the cause of the others. It gives up on a service that does not answer any more.
func (r *portable) awaitEnd(ctx context.Context, id string) (cause string, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stream, err := r.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
	if err != nil {
		return "", err
	}
	go func() {
		for wait.Sleep(ctx, pollInterval) == nil {
			if _, err := r.state(ctx, id); err != nil {
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

// cancel ends the job and waits until it has ended: nothing of it may run on after the program.
func (r *portable) cancel(ctx context.Context, id, name string) error {
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	asking, stopAsking := context.WithTimeout(ctx, answerTimeout)
	defer stopAsking()
	_, err := r.client.Cancel(asking, &jobpb.CancelJobRequest{JobId: id})
	if r.onFlinkCluster() {
		// The cluster may be there without its job server.
		master, masterErr := r.flinkMaster(ctx, id)
		if masterErr != nil {
			return errors.Join(err, masterErr)
		}
		return cancelFlink(ctx, master, name)
	}
	var state jobpb.JobState_Enum
	for err == nil && !slices.Contains(ends, state) {
		if state, err = r.state(ctx, id); err == nil {
			err = wait.Sleep(ctx, cancelPoll)
		}
	}
	return err
}

const (
	causeLines = 10
	causeBytes = 2000
	// lostHarness is how Prism says that a harness has gone: Java's, as Go's is in this process.
	lostHarness = "SDK worker disconnected"
)

// workerExits are the statuses with which a worker ends before it works. Engines say
// "Process died with exit code" and the number.
var workerExits = map[int]string{
	goharness.ExitOtherBuild: "is another build than this program: install the same one on all nodes, or give its path with --worker",
	127:                      "cannot start on a node of the cluster: OpenCV's or TurboJPEG's libraries are missing there",
}

// rootCause is what matters to a person of a job's cause of failure: of a DoFn's
// error the innermost, of a Java exception what stands above its stack.
func (r *portable) rootCause(cause string) string {
	for status, reason := range workerExits {
		if strings.Contains(cause, fmt.Sprintf("exit code %d", status)) {
			return fmt.Sprintf("the worker %s %s", r.config.Worker, reason)
		}
	}
	const joined = "caused by:" // how the Go SDK joins errors
	if at := strings.LastIndex(cause, joined); at >= 0 {
		cause = cause[at+len(joined):]
	}
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(cause)) {
		if strings.HasPrefix(line, "\tat ") || strings.HasPrefix(line, "Driver stacktrace:") {
			break
		}
		lines = append(lines, line)
	}
	lines = lines[:min(len(lines), causeLines)]
	text := strings.TrimSpace(strings.Join(lines, ""))
	text = strings.ToValidUTF8(text[:min(len(text), causeBytes)], "")
	if strings.Contains(text, lostHarness) {
		text = "the Java harness, which reads from Kafka, has ended: " + text
	}
	return text
}
