package cli

import (
	"fmt"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"rtsp://me:secret@door.example:554/stream?a=b": "rtsp://door.example:554",
		"http://[::1]:80/live/secret":                  "http://[::1]:80",
		"rtsp://me:se/cret@door/":                      "rtsp://...",
		"rtsp://door":                                  "rtsp://door",
		"me:secret@door/":                              "...",
		"09:30:00.mp4":                                 "09:30:00.mp4",
	} {
		if got := Address(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
	for _, address := range testkit.SecretAddresses {
		if got := Address(address); testkit.HasSecret(got) {
			t.Errorf("%q is shown as %s", address, got)
		}
	}
}

// No program shows a password that it got in a place where it belongs or does not.
func TestRedact(t *testing.T) {
	for _, address := range testkit.SecretAddresses {
		for _, args := range [][]string{{address}, {"--n=" + address}, {"--n", address}, {"look", "-n", address}, {"--" + address}} {
			var stdout, stderr strings.Builder
			if status := program(nil).Main(t.Context(), args, &stdout, &stderr); status != 2 || testkit.HasSecret(stderr.String()) || stdout.Len() > 0 {
				t.Errorf("%q: status %d: %s", args, status, &stderr)
			}
		}
	}
	var out strings.Builder
	fmt.Fprint(redact(&out, []string{"--output=file:///x", "--source=rtsp://a:b@c/d"}), "--output=file:///x or --source=rtsp://a:b@c/d is wrong")
	if got := out.String(); got != "--output=file:///x or --source=rtsp://c is wrong" {
		t.Errorf("flags are shown as %s", got)
	}
	for text, want := range map[string]string{
		"opening rtsp://a:b@c/d: no route":                     "opening rtsp://c: no route",
		"Connection to tcp://c:1?timeout=0 failed":             "Connection to tcp://c:1 failed",
		"look at http://127.0.0.1:9870/explorer.html#/user/me": "look at http://127.0.0.1:9870/explorer.html#/user/me",
		"hdfs://me@namenode:8020/faces@home/a=b: no such file": "hdfs://me@namenode:8020/faces@home/a=b: no such file",
		"hdfs://me@namenode/: no such file":                    "hdfs://me@namenode/: no such file",
		"hdfs://me:secret@namenode/faces":                      "hdfs://namenode",
		"hdfs://me:sec/ret@namenode/faces":                     "hdfs://...",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
