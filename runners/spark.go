package runners

import (
	"context"
	"fmt"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"facestream/internal/wait"
)

const (
	// turnTimeout is how long a job may wait for another one's end, and turnPoll
	// how often it looks.
	turnTimeout = 5 * time.Minute
	turnPoll    = 200 * time.Millisecond
)

// startExecutors has the cluster start the executors that all jobs share, which takes
// longer than most jobs: a run that begins to read is to find them ready.
func (r *portable) startExecutors(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, turnTimeout)
	defer stop()
	if err := r.runEmptyJob(ctx, "facestream-starts-executors"); err != nil {
		return fmt.Errorf("waiting for executors of %s: %w", r.config.Master, err)
	}
	return nil
}

// awaitTurn waits until the job server has no job. Beam's for Spark runs one at
// a time and fails those that come meanwhile. There may be another run's, or one
// that has lost its driver.
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
