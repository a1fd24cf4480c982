// Package stack runs a real Kafka, HDFS, Flink and Spark on this machine, for
// development: what "make up" starts.
package stack

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"facestream/internal/cli"
	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/internal/stack/state"
)

const usage = `stack runs real services on this machine, for development:

  kafka  a broker
  hdfs   a NameNode and a DataNode with the web file browser
  flink  a JobManager, two TaskManagers of one slot each, and Beam's job server
  spark  a Master, two Workers of one core each, and Beam's job server

  facestream-stack up [flags] [kafka] [hdfs] [flink] [spark]
      Start the named services, or kafka and hdfs, and wait until they work.
  facestream-stack status   Say what runs, where, as which processes, and where the logs are.
  facestream-stack env      Print the addresses of what runs, one a line, for a shell.
  facestream-stack down     End the services and remove everything they stored.

In a checkout, "go run ./scripts/stack" stands for facestream-stack. Everything
listens on 127.0.0.1 only, but for Beam's own servers, which take the port and not
the address: the job servers, and those that a job's harnesses call, are open to the
network. What flink and spark know of ended jobs is gone when they are started again.
Topics are not created by using them. HDFS checks permissions, but knows nobody: any
user name does, "/", "/user" and "/tmp" are open to all, and "hdfs" may do anything.

Flags:
`

const upUsage = `stack up starts services and waits until they work: the broker has passed a record on,
HDFS has stored and given back a file, all slots are free and the job server answers.
A service that runs already is left alone; one with a process that has died is
started again with its data and, if they are free, its ports. The services go on
running afterwards.

  facestream-stack up [flags] [kafka] [hdfs] [flink] [spark]

Flags (a port that is 0 is a free one):
`

const envUsage = `stack env prints the addresses of what runs, one a line, for a shell or a Makefile:
  KAFKA=127.0.0.1:20001
  HDFS=hdfs://127.0.0.1:20002
  HDFS_WEB=http://127.0.0.1:20003
  FLINK_ENDPOINT=127.0.0.1:20004
  FLINK_WEB=http://127.0.0.1:20005
  SPARK_ENDPOINT=127.0.0.1:20006
  SPARK_WEB=http://127.0.0.1:20007
  SPARK_MASTER=spark://127.0.0.1:20008    (for --master)

Flags:
`

// Command returns the command under a name.
func Command(name string) cli.Command {
	sub := func(verb, usage string, do func(ctx context.Context, dir string, out io.Writer) error) cli.Command {
		return cli.Command{Name: name + " " + verb, Usage: usage, Setup: func(f *flag.FlagSet) cli.Run {
			var s paths.State
			s.Add(f)
			return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
				dir, err := s.Dir()
				if err != nil {
					return err
				}
				return do(ctx, state.Dir(dir), stdout)
			}
		}}
	}
	return cli.Command{
		Name: name, Usage: usage, TakesArgs: true,
		Setup: func(*flag.FlagSet) cli.Run {
			return func(_ context.Context, args []string, _, _ io.Writer) error {
				if len(args) == 0 {
					return cli.Usagef("up, down, status or env is missing")
				}
				return cli.Usagef("there is no %q, but up, down, status and env", args[0])
			}
		},
		Subcommands: []cli.Command{
			{Name: name + " up", Usage: upUsage, TakesArgs: true, Setup: setupUp},
			sub("down", "stack down ends all services and removes everything they stored.\n\nFlags:\n", down),
			sub("status", "stack status says what runs, where, as which processes, and where the logs are.\n\nFlags:\n",
				func(_ context.Context, dir string, out io.Writer) error { return status(dir, out) }),
			sub("env", envUsage, func(_ context.Context, dir string, out io.Writer) error { return env(dir, out) }),
		},
	}
}

// wanted is what the command line of up asks for. A service without an address
// may take any.
type wanted struct {
	services []string
	addrs    map[string]string // by service
	webAddrs map[string]string // of its web pages
}

// portFlag is the port of a service, or of its web pages.
type portFlag struct {
	name, service string
	web           bool
	port          int
}

func setupUp(f *flag.FlagSet) cli.Run {
	var s paths.State
	s.Add(f)
	asked := []portFlag{
		{name: "kafka_port", service: state.Kafka},
		{name: "hdfs_port", service: state.HDFS},
		{name: "web_port", service: state.HDFS, web: true},
		{name: "flink_port", service: state.Flink},
		{name: "flink_web_port", service: state.Flink, web: true},
		{name: "spark_port", service: state.Spark},
		{name: "spark_web_port", service: state.Spark, web: true},
	}
	what := map[string][2]string{
		state.Kafka: {"the broker"}, state.HDFS: {"the NameNode", "the NameNode's web pages and of WebHDFS"},
		state.Flink: {"the job server for Flink", "Flink's web pages and REST API"},
		state.Spark: {"the job server for Spark", "the web pages of Spark's Master"},
	}
	for i := range asked {
		p := &asked[i]
		of := what[p.service][0]
		if p.web {
			of = what[p.service][1]
		}
		f.IntVar(&p.port, p.name, 0, "`PORT` of "+of+".")
	}
	return func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		dir, err := s.Dir()
		if err != nil {
			return err
		}
		w, err := newWanted(args, asked)
		if err != nil {
			return cli.Usagef("%w", err)
		}
		return up(ctx, state.Dir(dir), w, stdout)
	}
}

func newWanted(names []string, asked []portFlag) (wanted, error) {
	w := wanted{addrs: map[string]string{}, webAddrs: map[string]string{}}
	for _, name := range names {
		if !slices.Contains(state.Services, name) {
			return w, fmt.Errorf("there is no service %q, but %s", name, list(state.Services))
		}
		if !slices.Contains(w.services, name) {
			w.services = append(w.services, name)
		}
	}
	if len(w.services) == 0 {
		w.services = []string{state.Kafka, state.HDFS}
	}
	for _, p := range asked {
		const highest = 65535
		switch {
		case p.port == 0:
		case p.port < 0 || p.port > highest:
			return w, fmt.Errorf("--%s=%d: a port is between 1 and %d, or 0 for a free one", p.name, p.port, highest)
		case !slices.Contains(w.services, p.service):
			return w, fmt.Errorf("--%s is set, but only %s is to be started", p.name, list(w.services))
		case p.web:
			w.webAddrs[p.service] = ports.Loopback(p.port)
		default:
			w.addrs[p.service] = ports.Loopback(p.port)
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
