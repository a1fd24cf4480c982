// Package metrics serves a program's metrics to Prometheus, and says whether the program
// is at work.
package metrics

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"facestream/internal/cli"
)

const (
	// Usage is the text of the flag --metrics.
	Usage     = "`HOST:PORT` at which Prometheus finds metrics (/metrics), and others whether this program lives (/healthz) and works (/readyz). Whoever reaches it can read them, names of cameras too. Port 0 is a free one. Default: nowhere."
	namespace = "facestream"

	readTimeout = 10 * time.Second // of a request's head
)

// Server answers at /metrics, /healthz and /readyz.
type Server struct {
	*prometheus.Registry
	Addr string // HOST:PORT at which it listens

	server http.Server
	wants  atomic.Pointer[string] // why it is not ready
}

// CheckAddr returns an error unless addr is where Listen could listen.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port != "0" && cli.CheckAddr("--metrics", addr) != nil {
		return fmt.Errorf("--metrics=%s: it must be HOST:PORT, such as 127.0.0.1:9464", addr)
	}
	return nil
}

// Listen serves until Close. The program is not ready until SetReady. Errors are cli.Listen's.
func Listen(addr string) (*Server, error) {
	l, err := cli.Listen("--metrics", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{Registry: prometheus.NewRegistry(), Addr: l.Addr().String()}
	s.SetReady("starting")
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with what this program was built of.",
		ConstLabels: prometheus.Labels{"version": cli.Version, "commit": cli.Commit(), "go": runtime.Version()},
	})
	info.Set(1)
	s.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := *s.wants.Load(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	s.server = http.Server{Handler: mux, ReadHeaderTimeout: readTimeout}
	go func() { _ = s.server.Serve(l) }() // until Close
	return s, nil
}

// SetReady says why the program is not at work; an empty text that it is. A nil Server has
// nobody to tell.
func (s *Server) SetReady(wants string) {
	if s != nil {
		s.wants.Store(&wants)
	}
}

// Close ends what is under way.
func (s *Server) Close() {
	ending, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	if s.server.Shutdown(ending) != nil {
		_ = s.server.Close()
	}
}
