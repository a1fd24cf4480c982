package runners

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
)

// flinkPoll is how often a cancelled job is looked at.
const flinkPoll = 200 * time.Millisecond

// flinkMaster returns host:port of the REST API of the cluster that runs the
// job, which the job server keeps among the job's options.
func (r *portable) flinkMaster(ctx context.Context, id string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	jobs, err := r.client.GetJobs(ctx, &jobpb.GetJobsRequest{})
	if err != nil {
		return "", err
	}
	for _, job := range jobs.GetJobInfo() {
		if job.GetJobId() == id {
			return job.GetPipelineOptions().GetFields()["beam:option:flink_master:v1"].GetStringValue(), nil
		}
	}
	return "", errors.New("the job server does not know the job any more")
}

// cancelFlink cancels the job of that name on the cluster, and waits until it
// has ended. Beam's job server does not do it: on a cancellation it only stops
// waiting for the job.
func cancelFlink(ctx context.Context, master, name string) error {
	var jobs struct {
		Jobs []struct {
			ID   string `json:"jid"`
			Name string `json:"name"`
		}
	}
	if err := flinkREST(ctx, http.MethodGet, master, "/jobs/overview", &jobs); err != nil {
		return err
	}
	for _, job := range jobs.Jobs {
		if job.Name != name {
			continue
		}
		path := "/jobs/" + job.ID
		if err := flinkREST(ctx, http.MethodPatch, master, path+"?mode=cancel", nil); err != nil {
			return err
		}
		tick := time.NewTicker(flinkPoll)
		defer tick.Stop()
		for {
			var state struct{ Status string }
			if err := flinkREST(ctx, http.MethodGet, master, path+"/status", &state); err != nil {
				return err
			}
			switch state.Status {
			case "CANCELED", "FAILED", "FINISHED":
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("job %s is still %s: %w", job.ID, state.Status, ctx.Err())
			}
		}
	}
	return nil // it had not begun
}

// flinkREST calls Flink's REST API and decodes the answer, unless to is nil.
// https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/
func flinkREST(ctx context.Context, method, master, path string, to any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+master+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s %s at %s: %s: %s", method, path, master, resp.Status, text)
	}
	if to == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(to)
}
