package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera"
	"facestream/internal/camera/feed"
	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/rest"
	"facestream/internal/testkit"
)

const (
	// prometheusFolder is where scripts/setup.sh tests puts Debian's Prometheus.
	prometheusFolder = "../build/prometheus/usr/bin"
	alertsFile       = "../docs/alerts.yml"
	dashboardFile    = "../docs/grafana-dashboard.json"
)

// startPrometheus has a Prometheus with the alerts scrape addresses, and returns how to ask
// it for the value of an expression, or "".
func startPrometheus(t *testing.T, targets ...string) func(expr string) string {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nrule_files: [%q]\nscrape_configs:\n- job_name: facestream\n  static_configs: [{targets: [%s]}]\n",
		testkit.Value(filepath.Abs(alertsFile))(t), strings.Join(targets, ", "))
	testkit.WriteFile(t, filepath.Join(dir, "prometheus.yml"), []byte(config))
	addr := ports.Loopback(testkit.Value(ports.Free(1))(t)[0])
	cmd := exec.Command(filepath.Join(prometheusFolder, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	child, err := proc.StartBound(cmd)
	if err != nil {
		t.Fatalf("%v: scripts/setup.sh tests gets Prometheus", err)
	}
	t.Cleanup(func() {
		if child.Stop(0); t.Failed() {
			t.Log(said.String())
		}
	})
	return func(expr string) string {
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if rest.Get(t.Context(), "http://"+addr+"/api/v1/query?query="+url.QueryEscape(expr), &answer) != nil || len(answer.Data.Result) != 1 {
			return ""
		}
		return answer.Data.Result[0].Value[1].(string)
	}
}

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(prometheusFolder, "promtool"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// hostile is the name of a camera that would be another metric if nothing were escaped.
const hostile = "\"} 1\nfacestream_faces_total{camera=\"x"

// sendMetered makes a topic of nine records, seven of them with a face, of cameras with odd
// names.
func sendMetered(t *testing.T) job {
	t.Helper()
	j := newJob(t, "metered-"+strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), "erin", "--min_face=100", "--write=frame,annotated,crops,events", "--duration=10m")
	c := newTopic(t, j.Kafka, j.topic, 2)
	value := frames(t, feed.JPEG, 1)[0] // with a face
	for _, name := range []string{hostile, "../../etc", "", "\xff\x00", strings.Repeat("c", 300), "door", "door"} {
		send(t, c, &kgo.Record{Value: value, Headers: []kgo.RecordHeader{{Key: "camera", Value: []byte(name)}, {Key: hostile, Value: []byte(hostile)}}})
	}
	send(t, c, &kgo.Record{Value: make([]byte, 5000), Key: []byte("door")}, &kgo.Record{Key: []byte("door")})
	return j
}

// startMetered begins a command with metrics, and returns where they are. It lasts until it
// is interrupted, at the latest at the test's end.
func startMetered(t *testing.T, command func(context.Context, io.Writer) int) (addr string, stop func()) {
	t.Helper()
	out := testkit.NewTerminal(t, 200)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- command(ctx, out) }()
	at := regexp.MustCompile(`(?m)^metrics are at http://(.*)/metrics$`)
	testkit.Await(t, "the address of the metrics", func() bool {
		if found := at.FindStringSubmatch(strings.Join(out.Lines(), "\n")); found != nil {
			addr = found[1]
		}
		return addr != "" || len(ended) > 0
	})
	stop = sync.OnceFunc(func() {
		cancel()
		if status := <-ended; status != 130 {
			t.Errorf("exit status %d:\n%s", status, strings.Join(out.Lines(), "\n"))
		}
	})
	t.Cleanup(stop)
	return addr, stop
}

// awaitMetrics waits until Prometheus knows of all that sendMetered has sent, and of so many
// windows.
func awaitMetrics(t *testing.T, query func(string) string, topic, windows string) {
	t.Helper()
	of := "facestream_records_total{topic=\"" + topic + "\",outcome=\"%s\"}"
	for _, want := range [][2]string{
		{fmt.Sprintf(of, "decoded"), "7"},
		{fmt.Sprintf(of, "rejected"), "1"},
		{fmt.Sprintf(of, "skipped"), "1"},
		{`facestream_rejects_total{reason="wrong_size"}`, "1"},
		{`facestream_faces_total{camera="door"}`, "2"},
		{`count(facestream_faces_total)`, "5"}, // two have no name that is text
		{`sum(facestream_pictures_written_total)`, "21"},
		{`facestream_latency_seconds_count`, "7"},
		{`facestream_detect_seconds_count`, "7"},
		{`sum(facestream_lag_records{topic="` + topic + `"})`, "0"},
		{`count(facestream_lag_records)`, "2"},
		{`facestream_window_seconds_count`, windows},
	} {
		awaitMetric(t, query, want[0], want[1])
	}
}

func awaitMetric(t *testing.T, query func(string) string, expr, want string) {
	t.Helper()
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("%s is %q", expr, got)
		}
	}()
	testkit.Await(t, expr+" "+want, func() bool { got = query(expr); return got == want })
}

// testMetricsOfCluster: on a cluster, whose workers are other processes, the same is counted
// when the window is done.
func testMetricsOfCluster(t *testing.T, name string) {
	addrs, j := allServices(t), sendMetered(t)
	flags := slices.Concat(onClusters(addrs)[name], j.endpoints(), j.flags, []string{"--state_dir=" + t.TempDir(), "--metrics=127.0.0.1:0"})
	job, _ := startMetered(t, func(ctx context.Context, out io.Writer) int { return program().Main(ctx, flags, out, out) })
	awaitMetrics(t, startPrometheus(t, job), j.topic, "1")
}

// A real Prometheus scrapes a run and a camera, whatever the cameras are called, while the
// run's window lasts. The alerts are rules, and the metrics that they and the
// dashboard name are there. Runs on clusters are in make test-all.
func TestMetrics(t *testing.T) {
	j := sendMetered(t)
	flags := slices.Clip(slices.Concat(j.endpoints(), j.flags, []string{"--runner=direct", "--window=10m", "--state_dir=" + t.TempDir()}))
	job, stopJob := startMetered(t, func(ctx context.Context, out io.Writer) int {
		return program().Main(ctx, append(flags, "--metrics=127.0.0.1:0"), out, out)
	})
	sender, _ := startMetered(t, func(ctx context.Context, out io.Writer) int {
		return camera.Command("facestream-camera").Main(ctx, []string{"--kafka=" + j.Kafka, "--topic=" + j.topic + "-sent", "--source=demo", "--camera=" + hostile, "--fps=5", "--frames=0", "--metrics=127.0.0.1:0"}, out, out)
	})
	query := startPrometheus(t, job, sender)
	awaitMetrics(t, query, j.topic, "0")
	awaitMetric(t, query, `count(facestream_build_info)`, "2")
	awaitMetric(t, query, `facestream_camera_frames_total{camera=~"\"} 1\nface.*"} > bool 5`, "1")

	get := func(addr, path string) (int, string) {
		t.Helper()
		resp := testkit.Value(http.Get("http://" + addr + path))(t)
		defer resp.Body.Close()
		return resp.StatusCode, string(testkit.Value(io.ReadAll(resp.Body))(t))
	}
	for _, addr := range []string{job, sender} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, text := get(addr, path); status != http.StatusOK {
				t.Errorf("%s%s: %d %s", addr, path, status, text)
			}
		}
	}
	_, scraped := get(job, "/metrics")
	promtool(t, scraped, "check", "metrics")
	_, sent := get(sender, "/metrics")
	promtool(t, sent, "check", "metrics")
	promtool(t, "", "check", "rules", alertsFile)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	testkit.Must(t, json.Unmarshal(testkit.ReadFile(t, dashboardFile), &dashboard))
	used := string(testkit.ReadFile(t, alertsFile))
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			used += "\n" + target.Expr
		}
	}
	exported := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(scraped+sent, -1) {
		exported[found[1]] = true
	}
	found := regexp.MustCompile(`\b(facestream|process)_[a-z_]+`).FindAllString(used, -1)
	if len(dashboard.Panels) < 8 || len(found) < 15 {
		t.Errorf("%d panels and alerts with %d metrics", len(dashboard.Panels), len(found))
	}
	for _, name := range found {
		if !exported[name] && !exported[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")] {
			t.Errorf("%s is used, and not exported", name)
		}
	}

	// Another run cannot have the port, and has done nothing then.
	if said := said(t, 1, "something listens there already", append(flags, "--metrics="+job, "--output="+t.TempDir(), "--group=other")...); strings.Contains(said, "reading") {
		t.Error(said)
	}
	stopJob()
	if ports.Reach(t.Context(), job) == nil {
		t.Error("it answers after its end")
	}
	if testkit.All() {
		for _, name := range []string{"flink-cluster", "spark-cluster"} {
			t.Run(name, func(t *testing.T) { testMetricsOfCluster(t, name) })
		}
	}
}
