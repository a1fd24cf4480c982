package javaharness

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"facestream/internal/testkit"
)

// java is the other end of the socket in dir. It answers what it is told, or
// nothing, when it may, and returns the lines that it was sent.
func java(t *testing.T, dir string, answer []byte, may <-chan struct{}) (lines <-chan []string) {
	t.Helper()
	l := testkit.Value(net.Listen("unix", filepath.Join(dir, socket)))(t)
	t.Cleanup(func() { l.Close() })
	out := make(chan []string, 1)
	go func() {
		conn, err := l.Accept()
		l.Close() // it serves one job
		if err != nil {
			return
		}
		defer conn.Close()
		size := make([]byte, 4)
		if _, err := io.ReadFull(conn, size); err != nil {
			t.Error(err)
		}
		text := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(conn, text); err != nil {
			t.Error(err)
		}
		got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		slices.Sort(got)
		out <- got
		<-may
		if _, err := conn.Write(answer); err != nil {
			t.Error(err)
		}
	}()
	return out
}

// runner is the part of Prism that a worker talks to.
type runner struct {
	fnpb.UnimplementedProvisionServiceServer
	fnpb.UnimplementedBeamFnControlServer

	url  string
	left chan struct{} // one for each worker that was given work and has left
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	l := testkit.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	r := &runner{url: l.Addr().String(), left: make(chan struct{}, 1)}
	server := grpc.NewServer()
	fnpb.RegisterProvisionServiceServer(server, r)
	fnpb.RegisterBeamFnControlServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return r
}

func (r *runner) GetProvisionInfo(context.Context, *fnpb.GetProvisionInfoRequest) (*fnpb.GetProvisionInfoResponse, error) {
	options, err := structpb.NewStruct(map[string]any{"an_option": "its value"})
	return &fnpb.GetProvisionInfoResponse{Info: &fnpb.ProvisionInfo{PipelineOptions: options}}, err
}

func (r *runner) Control(control fnpb.BeamFnControl_ControlServer) error {
	if err := control.Send(&fnpb.InstructionRequest{InstructionId: "work"}); err != nil {
		return err
	}
	<-control.Context().Done()
	r.left <- struct{}{}
	return nil
}

func (r *runner) request() *fnpb.StartWorkerRequest {
	endpoint := &pipepb.ApiServiceDescriptor{Url: r.url}
	return &fnpb.StartWorkerRequest{
		WorkerId: "a worker", ControlEndpoint: endpoint, LoggingEndpoint: endpoint, ProvisionEndpoint: endpoint,
	}
}

func serve(t *testing.T, dir string) *Pool {
	t.Helper()
	p := testkit.Value(Serve(dir))(t)
	t.Cleanup(p.Close)
	return p
}

func start(t *testing.T, p *Pool, r *fnpb.StartWorkerRequest) {
	t.Helper()
	if got, err := p.StartWorker(t.Context(), r); err != nil || got.GetError() != "" {
		t.Fatalf("%v, %v", got, err)
	}
}

var now = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func TestPoolHandsOn(t *testing.T) {
	dir, r := t.TempDir(), newRunner(t)
	lines := java(t, dir, []byte{0}, now)
	start(t, serve(t, dir), r.request())
	at := "_API_SERVICE_DESCRIPTOR=.*" + r.url + ".*\n"
	want := "^CONTROL" + at + "HARNESS_ID=a worker\nLOGGING" + at + `PIPELINE_OPTIONS={"an_option": ?"its value"}$`
	if got := strings.Join(<-lines, "\n"); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("the JVM was sent\n%s, want\n%s", got, want)
	}
}

// Without a JVM, and with one that dies, somebody takes its place, so that the runner sees it end.
func TestPoolWithoutAJVM(t *testing.T) {
	for _, dies := range []bool{false, true} {
		dir, r := t.TempDir(), newRunner(t)
		if dies {
			java(t, dir, nil, now)
		}
		start(t, serve(t, dir), r.request())
		<-r.left
	}
}

// What becomes of the JVM after the job does not matter.
func TestPoolAfterTheJob(t *testing.T) {
	dir, r, may := t.TempDir(), newRunner(t), make(chan struct{})
	lines := java(t, dir, nil, may)
	p := serve(t, dir)
	start(t, p, r.request())
	<-lines
	testkit.Value(p.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "a worker"}))(t)
	close(may)
	// A second worker of that name is the first that the runner gives work.
	start(t, p, r.request())
	<-r.left
	select {
	case <-r.left:
		t.Error("the first worker's place was taken, too")
	default:
	}
}

func TestMessage(t *testing.T) {
	testkit.Equal(t, "a message", string(message(map[string]string{"A": "x\ny=z"})), "\x00\x00\x00\x08A=x y=z\n")
}
