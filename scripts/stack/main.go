// Stack runs a real Kafka, HDFS, Flink and Spark on this machine for
// development:
//
//	go run ./scripts/stack up
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"facestream/runners/ports"
	"facestream/scripts/stack/state"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

const help = `Stack runs real services on this machine, for development:

  kafka  a broker
  hdfs   a NameNode and a DataNode with the web file browser
  flink  a JobManager, two TaskManagers of one slot each, and Beam's job server
  spark  a Master, two Workers of one core each, and Beam's job server

Usage:

  go run ./scripts/stack up [flags] [kafka] [hdfs] [flink] [spark]
      Start the named services, or kafka and hdfs, and wait until they work: the
      broker has passed a record on, HDFS has stored and given back a file, all
      slots are free and the job server answers. A service that runs already is
      left alone; one with a process that has died is started again with its
      data and, if they are free, its ports. The services go on running
      afterwards.

      --kafka_port=N      Port of the broker (0: a free one).
      --hdfs_port=N       Port of the NameNode (0: a free one).
      --web_port=N        Port of the NameNode's web pages and of WebHDFS (0: a free one).
      --flink_port=N      Port of the job server for Flink (0: a free one).
      --flink_web_port=N  Port of Flink's web pages and REST API (0: a free one).
      --spark_port=N      Port of the job server for Spark (0: a free one).
      --spark_web_port=N  Port of the web pages of Spark's Master (0: a free one).

  go run ./scripts/stack status
      Say what runs, where, as which processes, and where the logs are.

  go run ./scripts/stack env
      Print the addresses of what runs, one a line, for a shell or a Makefile:
        KAFKA=127.0.0.1:20001
        HDFS=hdfs://127.0.0.1:20002
        HDFS_WEB=http://127.0.0.1:20003
        FLINK_ENDPOINT=127.0.0.1:20004
        FLINK_WEB=http://127.0.0.1:20005
        SPARK_ENDPOINT=127.0.0.1:20006
        SPARK_WEB=http://127.0.0.1:20007

  go run ./scripts/stack down
      End the services and remove everything they stored.

Everything listens on 127.0.0.1 only, but for Beam's own servers, which take the
port and not the address: the job servers, and those that a job's harnesses call,
are open to the network. Everything is kept below build/stack; what flink and
spark know of ended jobs is gone when they are started again. Topics are not
created by using them. HDFS checks permissions, but knows nobody: any user name
does, "/", "/user" and "/tmp" are open to all, and "hdfs" may do anything. In the
file browser (HDFS_WEB, Utilities, Browse) a click on a picture shows it.

The exit status is 0, or 1 if a service failed, or 2 for a wrong command line.
`

// errUsage marks a wrong command line.
var errUsage = errors.New("wrong command line")

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := run(ctx, os.Args[1:], os.Stdout)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "stack: %v\nRun it with --help to see what it can do.\n", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintf(os.Stderr, "stack: %v\n", err)
		os.Exit(exitFailure)
	}
}

// run does what the command line says.
func run(ctx context.Context, args []string, out io.Writer) error {
	if slices.ContainsFunc(args, isHelp) {
		_, err := io.WriteString(out, help)
		return err
	}
	if len(args) == 0 {
		return fmt.Errorf("%w: up, down, status or env is missing", errUsage)
	}
	command, args := args[0], args[1:]
	var w wanted
	switch command {
	case "up":
		var err error
		if w, err = parseUp(args); err != nil {
			return err
		}
	case "down", "status", "env":
		if len(args) > 0 {
			return fmt.Errorf("%w: %s takes nothing more, but there is %q", errUsage, command, args[0])
		}
	default:
		return fmt.Errorf("%w: there is no %q, but up, down, status and env", errUsage, command)
	}
	dir, err := state.Dir()
	if err != nil {
		return err
	}
	switch command {
	case "up":
		return up(ctx, dir, w, out)
	case "down":
		return down(ctx, dir, out)
	case "status":
		return status(dir, out)
	default:
		return env(dir, out)
	}
}

func isHelp(arg string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg)
}

// wanted is what the command line of up asks for. A service without an address
// may take any.
type wanted struct {
	services []string
	addrs    map[string]string // by service
	webAddrs map[string]string // of its web pages
}

// parseUp reads up's flags and services, in any order.
func parseUp(args []string) (wanted, error) {
	w := wanted{addrs: map[string]string{}, webAddrs: map[string]string{}}
	f := flag.NewFlagSet("up", flag.ContinueOnError)
	f.SetOutput(io.Discard) // the error says it
	asked := []struct {
		name    string
		service string
		addrs   map[string]string
		port    int
	}{
		{name: "kafka_port", service: state.Kafka, addrs: w.addrs},
		{name: "hdfs_port", service: state.HDFS, addrs: w.addrs},
		{name: "web_port", service: state.HDFS, addrs: w.webAddrs},
		{name: "flink_port", service: state.Flink, addrs: w.addrs},
		{name: "flink_web_port", service: state.Flink, addrs: w.webAddrs},
		{name: "spark_port", service: state.Spark, addrs: w.addrs},
		{name: "spark_web_port", service: state.Spark, addrs: w.webAddrs},
	}
	for i := range asked {
		f.IntVar(&asked[i].port, asked[i].name, 0, "")
	}
	for {
		if err := f.Parse(args); err != nil {
			return w, fmt.Errorf("%w: %w", errUsage, err)
		}
		if f.NArg() == 0 {
			break
		}
		name := f.Arg(0)
		if !slices.Contains(state.Services, name) {
			return w, fmt.Errorf("%w: there is no service %q, but %s", errUsage, name, list(state.Services))
		}
		if !slices.Contains(w.services, name) {
			w.services = append(w.services, name)
		}
		args = f.Args()[1:]
	}
	if len(w.services) == 0 {
		w.services = []string{state.Kafka, state.HDFS}
	}
	for _, p := range asked {
		const highest = 65535
		switch {
		case p.port == 0:
		case p.port < 0 || p.port > highest:
			return w, fmt.Errorf("%w: --%s=%d: a port is between 1 and %d, or 0 for a free one", errUsage, p.name, p.port, highest)
		case !slices.Contains(w.services, p.service):
			return w, fmt.Errorf("%w: --%s is set, but only %s is to be started", errUsage, p.name, list(w.services))
		default:
			p.addrs[p.service] = ports.Loopback(p.port)
		}
	}
	return w, nil
}

// list joins names as a sentence does.
func list(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
