package services

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"facestream/runners/jobserver"
)

// jobServerHeap is for pipelines and their messages: the frames are elsewhere.
const jobServerHeap = "512m"

// startJobServer starts Beam's job server for the cluster at master, with its
// folder in dir. What jvm holds comes after the job server's own flags.
func startJobServer(c *children, engine, dir, addr, master string, jvm ...string) (*child, error) {
	port, err := portOf(addr)
	if err != nil {
		return nil, err
	}
	own := filepath.Join(dir, "jobserver")
	if err := os.MkdirAll(own, dirMode); err != nil {
		return nil, err
	}
	program, err := jobserver.New(jobserver.Config{Engine: engine, Master: master, Port: port, Dir: own, Own: true})
	if err != nil {
		return nil, err
	}
	return c.start(javaProgram{
		service: engine, name: engine + "-jobserver", conf: filepath.Join(own, "conf"),
		classPath: program.ClassPath, heap: jobServerHeap,
		jvm: append(program.JVM, jvm...), class: program.Class, args: program.Args, env: program.Env,
	})
}

// tryJobServer asks a job server for its jobs.
func tryJobServer(ctx context.Context, addr string) error {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = jobpb.NewJobServiceClient(conn).GetJobs(ctx, &jobpb.GetJobsRequest{})
	return err
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
