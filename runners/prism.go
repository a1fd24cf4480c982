package runners

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"facestream/internal/ports"
)

// PrismCommand before a port as the only arguments has any program with this
// package be Prism, from beam.Init on.
const PrismCommand = "prism-server"

// prismJobs is how many jobs one Prism runs: it keeps some 0.6 MB of each for ever, and another
// starts in 0.1 s. With 50, ten times the records took 1.24 times the memory. Tests set it.
var prismJobs = 10

func init() {
	runtime.RegisterInit(func() {
		if len(os.Args) == 3 && os.Args[1] == PrismCommand {
			fmt.Fprintln(os.Stderr, servePrism(os.Args[2]))
			os.Exit(1)
		}
	})
}

// servePrism runs Prism until this process is ended.
func servePrism(port string) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("%s: %w", PrismCommand, err)
	}
	if _, err := prism.CreateJobServer(context.Background(), prism.Options{Port: n}); err != nil {
		return fmt.Errorf("%s: %w", PrismCommand, err)
	}
	select {}
}

// prismRunner runs jobs on a Prism that is a child of this process: it can be ended with what a
// job leaves, and its crash is the end of a job and not of the program.
type prismRunner struct {
	config Config
	server *service
	client *portable
	jobs   int // by that server
}

func openPrism(ctx context.Context, c Config) (Runner, error) {
	if !beam.Initialized() { // nor would the child be Prism
		return nil, errors.New("starting Prism: beam.Init was not called")
	}
	r := &prismRunner{config: c}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// start sets the server and what belongs to it, unless there is an error.
func (r *prismRunner) start(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting Prism: %w", err)
	}
	free, err := ports.Free(1)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, PrismCommand, strconv.Itoa(free[0]))
	server, err := startService(ctx, "Prism", cmd, filepath.Join(r.config.Dir, "prism.log"), ports.Loopback(free[0]), "")
	if err != nil {
		return err
	}
	client, err := openPortable(ctx, r.config, server.addr, answerTimeout, server.close)
	if err != nil {
		return err
	}
	r.server, r.client, r.jobs = server, client, 0
	return nil
}

func (r *prismRunner) Run(ctx context.Context, name string, p *beam.Pipeline) error {
	if r.jobs >= prismJobs || r.server.HasEnded() {
		r.Close()
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	r.jobs++
	err := r.client.Run(ctx, name, p)
	if status.Code(err) != codes.Unavailable {
		return err
	}
	select {
	case <-r.server.Ended: // or is about to
		return fmt.Errorf("the process of Prism, which ran the job, has ended; what it said last is in %s: %w", r.server.log, err)
	case <-time.After(answerTimeout):
		return err
	}
}

func (r *prismRunner) Slots(context.Context) (int, error) { return 1, nil }

func (r *prismRunner) Close() { r.client.Close() }
