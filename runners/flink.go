package runners

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"facestream/internal/rest"
	"facestream/internal/wait"
)

// flinkPoll is how often the cluster is asked for a job's state, by its REST API:
// https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
const flinkPoll = 200 * time.Millisecond

// useAllSlots has jobs use all slots that the Flink cluster has. A job server tells of its
// cluster only by a job that has run, so if there was none an empty one is run.
func (r *portable) useAllSlots(ctx context.Context) error {
	master, err := r.flinkMaster(ctx, "")
	if err != nil {
		if err = r.runEmptyJob(ctx, "facestream-finds-the-cluster"); err == nil {
			master, err = r.flinkMaster(ctx, "")
		}
	}
	if err != nil {
		return fmt.Errorf("asking the job server for its cluster: %w (or give --parallelism)", err)
	}
	cluster, err := AskFlink(ctx, master)
	if err != nil {
		return fmt.Errorf("%w (or give --parallelism)", err)
	}
	if cluster.Slots == 0 {
		return fmt.Errorf("the Flink cluster at %s has no slots: start a TaskManager, or give --parallelism", master)
	}
	r.options["parallelism"] = cluster.Slots
	return nil
}

// flinkMaster returns host:port of the REST API of the cluster that runs the job, or
// any job if id is empty. The job server keeps it among the job's options.
func (r *portable) flinkMaster(ctx context.Context, id string) (string, error) {
	if r.master != "" {
		return r.master, nil
	}
	var err error
	r.master, err = masterOf(ctx, r.client, id)
	return r.master, err
}

// errNoJob says that a job server has not run such a job, or has forgotten it.
var errNoJob = errors.New("the job server does not know the job any more")

// masterOf is flinkMaster of a job server.
func masterOf(ctx context.Context, client jobpb.JobServiceClient, id string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	jobs, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return "", err
	}
	for _, job := range jobs.GetJobInfo() {
		if id == "" || job.GetJobId() == id {
			return job.GetPipelineOptions().GetFields()["beam:option:flink_master:v1"].GetStringValue(), nil
		}
	}
	return "", errNoJob
}

// finishedOnFlink waits for the end of the job of that name and reports whether the cluster
// has finished it. The job server tells why a job failed, but up to two seconds later, since
// Flink's client asks less and less often.
func finishedOnFlink(ctx context.Context, master, name string) bool {
	id, err := flinkJob(ctx, master, name)
	for err == nil && id == "" && wait.Sleep(ctx, flinkPoll) == nil {
		id, err = flinkJob(ctx, master, name)
	}
	if err != nil || id == "" {
		return false
	}
	state, err := endOnFlink(ctx, master, id)
	return err == nil && state == "FINISHED"
}

// cancelFlink cancels the job of that name on the cluster, and waits for its end: Beam's job
// server only stops waiting for the job.
func cancelFlink(ctx context.Context, master, name string) error {
	id, err := flinkJob(ctx, master, name)
	if err != nil || id == "" { // it had not begun
		return err
	}
	if _, err := rest.Call(ctx, http.DefaultClient, http.MethodPatch, "http://"+master+"/jobs/"+id+"?mode=cancel", ""); err != nil {
		return err
	}
	_, err = endOnFlink(ctx, master, id)
	return err
}

// flinkJob returns the cluster's id of the job of that name, or "".
func flinkJob(ctx context.Context, master, name string) (string, error) {
	var jobs struct {
		Jobs []struct {
			ID   string `json:"jid"`
			Name string `json:"name"`
		}
	}
	if err := rest.Get(ctx, "http://"+master+"/jobs/overview", &jobs); err != nil {
		return "", err
	}
	for _, job := range jobs.Jobs {
		if job.Name == name {
			return job.ID, nil
		}
	}
	return "", nil
}

// endOnFlink waits until a job has ended and returns its state then.
func endOnFlink(ctx context.Context, master, id string) (string, error) {
	for {
		var state struct{ Status string }
		if err := rest.Get(ctx, "http://"+master+"/jobs/"+id+"/status", &state); err != nil {
			return "", err
		}
		switch state.Status {
		case "CANCELED", "FAILED", "FINISHED":
			return state.Status, nil
		}
		if wait.Sleep(ctx, flinkPoll) != nil {
			return "", fmt.Errorf("job %s is still %s: %w", id, state.Status, ctx.Err())
		}
	}
}
