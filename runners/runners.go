// Package runners runs Beam pipelines: on Prism in a child of this process, on Flink
// and Spark through Beam's job servers, and on the direct runner. It submits to
// the job service itself, because the SDK's own Execute passes on few of a
// runner's options and takes a cancelled job and a broken stream for success.
package runners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	//lint:ignore SA1019 Prism is what users get; this one needs no job service, which tests are glad of
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"

	"facestream/internal/kerberos"
	"facestream/runners/jobserver"
)

// The runners' names, as --runner takes them.
const (
	Prism  = "prism"
	Flink  = jobserver.Flink
	Spark  = jobserver.Spark
	Direct = "direct"
)

// Names are all runners.
var Names = []string{Prism, Flink, Spark, Direct}

// Config says which runner is wanted, and how it is to run jobs.
type Config struct {
	Name string
	// Dir is a folder for the logs of what the runner starts, and its files below tmp.
	Dir string

	// For Flink and Spark. Endpoint is the job service of a running job server, host:port.
	// Without one, a job server is started, which submits to the cluster at Master; without
	// that, it is the cluster itself.
	Endpoint string
	Master   string // host:port of Flink's REST API, spark://host:port, or YARN
	// DriverHost is the address at which executors of Spark call the job server that is
	// started. Without one, it is this machine's address on the way to the Master.
	DriverHost string
	// Worker is this very program on each of the cluster's nodes, which runs the DoFns there.
	// If it is empty, YARN brings it to the containers of Spark.
	Worker string
	// User and Login are whose applications those on YARN are, without Kerberos and with it.
	User  string
	Login kerberos.Login
	// WorkerKeytab is the keytab on each of the cluster's nodes; empty without Kerberos.
	WorkerKeytab string
	Parallelism  int // slots of the cluster that a job uses; 0 is all that it has
	// Options are further pipeline options for the runner, by the names that
	// Beam's Java SDK gives them, in lower case with underscores.
	Options map[string]string
	// MaxBytes is the most that the records read by one job may take.
	MaxBytes int64
}

// Cluster reports whether the DoFns run in processes that a cluster starts.
func (c Config) Cluster() bool { return c.Endpoint != "" || c.Master != "" }

// Address is the cluster's or its job server's, host:port.
func (c Config) Address() string {
	return cmp.Or(c.Endpoint, strings.TrimPrefix(c.Master, "spark://"))
}

// Elsewhere reports whether that is another machine's, as far as this one knows.
func (c Config) Elsewhere() bool {
	way, err := net.Dial("udp", c.Address()) // sends nothing
	if err != nil {
		return false
	}
	defer way.Close()
	here, there := way.LocalAddr().(*net.UDPAddr).IP, way.RemoteAddr().(*net.UDPAddr).IP
	return !there.IsLoopback() && !there.Equal(here)
}

// ErrUnknownOption is wrapped by errors about one of Config.Options.
var ErrUnknownOption = errors.New("the job server has no such option")

// ErrNotCancelled is wrapped by Run's error when a job may run on.
var ErrNotCancelled = errors.New("the job may run on, its cancellation failed")

// Runner runs pipelines one after the other.
type Runner interface {
	// Run runs p to its end, and returns nil only if the runner says that the job is done.
	// When ctx ends, the job is cancelled and the error is ctx's cause.
	Run(ctx context.Context, name string, p *beam.Pipeline) error
	// Slots is how many bundles of a stage are worked on at a time.
	Slots(ctx context.Context) (int, error)
	Close()
}

// Open prepares a runner. beam.Init must have been called.
func Open(ctx context.Context, c Config) (Runner, error) {
	switch c.Name {
	case Direct:
		return directRunner{}, nil
	case Prism:
		return openPrism(ctx, c)
	case Flink, Spark:
		return openCluster(ctx, c)
	}
	return nil, fmt.Errorf("runner %q: it must be one of %q", c.Name, Names)
}

type directRunner struct{}

func (directRunner) Run(ctx context.Context, _ string, p *beam.Pipeline) error {
	_, err := direct.Execute(ctx, p)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (directRunner) Slots(context.Context) (int, error) { return 1, nil }

func (directRunner) Close() {}
