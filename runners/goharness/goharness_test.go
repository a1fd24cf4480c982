package goharness

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"

	"facestream/internal/testkit"
)

func TestMain(m *testing.M) {
	if Wanted() {
		_ = Main(os.Args[1:])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runner is the part of an engine that a worker talks to. It gives one instruction.
type runner struct {
	fnpb.UnimplementedProvisionServiceServer
	fnpb.UnimplementedBeamFnControlServer

	addr    string
	answers chan *fnpb.InstructionResponse
}

func (r *runner) GetProvisionInfo(context.Context, *fnpb.GetProvisionInfoRequest) (*fnpb.GetProvisionInfoResponse, error) {
	endpoint := &pipepb.ApiServiceDescriptor{Url: r.addr}
	return &fnpb.GetProvisionInfoResponse{Info: &fnpb.ProvisionInfo{ControlEndpoint: endpoint, LoggingEndpoint: endpoint}}, nil
}

func (r *runner) Control(control fnpb.BeamFnControl_ControlServer) error {
	if err := control.Send(&fnpb.InstructionRequest{
		InstructionId: "work", Request: &fnpb.InstructionRequest_ProcessBundle{ProcessBundle: &fnpb.ProcessBundleRequest{ProcessBundleDescriptorId: "a stage"}},
	}); err != nil {
		return err
	}
	answer, err := control.Recv()
	r.answers <- answer
	return err
}

// A worker that is another build than the program that submits does nothing but say so.
func TestAnotherBuildRefuses(t *testing.T) {
	own, err := buildID()
	testkit.Must(t, err)
	for build, refused := range map[string]bool{own: false, "another": true, "1": true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		testkit.Must(t, err)
		r := &runner{addr: l.Addr().String(), answers: make(chan *fnpb.InstructionResponse, 1)}
		server := grpc.NewServer()
		fnpb.RegisterProvisionServiceServer(server, r)
		fnpb.RegisterBeamFnControlServer(server, r)
		go func() { _ = server.Serve(l) }()
		worker := exec.Command(os.Args[0], "--id=1", "--provision_endpoint="+r.addr)
		worker.Env = append(os.Environ(), wantedEnv+"="+build)
		testkit.Must(t, worker.Start())
		answer := <-r.answers
		server.Stop()
		_ = worker.Wait()
		if answer.GetInstructionId() != "work" || strings.Contains(answer.GetError(), os.Args[0]+" is another build") != refused {
			t.Errorf("build %s: %v, want it to refuse: %v", build, answer, refused)
		}
	}
}
