package runners

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/runners/jobserver"
)

// maxMessageBytes is the most that a job service may answer; a pipeline
// comes back with each state.
const maxMessageBytes = 64 << 20

// openCluster connects to a job server, or starts one.
func openCluster(ctx context.Context, c Config) (_ Runner, err error) {
	endpoint, within, closeAll := c.Endpoint, firstTimeout, func() {}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	var yarn *onYARN
	if c.Master == YARN {
		if yarn, err = openYARN(ctx, &c); err != nil {
			return nil, err
		}
	} else if strings.Contains(c.Master, ":") { // Spark's local[n] is no address
		// Spark's driver would try for a minute, and say nothing of it.
		ask := func() error { _, err := AskFlink(ctx, c.Master); return err }
		if c.Name == Spark {
			ask = func() error { return AskSpark(ctx, c.Address()) }
		}
		if err := ask(); err != nil {
			return nil, fmt.Errorf("the cluster of --master=%s does not answer: %w", c.Master, err)
		}
	}
	if endpoint == "" {
		server, err := startJobServer(ctx, c, yarn)
		if err != nil {
			return nil, err
		}
		endpoint, within, closeAll = server.addr, answerTimeout, server.close
		if c.Name == Spark {
			closeAll = server.closeGently // its executors serve all jobs
		}
	}
	client, closeClient, err := dialJobServer(ctx, endpoint, within)
	if err != nil {
		return nil, err
	}
	closeServer := closeAll
	closeAll = func() {
		closeClient()
		closeServer()
	}
	if err := checkOptions(ctx, client, c.Options); err != nil {
		return nil, err
	}
	r, err := openPortable(c, client, closeAll)
	if err != nil {
		return nil, err
	}
	r.yarn, closeAll = yarn, r.Close
	if r.onFlinkCluster() && c.Parallelism == 0 {
		err = r.useAllSlots(ctx)
	}
	if c.Name == Spark && c.Master != "" {
		err = r.startExecutors(ctx)
	}
	return r, err
}

// dialJobServer connects to a job server and makes sure that it is one, which must be known
// within a time.
func dialJobServer(ctx context.Context, endpoint string, within time.Duration) (client jobpb.JobServiceClient, closeClient func(), err error) {
	conn, err := dialGRPC(endpoint)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the job server at %s: %w", endpoint, err)
	}
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	client = jobpb.NewJobServiceClient(conn)
	if _, err := client.GetJobs(ctx, &jobpb.GetJobsRequest{}); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("asking the job server at %s for its jobs: %w", endpoint, err)
	}
	return client, func() { _ = conn.Close() }, nil
}

func dialGRPC(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)))
}

// checkOptions refuses options that the job server does not know: it would
// pass over them in silence.
func checkOptions(ctx context.Context, client jobpb.JobServiceClient, options map[string]string) error {
	if len(options) == 0 {
		return nil
	}
	names, err := optionNames(ctx, client)
	if err != nil {
		return err
	}
	for name := range options {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: %s; it has %s", ErrUnknownOption, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// optionNames returns the options that the job server knows.
func optionNames(ctx context.Context, client jobpb.JobServiceClient) ([]string, error) {
	ctx, stop := context.WithTimeout(ctx, answerTimeout)
	defer stop()
	known, err := client.DescribePipelineOptions(ctx, &jobpb.DescribePipelineOptionsRequest{})
	if err != nil {
		return nil, fmt.Errorf("asking the job server for its options: %w", err)
	}
	var names []string
	for _, o := range known.GetOptions() {
		names = append(names, o.GetName())
	}
	return names, nil
}

// startJobServer starts a job server as a child of this process, which ends with it.
func startJobServer(ctx context.Context, c Config, yarn *onYARN) (*service, error) {
	java, err := paths.Java()
	if err != nil {
		return nil, err
	}
	tmp, err := scratch(c.Dir, "jobserver")
	if err != nil {
		return nil, err
	}
	free, err := ports.Free(2)
	if err != nil {
		return nil, err
	}
	own := c.Master == ""
	master := c.Master
	if own {
		master = jobserver.LocalMaster(c.Name, c.Parallelism)
	}
	host, err := driverHost(c, yarn)
	if err != nil {
		return nil, err
	}
	program, err := jobserver.New(jobserver.Config{
		Engine: c.Name, Master: master, Slots: c.Parallelism, OneRun: true, Own: own, Host: host, Port: free[0], ArtifactPort: free[1], Dir: tmp, YARN: yarn.spark(c),
	})
	if err != nil {
		return nil, err
	}
	logging, err := jvm.LogFlags(tmp)
	if err != nil {
		return nil, err
	}
	args := slices.Concat(jvm.Small, jvm.Frugal, []string{"-Xms64m", "-Xmx" + jobServerHeap(c), "-Djava.io.tmpdir=" + tmp},
		logging, program.JVM, []string{"-cp", program.ClassPath, program.Class}, program.Args)
	cmd := exec.Command(java, args...)
	cmd.Env = append(os.Environ(), program.Env...)
	return startService(ctx, "the job server for "+c.Name, cmd, filepath.Join(c.Dir, "jobserver.log"), ports.Loopback(free[0]), tmp)
}

// driverHost returns where executors call the job server.
func driverHost(c Config, yarn *onYARN) (string, error) {
	if c.DriverHost != "" || c.Name != Spark || c.Master == "" {
		return cmp.Or(c.DriverHost, jobserver.Loopback), nil
	}
	to := c.Address()
	if yarn != nil {
		to = yarn.hostPort()
	}
	way, err := net.Dial("udp", to) // sends nothing
	if err != nil {
		return "", fmt.Errorf("looking for this machine's address on the way to %s: %w (or give --driver_host)", to, err)
	}
	defer way.Close()
	return way.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// jobServerHeap is as java's -Xmx takes it. A cluster inside of the job server
// holds windows: read, shuffled and handed to the DoFns.
func jobServerHeap(c Config) string {
	const base, copies = 512, 6
	if c.Cluster() {
		return fmt.Sprintf("%dm", base)
	}
	return fmt.Sprintf("%dm", base+copies*c.MaxBytes>>20)
}
