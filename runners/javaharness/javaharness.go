// Package javaharness starts Beam's Java harness as a process environment: what
// a container's boot program does, without the container. The program that
// submits the pipeline is its own launcher: the expansion service is told to
// name it as the command, with the variables of Environment set.
package javaharness

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/prototext"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

const (
	javaEnv      = "FACESTREAM_HARNESS_JAVA"
	classPathEnv = "FACESTREAM_HARNESS_CLASSPATH"
	logEnv       = "FACESTREAM_HARNESS_LOG"
	tmpEnv       = "FACESTREAM_HARNESS_TMP"

	mainClass = "org.apache.beam.fn.harness.FnHarness"
)

// jvmFlags favour a quick start: a harness lives for one window. The heap holds
// fetched records and messages under way, not the window.
var jvmFlags = []string{"-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}

// Environment is the configuration of a PROCESS environment that runs this
// launcher: JSON for --defaultEnvironmentConfig. command is a program that
// calls Main when Wanted; java and classPath say what it runs, logFile takes
// what the JVM prints, and tmp is for what it unpacks: it is killed at a
// window's end and cleans nothing up.
func Environment(command, java, classPath, logFile, tmp string) (string, error) {
	config, err := json.Marshal(map[string]any{
		"command": command,
		"env":     map[string]string{javaEnv: java, classPathEnv: classPath, logEnv: logFile, tmpEnv: tmp},
	})
	return string(config), err
}

// Wanted says whether a runner started this process as the launcher.
func Wanted() bool { return os.Getenv(classPathEnv) != "" }

// Main becomes the Java harness. It returns only with an error.
func Main(args []string) error {
	// The harness must not outlive the worker's parent, however that ends.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the Java harness to its parent: %w", err)
	}
	// Ctrl-C is for the parent, which cancels the job.
	if err := unix.Setpgid(0, 0); err != nil {
		return fmt.Errorf("giving the Java harness a process group: %w", err)
	}
	flags := flag.NewFlagSet("javaharness", flag.ContinueOnError)
	id := flags.String("id", "", "The worker's id.")
	provision := flags.String("provision_endpoint", "", "The provision service, host:port.")
	logging := flags.String("logging_endpoint", "", "The logging service, if the provision service does not name it.")
	control := flags.String("control_endpoint", "", "The control service, likewise.")
	flags.String("artifact_endpoint", "", "Not used: the class path is on this machine.")
	flags.String("semi_persist_dir", "", "Not used.")
	if err := flags.Parse(args); err != nil {
		return err
	}
	worker := strings.Trim(*id, "'") // Prism quotes it
	if worker == "" || *provision == "" {
		return fmt.Errorf("starting the Java harness: --id and --provision_endpoint are required, got %q", args)
	}
	info, err := tools.ProvisionInfo(grpcx.WriteWorkerID(context.Background(), worker), *provision)
	if err != nil {
		return fmt.Errorf("asking %s for the worker's provision: %w", *provision, err)
	}
	options, err := tools.ProtoToJSON(info.GetPipelineOptions())
	if err != nil {
		return fmt.Errorf("reading the pipeline options: %w", err)
	}
	log, err := os.OpenFile(os.Getenv(logEnv), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the Java harness's log: %w", err)
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(log.Fd()), fd); err != nil {
			return fmt.Errorf("redirecting to %s: %w", log.Name(), err)
		}
	}
	java := os.Getenv(javaEnv)
	env := append(os.Environ(),
		"HARNESS_ID="+worker,
		"PIPELINE_OPTIONS="+options,
		"LOGGING_API_SERVICE_DESCRIPTOR="+descriptor(info.GetLoggingEndpoint(), *logging, *provision),
		"CONTROL_API_SERVICE_DESCRIPTOR="+descriptor(info.GetControlEndpoint(), *control, *provision),
	)
	argv := append([]string{java}, jvmFlags...)
	argv = append(argv, "-Djava.io.tmpdir="+os.Getenv(tmpEnv), "-cp", os.Getenv(classPathEnv), mainClass)
	return fmt.Errorf("starting %s: %w", java, syscall.Exec(java, argv, env))
}

// descriptor is a service's address as the harness reads it: the provision
// service's word, else the command line's, else the one endpoint there is.
func descriptor(known *pipepb.ApiServiceDescriptor, flag, fallback string) string {
	if known.GetUrl() == "" {
		known = &pipepb.ApiServiceDescriptor{Url: fallback}
		if flag != "" {
			known.Url = flag
		}
	}
	return prototext.MarshalOptions{}.Format(known)
}
