package metrics

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"facestream/internal/cli"
	"facestream/internal/testkit"
)

func TestServer(t *testing.T) {
	s := testkit.Value(Listen("127.0.0.1:0"))(t)
	get := func(path string) string {
		t.Helper()
		resp := testkit.Value(http.Get("http://" + s.Addr + path))(t)
		defer resp.Body.Close()
		return fmt.Sprint(resp.StatusCode, " ", string(testkit.Value(io.ReadAll(resp.Body))(t)))
	}
	for _, step := range []struct{ wants, ready string }{{"starting", "503 starting\n"}, {"", "200 ready\n"}, {"ending", "503 ending\n"}} {
		s.SetReady(step.wants)
		if live, ready := get("/healthz"), get("/readyz"); live != "200 ok\n" || ready != step.ready {
			t.Errorf("%q: healthz says %q, readyz %q", step.wants, live, ready)
		}
	}
	body := get("/metrics")
	for _, want := range []string{"200 ", `facestream_build_info{commit="`, `version="` + cli.Version + `"} 1`, "process_resident_memory_bytes ", "go_goroutines "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if _, err := Listen(s.Addr); err == nil || errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("a second server at %s: %v", s.Addr, err)
	}
	s.Close()
	testkit.Value(Listen(s.Addr))(t).Close()
}

func TestCheckAddr(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:9464": true, "localhost:0": true, "[::1]:9464": true, "0.0.0.0:9464": true,
		":9464": false, "9464": false, "127.0.0.1": false, "127.0.0.1:": false, "127.0.0.1:x": false, "127.0.0.1:70000": false, "http://127.0.0.1:9464": false,
	} {
		if err := CheckAddr(addr); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
