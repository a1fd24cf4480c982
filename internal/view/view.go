// Package view shows an output as web pages, for reading only: faces and frames, a timeline,
// rejects, and what a run adds while it goes on. It reads the books and the events that they
// name, and of pictures only those that are shown.
package view

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
	_ "time/tzdata" // zones of viewers

	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/kafkaconf"
	"facestream/internal/stack/state"

	"github.com/twmb/franz-go/pkg/kgo"
)

const usage = `view shows the faces of an output as web pages, also while a run writes it. It
changes nothing. With a stack started by "make up", no flag is needed. Ctrl-C ends it.

Flags:
`

const examples = `
Examples:
  facestream view --user=video --output=hdfs://namenode:8020/faces
  facestream view --output=/mnt/faces --listen=0.0.0.0:8088 --token=@/etc/facestream/token

Exit status: 0 ended by Ctrl-C or SIGTERM, 1 failed, 2 wrong setting or no output there.
`

const (
	readTimeout = 10 * time.Second // of a request's head
	idleTimeout = time.Minute
	stopTimeout = 3 * time.Second // for what is under way after Ctrl-C
)

// Command returns the command under a name.
func Command(name string) cli.Command {
	return cli.Command{Name: name, Usage: usage, Examples: examples, Setup: func(f *flag.FlagSet) cli.Run {
		var output config.OutputFlags
		var a access
		output.Add(f)
		listen := f.String("listen", "127.0.0.1:8088", "`HOST:PORT` of the pages. Other addresses than this machine's own need --token or --user_header. Port 0 is a free one.")
		f.StringVar(&a.token, "token", "", "`TOKEN` that whoever looks must know, or @FILE with it, which keeps it out of the list of processes. It is given once as ?token=... behind the address.")
		f.StringVar(&a.userHeader, "user_header", "", "`NAME` of the header in which a proxy says who looks. Requests without it are refused; only the proxy may reach the address.")
		var brokers cli.List
		f.Var(&brokers, "kafka", "`HOST:PORT` of the Kafka brokers, comma-separated, to show how many records wait. Default: the broker of the local stack if --output is there, too.")
		var security kafkaconf.Config
		security.Add(f)
		return func(ctx context.Context, _ []string, stdout, _ io.Writer) error {
			o, local, err := output.Check()
			if err == nil {
				err = a.check(*listen)
			}
			if err == nil && brokers != "" {
				_, err = cli.Brokers("--kafka", string(brokers))
			}
			if err != nil {
				return cli.Usagef("%w", err)
			}
			if brokers == "" && local.HDFS != "" && strings.Contains(o.Output, strings.TrimPrefix(local.HDFS, "hdfs://")) {
				brokers = cli.List(local.Kafka)
				if err := security.Default(local.Secret(o.StateDir, state.KafkaConfig)); err != nil {
					return err
				}
			}
			return serve(ctx, o.Output, *listen, string(brokers), security.Options(), a, stdout)
		}
	}}
}

// serve shows an output until ctx is over.
func serve(ctx context.Context, root, listen, brokers string, security []kgo.Opt, a access, stdout io.Writer) error {
	ix, err := openIndex(ctx, root)
	if errors.Is(err, errNoOutput) || errors.Is(err, fs.ErrNotExist) {
		return cli.Usagef("--output: %w; give the folder that a run was given", err)
	}
	if err != nil {
		return err
	}
	l, err := cli.Listen("--listen", listen)
	if err != nil {
		return err
	}
	s := newServer(ix, a)
	if brokers != "" {
		go s.followLag(ctx, s.lagAt(brokers, security))
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: readTimeout, IdleTimeout: idleTimeout, BaseContext: func(net.Listener) context.Context { return ctx }}
	go ix.summarize(ctx)
	context.AfterFunc(ctx, func() {
		ending, stop := context.WithTimeout(context.Background(), stopTimeout)
		defer stop()
		if server.Shutdown(ending) != nil {
			_ = server.Close()
		}
	})
	more := ""
	if a.token != "" {
		more = "?token=..."
	}
	fmt.Fprintf(stdout, "%s is at http://%s/%s until Ctrl-C\n", root, l.Addr(), more)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
