// Package stack runs a real Kafka, HDFS, Flink, Spark and YARN on this machine, for
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

  kdc    Kerberos: with it kafka takes nobody without a password over TLS, and hdfs nobody
         without a ticket
  kafka  a broker
  hdfs   a NameNode and a DataNode with the web file browser
  flink  a JobManager, two TaskManagers of one slot each, and Beam's job server
  spark  a Master, two Workers of one core each, and Beam's job server
  yarn   a ResourceManager and a NodeManager; its applications use hdfs

  facestream-stack up [flags] [kdc] [kafka] [hdfs] [flink] [spark] [yarn]
      Start the named services, or kafka and hdfs, and wait until they work.
  facestream-stack status   Say what runs, where, as which processes, and where the logs are.
  facestream-stack env      Print the addresses of what runs, one a line, for a shell.
  facestream-stack view     Show the pictures in HDFS as web pages.
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
HDFS has stored and given back a file, all slots are there and the job server answers.
A service that runs already is left alone; one with a process that has died is
started again with its data and, if they are free, its ports. The services go on
running afterwards.

  facestream-stack up [flags] [kdc] [kafka] [hdfs] [flink] [spark] [yarn]

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
  YARN_WEB=http://127.0.0.1:20009
  HADOOP_CONF_DIR=...                     (for --master=yarn)

Flags:
`

const viewUsage = `stack view shows the faces in the local HDFS as web pages, until down, and prints their
address. It runs "facestream view" in the background.

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
					return cli.Usagef("up, down, status, env or view is missing")
				}
				return cli.Usagef("there is no %q, but up, down, status, env and view", args[0])
			}
		},
		Subcommands: []cli.Command{
			{Name: name + " up", Usage: upUsage, TakesArgs: true, Setup: setupUp},
			sub("down", "stack down ends all services and removes everything they stored.\n\nFlags:\n", down),
			sub("status", "stack status says what runs, where, as which processes, and where the logs are.\n\nFlags:\n", status),
			sub("env", envUsage, env),
			sub("view", viewUsage, view),
		},
	}
}

func setupUp(f *flag.FlagSet) cli.Run {
	var s paths.State
	s.Add(f)
	secure := f.Bool("secure", false, "Start kdc, too. Needs Debian's krb5-kdc and krb5-admin-server.")
	wanted := map[string]*int{} // ports, by flag
	for _, a := range state.Addresses {
		if a.Flag != "" {
			wanted[a.Flag] = f.Int(a.Flag, 0, "`PORT` of "+a.What+".")
		}
	}
	return func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		dir, err := s.Dir()
		if err == nil {
			err = cli.CheckFolder("--state_dir", dir)
		}
		if err != nil {
			return cli.Usagef("%w", err)
		}
		if *secure {
			args = append(args, state.KDC)
			if len(args) == 1 {
				args = append(args, state.Kafka, state.HDFS)
			}
		}
		names, addrs, err := parseUp(args, wanted)
		if err != nil {
			return cli.Usagef("%w", err)
		}
		return up(ctx, state.Dir(dir), names, addrs, stdout)
	}
}

// parseUp returns the services that are wanted, and where.
func parseUp(args []string, wanted map[string]*int) (names []string, addrs state.Addrs, err error) {
	for _, name := range args {
		if !slices.Contains(state.Services, name) {
			return nil, addrs, fmt.Errorf("there is no service %q, but %s", name, list(state.Services))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{state.Kafka, state.HDFS}
	}
	for _, a := range state.Addresses {
		const highest = 65535
		switch port := wanted[a.Flag]; {
		case port == nil || *port == 0:
		case *port < 0 || *port > highest:
			return nil, addrs, fmt.Errorf("--%s=%d: a port is between 1 and %d, or 0 for a free one", a.Flag, *port, highest)
		case !slices.Contains(names, a.Service):
			return nil, addrs, fmt.Errorf("--%s is set, but only %s is to be started", a.Flag, list(names))
		default:
			*a.In(&addrs) = a.Scheme + ports.Loopback(*port)
		}
	}
	return names, addrs, nil
}

// list joins names as a sentence does.
func list(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
