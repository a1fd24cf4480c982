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
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera"
	"facestream/internal/camera/feed"
	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/stack/services/testservices"
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
	config := fmt.Sprintf("global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nrule_files: [%q]\nscrape_configs:\n- job_name: facestream\n  static_configs: [{targets: [%s]}]\n",
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
		_ = child.Process.Kill()
		if <-child.Ended; t.Failed() {
			t.Log(said.String())
		}
	})
	return func(expr string) string {
		resp, err := http.Get("http://" + addr + "/api/v1/query?query=" + url.QueryEscape(expr))
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if json.NewDecoder(resp.Body).Decode(&answer) != nil || len(answer.Data.Result) != 1 {
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

// A real Prometheus scrapes a run and a camera, whatever the cameras are called, while the
// run's window lasts. The alerts are rules, and the metrics that they and the
// dashboard name are there.
func TestMetrics(t *testing.T) {
	addrs := realServices(t)
	topic := testservices.Name("metered")
	dir := filepath.Join(t.TempDir(), "faces")
	c := newTopic(t, addrs.Kafka, topic, 2)
	value := frames(t, feed.JPEG, 1)[0] // with a face
	const quoted = "\"} 1\nfacestream_faces_total{camera=\"x"
	for _, name := range []string{quoted, "../../etc", "", "\xff\x00", strings.Repeat("c", 300), "door", "door"} {
		send(t, c, &kgo.Record{Value: value, Headers: []kgo.RecordHeader{{Key: "camera", Value: []byte(name)}, {Key: quoted, Value: []byte(quoted)}}})
	}
	send(t, c, &kgo.Record{Value: make([]byte, 5000), Key: []byte("door")}, &kgo.Record{Key: []byte("door")})

	start := func(command func(context.Context, io.Writer) int) (addr string, stop func()) {
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
	flags := []string{"--runner=direct", "--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--output=" + dir, "--state_dir=" + t.TempDir(),
		"--min_face=100", "--write=frame,annotated,crops,events"}
	job, stopJob := start(func(ctx context.Context, out io.Writer) int {
		return program().Main(ctx, append(flags, "--metrics=127.0.0.1:0", "--duration=10m", "--window=10m"), out, out)
	})
	sender, _ := start(func(ctx context.Context, out io.Writer) int {
		return camera.Command("facestream-camera").Main(ctx, []string{"--kafka=" + addrs.Kafka, "--topic=" + topic + "-sent", "--source=demo", "--camera=" + quoted, "--fps=5", "--frames=0", "--metrics=127.0.0.1:0"}, out, out)
	})
	query := startPrometheus(t, job, sender)
	await := func(expr, want string) {
		t.Helper()
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("%s is %q", expr, got)
			}
		}()
		testkit.Await(t, expr+" "+want, func() bool { got = query(expr); return got == want })
	}
	of := "{topic=\"" + topic + "\",outcome=\"%s\"}"
	await(fmt.Sprintf("facestream_records_total"+of, "decoded"), "7")
	await(fmt.Sprintf("facestream_records_total"+of, "rejected"), "1")
	await(fmt.Sprintf("facestream_records_total"+of, "skipped"), "1")
	await(`facestream_rejects_total{reason="wrong_size"}`, "1")
	await(`facestream_faces_total{camera="door"}`, "2")
	await(`count(facestream_faces_total)`, "5") // two have no name that is text
	await(`sum(facestream_pictures_written_total)`, "21")
	await(`facestream_latency_seconds_count`, "7")
	await(`facestream_detect_seconds_count`, "7")
	await(`sum(facestream_lag_records{topic="`+topic+`"})`, "0")
	await(`count(facestream_lag_records)`, "2")
	await(`facestream_window_seconds_count`, "0")
	await(`count(facestream_build_info)`, "2")
	await(`facestream_camera_frames_total{camera=~"\"} 1\nface.*"} > bool 5`, "1")

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
	said := said(t, 2, append(flags, "--metrics="+job, "--output="+t.TempDir(), "--group=other")...)
	if !strings.Contains(said, "something listens there already") || strings.Contains(said, "reading") {
		t.Error(said)
	}
	stopJob()
	if resp, err := http.Get("http://" + job + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("it answers after its end")
	}
}
