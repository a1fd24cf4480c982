package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// newKafka returns the address of an in-process Kafka.
func newKafka(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

func TestRun(t *testing.T) {
	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"--kafka=" + newKafka(t), "--frames=15", "--truth=" + truth}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	// Of 15 frames five have no face, and frame 4 has two.
	if !regexp.MustCompile(`sent 15 frames \(jpeg, 0\.[45] MB\).*; 10 frames have 11 faces`).MatchString(stderr.String()) {
		t.Errorf("the last line is %q", &stderr)
	}
	if stdout.Len() != 0 {
		t.Errorf("standard output: %q", &stdout)
	}
	data, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != 15 {
		t.Fatalf("the truth has %d lines, want 15", len(lines))
	}
	if want := `"frame":2,"faces":[],"topic":"frames","partition":2,"offset":0,`; !strings.Contains(lines[2], want) {
		t.Errorf("frame 2 is %s, want one with %s", lines[2], want)
	}
	var line struct {
		Faces []map[string]int
		Bytes int
		Time  int64 `json:"timestamp_millis"`
	}
	if err := json.Unmarshal([]byte(lines[4]), &line); err != nil {
		t.Fatal(err)
	}
	if len(line.Faces) != 2 || line.Faces[1]["width"] < 100 || line.Faces[1]["height"] < 100 || line.Faces[1]["x"] < 320 || line.Bytes < 20_000 || line.Time == 0 {
		t.Errorf("frame 4 is %s", lines[4])
	}
}

func TestRunStatus(t *testing.T) {
	kafka := "--kafka=" + newKafka(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("not a video"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string // on standard error
	}{
		{"help", []string{"--help"}, 0, ""},
		{"wrong setting", []string{kafka, "--format=gif"}, 2, "must be jpeg or raw"},
		{"no video", []string{kafka, "--source=" + text}, 1, "not a video"},
		{"no picture", []string{kafka, "--source=" + dir}, 1, "holds no .jpg"},
		{"truth cannot be written", []string{kafka, "--truth=" + dir}, 1, "making the truth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			status := run(t.Context(), test.args, io.Discard, &stderr)
			if status != test.status || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d with %q, want %d with %q", status, &stderr, test.status, test.want)
			}
		})
	}
}

// watch is a standard error that calls seen at the first line of progress.
type watch struct {
	bytes.Buffer
	seen func()
}

func (w *watch) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "frames/s") {
		w.seen()
	}
	return w.Buffer.Write(p)
}

// Ctrl-C ends a video without an end, and what was sent is counted and known.
func TestRunInterrupted(t *testing.T) {
	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &watch{seen: cancel}
	status := run(ctx, []string{"--kafka=" + newKafka(t), "--frames=0", "--fps=20", "--truth=" + truth}, io.Discard, stderr)
	if status != 130 {
		t.Errorf("status %d, want 130: %s", status, stderr)
	}
	data, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Count(data, []byte("\n"))
	if lines == 0 {
		t.Errorf("nothing was sent in the first second: %s", stderr)
	}
	if want := fmt.Sprintf("sent %d frames", lines); !strings.Contains(stderr.String(), want) {
		t.Errorf("got %q, want one with %q, as in the truth", stderr, want)
	}
}
