// Package javaharness gives Prism a Java harness in a JVM that is kept between jobs, that of the
// expansion service (see KeptFnHarness.java). A Pool is the external environment that the
// service names: Prism asks it for a worker for each job, and it hands the job to that JVM.
package javaharness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"facestream/internal/jvm"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/prototext"
)

const (
	socket  = "harness.sock" // in the directory of the JVM
	program = "KeptFnHarness"
)

// jvmFlags favour a quick start and a heap that does not grow with the number of
// jobs: it begins small, and is cleaned up before it grows. It holds fetched records
// and messages under way, not the window; what is there between jobs is 26 MB. What
// is under way fits into a survivor space: else the old generation fills with it.
var jvmFlags = slices.Concat(jvm.Small, jvm.Frugal, []string{"-Xms176m", "-Xmx1g", "-Xmn112m", "-XX:SurvivorRatio=3", oneArena})

// oneArena has gRPC keep one pool of buffers off the heap instead of two for each processor.
const oneArena = "-Dorg.apache.beam.vendor.grpc.v1p60p1.io.netty.allocator.numDirectArenas=1"

// Arguments are those of Java for an expansion service that is also the harness,
// with its own arguments after the class path. Its working directory must be dir. The
// program lies beside the jars of the class path, for which scripts/setup.sh compiles it.
func Arguments(dir, classPath string, expansion ...string) []string {
	classPath = filepath.Dir(classPath) + string(filepath.ListSeparator) + classPath
	return slices.Concat(jvmFlags, jvm.Kerberos(), []string{"-Djava.io.tmpdir=" + dir, "-cp", classPath, program, socket}, expansion)
}

// Pool is a worker pool whose workers are all in one JVM.
type Pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	Addr string // host:port, what --defaultEnvironmentConfig takes for an environment of the type EXTERNAL

	dir    *os.File // that of Arguments
	server *grpc.Server

	mu      sync.Mutex
	workers map[string]context.CancelFunc // by their ids, of jobs that run
}

// Serve starts a pool on a free port. dir is that of Arguments. The JVM may start later.
func Serve(dir string) (*Pool, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the pool of Java workers: %w", err), d.Close())
	}
	p := &Pool{Addr: l.Addr().String(), dir: d, server: grpc.NewServer(), workers: map[string]context.CancelFunc{}}
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, p)
	go func() { _ = p.server.Serve(l) }() // until Close
	return p, nil
}

// Close ends the pool.
func (p *Pool) Close() {
	p.server.Stop()
	_ = p.dir.Close()
}

// StartWorker has the JVM serve a job. It never says that this failed, which Prism
// takes for a reason to end the process: the job fails instead.
func (p *Pool) StartWorker(ctx context.Context, r *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	working, stop := context.WithCancel(context.Background())
	p.mu.Lock()
	p.workers[r.GetWorkerId()] = stop
	p.mu.Unlock()
	conn, err := p.hand(ctx, r)
	go func() {
		if err == nil {
			defer conn.Close()
			// One byte says that the job is over.
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		if err == nil || working.Err() != nil {
			return
		}
		slog.Error("the Java harness has died", "worker", r.GetWorkerId(), "error", err)
		giveUp(working, r)
	}()
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker is told that a job is over. Its worker ends with its control stream.
func (p *Pool) StopWorker(_ context.Context, r *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stop, ok := p.workers[r.GetWorkerId()]; ok {
		stop()
		delete(p.workers, r.GetWorkerId())
	}
	return &fnpb.StopWorkerResponse{}, nil
}

// hand tells the JVM what a worker needs to know.
func (p *Pool) hand(ctx context.Context, r *fnpb.StartWorkerRequest) (net.Conn, error) {
	info, err := tools.ProvisionInfo(grpcx.WriteWorkerID(ctx, r.GetWorkerId()), r.GetProvisionEndpoint().GetUrl())
	if err != nil {
		return nil, fmt.Errorf("asking for the worker's provision: %w", err)
	}
	options, err := tools.ProtoToJSON(info.GetPipelineOptions())
	if err != nil {
		return nil, fmt.Errorf("reading the pipeline options: %w", err)
	}
	// The name of a socket may be no longer than about a hundred bytes.
	conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", p.dir.Fd(), socket))
	if err != nil {
		return nil, fmt.Errorf("looking for the JVM: %w", err)
	}
	if _, err := conn.Write(message(map[string]string{
		"HARNESS_ID":                     r.GetWorkerId(),
		"PIPELINE_OPTIONS":               options,
		"LOGGING_API_SERVICE_DESCRIPTOR": descriptor(r.GetLoggingEndpoint()),
		"CONTROL_API_SERVICE_DESCRIPTOR": descriptor(r.GetControlEndpoint()),
	})); err != nil {
		return nil, errors.Join(fmt.Errorf("handing the job on: %w", err), conn.Close())
	}
	return conn, nil
}

// message is what KeptFnHarness reads: a length, and a variable on each line.
func message(env map[string]string) []byte {
	var text strings.Builder
	for name, value := range env {
		fmt.Fprintf(&text, "%s=%s\n", name, strings.ReplaceAll(value, "\n", " "))
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(text.Len())), text.String()...)
}

// descriptor is an endpoint as the harness reads it.
func descriptor(d *pipepb.ApiServiceDescriptor) string {
	return prototext.MarshalOptions{}.Format(d)
}

// giveUp takes the place of a worker that does not come, until it is given work, and
// leaves: that the runner notices. A runner that has noticed already gives none.
func giveUp(ctx context.Context, r *fnpb.StartWorkerRequest) {
	conn, err := grpc.NewClient(r.GetControlEndpoint().GetUrl(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return
	}
	defer conn.Close()
	if control, err := fnpb.NewBeamFnControlClient(conn).Control(grpcx.WriteWorkerID(ctx, r.GetWorkerId())); err == nil {
		_, _ = control.Recv()
	}
}
