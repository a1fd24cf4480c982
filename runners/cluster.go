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

const (
	// maxMessageBytes is the most that a job service may answer: it may be a whole pipeline.
	maxMessageBytes = 64 << 20
	// gentleTimeout is how long a job server may take to end that is asked to.
	gentleTimeout = 10 * time.Second
)

// openCluster connects to a job server, or starts one.
func openCluster(ctx context.Context, c Config) (_ Runner, err error) {
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
	endpoint, within, closeServer := c.Endpoint, firstTimeout, func() {}
	if endpoint == "" {
		server, err := startJobServer(ctx, c, yarn)
		if err != nil {
			return nil, err
		}
		if c.Name == Spark { // it tells its executors, which serve all jobs
			server.grace = gentleTimeout
		}
		endpoint, within, closeServer = server.addr, answerTimeout, server.close
	}
	r, err := openPortable(ctx, c, endpoint, within, closeServer)
	if err != nil {
		return nil, err
	}
	r.yarn = yarn
	if r.onFlinkCluster() && c.Parallelism == 0 {
		err = r.useAllSlots(ctx)
	}
	if c.Name == Spark && c.Master != "" {
		err = r.startExecutors(ctx)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// dialJobServer connects to a job server, and makes sure within a time that it is one.
func dialJobServer(ctx context.Context, endpoint string, within time.Duration) (*grpc.ClientConn, error) {
	conn, err := dialGRPC(endpoint)
	if err != nil {
		return nil, fmt.Errorf("connecting to the job server at %s: %w", endpoint, err)
	}
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	if _, err := jobpb.NewJobServiceClient(conn).GetJobs(ctx, &jobpb.GetJobsRequest{}); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("asking the job server at %s for its jobs: %w", endpoint, err)
	}
	return conn, nil
}

func dialGRPC(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)))
}

// optionNames returns the options that the job server knows. It refuses wanted ones that the
// job server does not know, as that would pass over them in silence.
func optionNames(ctx context.Context, client jobpb.JobServiceClient, wanted map[string]string) ([]string, error) {
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
	for name := range wanted {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: %s; it has %s", ErrUnknownOption, name, strings.Join(names, ", "))
		}
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
	host, err := driverHost(c, yarn)
	if err != nil {
		return nil, err
	}
	program, err := jobserver.New(jobserver.Config{
		Engine: c.Name, Master: cmp.Or(c.Master, jobserver.LocalMaster(c.Name, c.Parallelism)), Own: c.Master == "", Slots: c.Parallelism, OneRun: true,
		Host: host, Port: free[0], ArtifactPort: free[1], Dir: tmp, YARN: yarn.spark(c),
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
		_, to, _ = strings.Cut(yarn.web, "://")
	}
	way, err := net.Dial("udp", to) // sends nothing
	if err != nil {
		return "", fmt.Errorf("looking for this machine's address on the way to %s: %w (or give --driver_host)", to, err)
	}
	defer way.Close()
	return way.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// jobServerHeap is for -Xmx. A cluster in the job server holds a window several times over.
func jobServerHeap(c Config) string {
	mb := int64(512)
	if !c.Cluster() {
		mb += 6 * c.MaxBytes >> 20
	}
	return fmt.Sprintf("%dm", mb)
}
