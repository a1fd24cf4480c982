package services

import (
	"context"
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

// jobServer is Beam's job server for the cluster at master, with its folder in dir.
func jobServer(o Options, engine, dir, addr, master string, jvm ...string) (javaProgram, error) {
	port, err := strconv.Atoi(portOf(addr))
	if err != nil {
		return javaProgram{}, err
	}
	own := filepath.Join(dir, "jobserver")
	if err := os.MkdirAll(own, dirMode); err != nil {
		return javaProgram{}, err
	}
	name := engine + "-jobserver"
	p, err := jobserver.New(jobserver.Config{Engine: engine, Master: master, Port: port, Dir: own, Own: true, Host: o.hostOf(name)})
	return javaProgram{
		name: name, conf: filepath.Join(own, "conf"), classes: engine, heap: jobServerHeap,
		jvm: append(p.JVM, jvm...), class: p.Class, args: p.Args, env: p.Env,
	}, err
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
