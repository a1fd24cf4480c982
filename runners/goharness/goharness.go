// Package goharness runs Beam's Go harness as a process environment, as a container's boot
// program does. The program that submits is its own worker: a cluster starts it on its nodes
// with the variables of Environment, so that nothing is staged with a job.
package goharness

import (
	"context"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"golang.org/x/sys/unix"

	"facestream/transforms/hdfs"
)

const (
	// ExitOtherBuild is how a worker ends that is another build than the program that has
	// submitted: runners say with which status a worker ended, and nothing else of it.
	ExitOtherBuild = 78

	wantedEnv = "FACESTREAM_WORKER" // the build of the program that submits
	// parentPoll is how often a worker looks whether its parent lives.
	parentPoll = time.Second
)

// Environment is the configuration, as JSON, of a PROCESS environment that runs command, which
// calls Main when Wanted. Its workers read the keytab at the given path.
func Environment(command, keytab string) (string, error) {
	build, err := buildID()
	if err != nil {
		return "", err
	}
	env, err := hdfs.WorkerEnv(keytab)
	if err != nil {
		return "", err
	}
	env[wantedEnv] = build
	config, err := json.Marshal(map[string]any{"command": command, "env": env})
	return string(config), err
}

// buildID is the linker's name for all that this program consists of.
func buildID() (string, error) {
	program, err := elf.Open("/proc/self/exe") // what runs, also if another file has its name by now
	if err != nil {
		return "", fmt.Errorf("looking for the build of this program: %w", err)
	}
	defer program.Close()
	note := program.Section(".note.go.buildid")
	if note == nil {
		return "", errors.New("this program has no build id: build it without -buildid")
	}
	id, err := note.Data()
	return hex.EncodeToString(id), err
}

// Wanted reports whether a cluster started this process as a worker.
func Wanted() bool { return os.Getenv(wantedEnv) != "" }

// Main runs the harness until the runner ends it; beam.Init must have been
// called. It returns an error when the connection to the runner breaks.
func Main(args []string) error {
	// A cluster in the foreground hands the terminal's Ctrl-C on; this ends with its job.
	if err := unix.Setpgid(0, 0); err != nil {
		return fmt.Errorf("giving the worker a process group: %w", err)
	}
	if err := printToParent(); err != nil {
		return err
	}
	build, err := buildID()
	if err != nil {
		return err
	}
	if build != os.Getenv(wantedEnv) {
		fmt.Fprintln(os.Stderr, "this worker is another build than the program that has submitted the job")
		os.Exit(ExitOtherBuild)
	}
	hdfs.Patient()
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	id := flags.String("id", "", "The worker's id.")
	provision := flags.String("provision_endpoint", "", "The provision service, host:port.")
	logging := flags.String("logging_endpoint", "", "The logging service, if the provision service does not name it.")
	control := flags.String("control_endpoint", "", "The control service, likewise.")
	flags.String("artifact_endpoint", "", "Not used: nothing is staged.")
	flags.String("semi_persist_dir", "", "Not used: nothing is kept.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *id == "" || *provision == "" {
		return errors.New("starting the worker: --id and --provision_endpoint are required; Flink and Spark set them")
	}
	go endWithParent(os.Getppid())
	ctx := grpcx.WriteWorkerID(context.Background(), *id)
	info, err := tools.ProvisionInfo(ctx, *provision)
	if err != nil {
		return fmt.Errorf("asking %s for the worker's provision: %w", *provision, err)
	}
	if url := info.GetLoggingEndpoint().GetUrl(); url != "" {
		*logging = url
	}
	if url := info.GetControlEndpoint().GetUrl(); url != "" {
		*control = url
	}
	return harness.MainWithOptions(ctx, *logging, *control, harness.Options{
		StatusEndpoint:     info.GetStatusEndpoint().GetUrl(),
		RunnerCapabilities: info.GetRunnerCapabilities(),
	})
}

// endWithParent ends this process, which may wait for data that nobody sends, when its parent has
// ended. The kernel's signal for this comes when the thread ends that has started this process.
func endWithParent(parent int) {
	tick := time.NewTicker(parentPoll)
	defer tick.Stop()
	for range tick.C {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

// printToParent sends what this process prints, such as a crash, to where its
// parent prints, which is a worker's log. Beam sends it to /dev/null.
func printToParent() error {
	parent, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/2", os.Getppid()), os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENXIO) {
		return nil // another user's, or a socket
	}
	if err != nil {
		return fmt.Errorf("opening the parent's standard error: %w", err)
	}
	defer parent.Close()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(parent.Fd()), fd); err != nil {
			return fmt.Errorf("redirecting to the parent's standard error: %w", err)
		}
	}
	return nil
}
