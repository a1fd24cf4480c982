package runners

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"facestream/internal/wait"
)

// turnTimeout is how long a job may wait for others' ends. Tests set it.
var turnTimeout = 5 * time.Minute

// turnPoll is how often it looks.
const turnPoll = 200 * time.Millisecond

// The types of two messages of Spark's own protocol: a request for a file, and that there is
// none. Before the type stands the frame's length, its own eight bytes included.
// https://github.com/apache/spark/blob/v3.5.0/common/network-common/src/main/java/org/apache/spark/network/protocol/Message.java
const (
	streamRequest = 6
	streamFailure = 8
)

// AskSpark makes sure that Spark's Master is at addr, host:port: what else listens there takes
// a connection, too. It asks for a file that no Master has.
func AskSpark(ctx context.Context, addr string) error {
	ctx, stop := context.WithTimeout(ctx, firstTimeout)
	defer stop()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	const file = "/jars/of-nobody"
	request := binary.BigEndian.AppendUint64(nil, 8+1+4+uint64(len(file)))
	request = binary.BigEndian.AppendUint32(append(request, streamRequest), uint32(len(file)))
	answer := make([]byte, 8+1)
	if _, err = conn.Write(append(request, file...)); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	switch {
	case err != nil:
		return fmt.Errorf("what listens at %s does not answer as Spark's Master does: %w", addr, err)
	case answer[8] != streamFailure:
		return fmt.Errorf("what answers at %s, with %q, is not Spark's Master", addr, answer)
	}
	return nil
}

// startExecutors has the cluster start the executors that all jobs share, which takes
// longer than most jobs: a run that begins to read is to find them ready.
func (r *portable) startExecutors(ctx context.Context) error {
	if err := r.runEmptyJob(ctx, "facestream-starts-executors"); err != nil {
		return fmt.Errorf("waiting for executors of %s: %w", r.config.Master, err)
	}
	return nil
}

func init() { beam.RegisterType(reflect.TypeFor[countBundlesFn]()) }

// countBundlesFn counts its bundles.
type countBundlesFn struct {
	Counter string

	counted bool
}

func (fn *countBundlesFn) StartBundle(context.Context) { fn.counted = false }

func (fn *countBundlesFn) ProcessElement(ctx context.Context, _ int) {
	if !fn.counted {
		beam.NewCounter(slotsNamespace, fn.Counter).Inc(ctx, 1)
		fn.counted = true
	}
}

const (
	slotsNamespace = "slots"
	// mostSlots is far more than a cluster for this has.
	mostSlots = 4096
)

// countSlots returns into how many parts Spark cuts what is reshuffled: as many as there
// are cores of executors, unless spark.default.parallelism says it. Only a job can tell:
// the job server does not, and where the Master's page is, nobody knows.
func (r *portable) countSlots(ctx context.Context) (int, error) {
	fn := &countBundlesFn{Counter: rand.Text()} // the counts of all jobs may be together
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, fn, beam.Reshuffle(s, beam.CreateList(s, make([]int, mostSlots))))
	id, err := r.probe(ctx, "facestream-counts-slots", p)
	if err != nil {
		return 0, fmt.Errorf("counting the cluster's slots: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	metrics, err := r.client.GetJobMetrics(ctx, &jobpb.GetJobMetricsRequest{JobId: id})
	if err != nil {
		return 0, fmt.Errorf("asking the job server for the cluster's slots: %w", err)
	}
	for _, m := range slices.Concat(metrics.GetMetrics().GetCommitted(), metrics.GetMetrics().GetAttempted()) {
		if m.GetLabels()["NAME"] == fn.Counter {
			n, err := coder.DecodeVarInt(bytes.NewReader(m.GetPayload()))
			return int(n), err
		}
	}
	return 0, fmt.Errorf("the job server does not tell how many slots the cluster has: give --parallelism, or spark.cores.max to your job server")
}

// awaitTurn waits until the job server has no job, of another run or without its driver: Beam's
// for Spark runs one at a time and fails those that come meanwhile.
func (r *portable) awaitTurn(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, turnTimeout)
	defer stop()
	busy, err := "", error(nil)
	late := wait.Until(ctx, turnPoll, func() bool {
		busy, err = runningJob(ctx, r.client)
		return err != nil || busy == ""
	})
	if late != nil {
		return fmt.Errorf("waiting for the end of the job server's job %s: %w", busy, late)
	}
	return err
}

// runningJob returns a job of the job server that has not ended, or "".
func runningJob(ctx context.Context, client jobpb.JobServiceClient) (string, error) {
	jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return "", fmt.Errorf("asking the job server for its jobs: %w", err)
	}
	busy := ""
	for _, job := range jobs.GetJobInfo() {
		switch job.GetState() {
		case jobpb.JobState_STARTING, jobpb.JobState_RUNNING, jobpb.JobState_CANCELLING, jobpb.JobState_UPDATING, jobpb.JobState_DRAINING:
			busy = job.GetJobId()
		}
	}
	return busy, nil
}
