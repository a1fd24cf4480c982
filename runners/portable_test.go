package runners

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc"

	"facestream/internal/testkit"
)

// jobService has one job, which runs until it is cancelled, and is no help in following it.
type jobService struct {
	jobpb.UnimplementedJobServiceServer
	begins    func()
	messages  error // what becomes of the stream of messages; without one it ends at once
	waits     bool  // the stream of messages ends with who reads it
	endless   bool  // the job does not end by being cancelled
	cancelled bool
	states    int // questions since then
}

func (s *jobService) GetJobs(context.Context, *jobpb.GetJobsRequest) (*jobpb.GetJobsResponse, error) {
	return &jobpb.GetJobsResponse{}, nil
}

func (s *jobService) Prepare(context.Context, *jobpb.PrepareJobRequest) (*jobpb.PrepareJobResponse, error) {
	return &jobpb.PrepareJobResponse{}, nil
}

func (s *jobService) Run(context.Context, *jobpb.RunJobRequest) (*jobpb.RunJobResponse, error) {
	s.begins()
	return &jobpb.RunJobResponse{JobId: "job-1"}, nil
}

func (s *jobService) GetMessageStream(_ *jobpb.JobMessagesRequest, stream jobpb.JobService_GetMessageStreamServer) error {
	if s.waits {
		<-stream.Context().Done()
	}
	return s.messages
}

func (s *jobService) Cancel(context.Context, *jobpb.CancelJobRequest) (*jobpb.CancelJobResponse, error) {
	s.cancelled = true
	return &jobpb.CancelJobResponse{}, nil
}

// GetState is the end only at the third question.
func (s *jobService) GetState(context.Context, *jobpb.GetJobStateRequest) (*jobpb.JobStateEvent, error) {
	if !s.cancelled || s.endless {
		return nil, errors.New("no state")
	}
	if s.states++; s.states < 3 {
		return &jobpb.JobStateEvent{State: jobpb.JobState_CANCELLING}, nil
	}
	return &jobpb.JobStateEvent{State: jobpb.JobState_CANCELLED}, nil
}

// open serves, and returns a runner of the service's jobs.
func (s *jobService) open(t *testing.T, c Config) Runner {
	t.Helper()
	l := testkit.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	server := grpc.NewServer()
	jobpb.RegisterJobServiceServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	c.Endpoint, c.Worker = l.Addr().String(), "/worker"
	r := testkit.Value(Open(t.Context(), c))(t)
	t.Cleanup(r.Close)
	return r
}

// On a cluster that has no free slot, its slots are not counted for ever.
func TestNoFreeSlot(t *testing.T) {
	before := turnTimeout
	defer func() { turnTimeout = before }()
	turnTimeout = 200 * time.Millisecond
	service := &jobService{begins: func() {}, waits: true}
	_, err := service.open(t, Config{Name: Spark}).Slots(t.Context())
	testkit.Says(t, "a full cluster", err, "counting the cluster's slots", "within 200ms: has it a free slot?")
}

// Whatever goes wrong once a job runs, it is cancelled, and its end is awaited.
func TestNoJobIsLeft(t *testing.T) {
	noMessages, interrupted := errors.New("no messages"), errors.New("interrupted")
	for name, tc := range map[string]struct {
		runner     string
		service    jobService
		interrupts bool
		want       string
		mayRunOn   bool
	}{
		"nothing to follow":   {Spark, jobService{messages: noMessages}, false, "no messages", false},
		"no state at the end": {Spark, jobService{}, false, "no state", false},
		"no cluster":          {Flink, jobService{}, false, "asking for the cluster of job job-1", true},
		"interrupted":         {Spark, jobService{}, true, interrupted.Error(), false},
		"no end":              {Spark, jobService{endless: true}, false, "no state", true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer interrupt(nil)
			service := &tc.service
			service.begins = func() {
				if tc.interrupts {
					interrupt(interrupted)
				}
			}
			err := runs(ctx, service.open(t, Config{Name: tc.runner, Parallelism: 1}), pass)
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrNotCancelled) != tc.mayRunOn {
				t.Errorf("error %v, want one with %q; that it may run on: %v", err, tc.want, tc.mayRunOn)
			}
			if !service.cancelled || !tc.mayRunOn && service.states < 3 {
				t.Errorf("cancelled: %v, asked for its state %d times, want it to have ended", service.cancelled, service.states)
			}
		})
	}
}

func TestRootCause(t *testing.T) {
	for _, tc := range []struct{ cause, want string }{
		{"while executing:\ncaused by:\nouter\n\tcaused by:\ntopic t, partition 1, offset 5: no space", "topic t, partition 1, offset 5: no space"},
		{"java.io.IOException: broken\n\tat a.B.c(B.java:1)\n\tat d.E.f(E.java:2)", "java.io.IOException: broken"},
		{"bundle inst001 failed: SDK worker disconnected: worker[job-005[w]_Xbeam:env:external:v1], 2 active instructions",
			"the Java harness, which reads from Kafka, has ended: bundle inst001 failed: SDK worker disconnected: worker[job-005[w]_Xbeam:env:external:v1], 2 active instructions"},
		{"java.lang.IllegalStateException: Process died with exit code 127\n\tat a.B.c(B.java:1)",
			"the worker /opt/it cannot start on a node of the cluster: OpenCV's or TurboJPEG's libraries are missing there"},
	} {
		testkit.Equal(t, "the root cause of "+tc.cause, (&portable{config: Config{Worker: "/opt/it"}}).rootCause(tc.cause), tc.want)
	}
}

// JVMs keep the options of each id for ever: with 40 windows, a job server for
// Flink kept 8 MB more, and nothing with one id.
func TestJobsShareOptionsID(t *testing.T) {
	o := newOptions(Config{Name: Flink, MaxBytes: 1 << 20})
	ids := map[float64]bool{}
	for _, job := range []string{"one", "two"} {
		got := testkit.Value(o.proto(job))(t)
		testkit.Equal(t, "the name", got.Fields["beam:option:job_name:v1"].GetStringValue(), job)
		ids[got.Fields["beam:option:options_id:v1"].GetNumberValue()] = true
	}
	if len(ids) != 1 || ids[0] { // 0 if it is missing
		t.Errorf("ids %v, want one", ids)
	}
}
