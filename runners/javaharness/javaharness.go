// Package javaharness gives Prism a Java harness for its process environment:
// what a container's boot program does, without the container. The JVM is that of
// the expansion service, which is kept from one job to the next (see
// KeptFnHarness.java). The program that submits the pipeline is its own launcher:
// the expansion service is told to name it as the command, with the variables of
// Environment set, and it hands each job on to that JVM.
package javaharness

import (
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/prototext"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

const (
	dirEnv = "FACESTREAM_HARNESS_DIR"

	// socket is in the directory of dirEnv, which both sides work in: the name of
	// a socket may be no longer than about a hundred bytes.
	socket = "harness.sock"
	source = "KeptFnHarness.java"
)

//go:embed KeptFnHarness.java
var program []byte

// jvmFlags favour a quick start and a heap that does not grow with the number of
// jobs: it begins small, and is cleaned up before it grows. It holds fetched records
// and messages under way, not the window; what is there between jobs is 26 MB.
var jvmFlags = []string{"-Xms112m", "-Xmx1g", "-Xmn48m", "-XX:MinHeapFreeRatio=20", "-XX:MaxHeapFreeRatio=40", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", oneArena}

// oneArena has gRPC, which sends one message after the other here, keep one pool of
// buffers outside of the heap instead of two for each processor.
const oneArena = "-Dorg.apache.beam.vendor.grpc.v1p60p1.io.netty.allocator.numDirectArenas=1"

// Malloc are variables for the JVM's environment that have the C library give
// back what is freed. Kafka's consumer reads through buffers outside of the heap,
// as large as what it fetches, by a new thread for each job. By itself, the C
// library takes an arena for each thread and, after the first such buffer, serves
// the others from arenas as well, where each job leaves its holes.
var Malloc = []string{"MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072"}

// Arguments are those of Java for an expansion service that is also the harness,
// with its own arguments after the class path. Its working directory must be dir,
// into which the program is written.
func Arguments(dir, classPath string, expansion ...string) ([]string, error) {
	if err := os.WriteFile(filepath.Join(dir, source), program, 0o644); err != nil {
		return nil, err
	}
	args := append([]string{}, jvmFlags...)
	args = append(args, "-Djava.io.tmpdir="+dir, "-cp", classPath, source, socket)
	return append(args, expansion...), nil
}

// Environment is the configuration of a PROCESS environment that runs this
// launcher: JSON for --defaultEnvironmentConfig. command is a program that
// calls Main when Wanted; dir is that of Arguments.
func Environment(command, dir string) (string, error) {
	config, err := json.Marshal(map[string]any{"command": command, "env": map[string]string{dirEnv: dir}})
	return string(config), err
}

// Wanted says whether a runner started this process as the launcher.
func Wanted() bool { return os.Getenv(dirEnv) != "" }

// Main has the Java harness serve one job and returns when that has ended.
func Main(args []string) error {
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
	// The launcher must not outlive the worker's parent, however that ends.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("tying the Java harness to its parent: %w", err)
	}
	// Ctrl-C is for the parent, which cancels the job.
	if err := unix.Setpgid(0, 0); err != nil {
		return fmt.Errorf("giving the Java harness a process group: %w", err)
	}
	info, err := tools.ProvisionInfo(grpcx.WriteWorkerID(context.Background(), worker), *provision)
	if err != nil {
		return fmt.Errorf("asking %s for the worker's provision: %w", *provision, err)
	}
	options, err := tools.ProtoToJSON(info.GetPipelineOptions())
	if err != nil {
		return fmt.Errorf("reading the pipeline options: %w", err)
	}
	return serve(map[string]string{
		"HARNESS_ID":                     worker,
		"PIPELINE_OPTIONS":               options,
		"LOGGING_API_SERVICE_DESCRIPTOR": descriptor(info.GetLoggingEndpoint(), *logging, *provision),
		"CONTROL_API_SERVICE_DESCRIPTOR": descriptor(info.GetControlEndpoint(), *control, *provision),
	})
}

// serve hands the variables of one job to the JVM and waits for its end.
func serve(env map[string]string) error {
	if err := os.Chdir(os.Getenv(dirEnv)); err != nil {
		return fmt.Errorf("looking for the Java harness: %w", err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("looking for the Java harness: %w", err)
	}
	defer conn.Close()
	var text strings.Builder
	for name, value := range env {
		fmt.Fprintf(&text, "%s=%s\n", name, strings.ReplaceAll(value, "\n", " "))
	}
	message := binary.BigEndian.AppendUint32(nil, uint32(text.Len()))
	if _, err := conn.Write(append(message, text.String()...)); err != nil {
		return fmt.Errorf("starting the Java harness: %w", err)
	}
	// One byte says that the job is done.
	if n, err := io.ReadFull(conn, make([]byte, 1)); n == 0 {
		return errors.Join(errors.New("the Java harness has died"), err)
	}
	return nil
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
