package camera

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
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
	status := run(t.Context(), []string{"--kafka=" + newKafka(t), "--frames=15", "--spread", "--truth=" + truth}, &stdout, &stderr)
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
		{"wrong setting", []string{kafka, "--format=gif"}, 2, "must be one of jpeg, png, raw"},
		{"not a camera", []string{kafka, "--source=/dev/null"}, 1, "opening /dev/null: OpenCV cannot open it"},
		{"nobody there", []string{kafka, "--source=rtsp://me:secret@127.0.0.1:1/door"}, 1, "opening rtsp://me:xxxxx@127.0.0.1:1/door"},
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

// Several cameras at once: each is counted, and the truth tells them apart.
func TestRunSeveral(t *testing.T) {
	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	var stderr bytes.Buffer
	args := []string{"--kafka=" + newKafka(t), "--source=demo", "--camera=door", "--source=demo", "--camera=hall", "--faces=3", "--fps=20", "--duration=3s", "--truth=" + truth}
	if status := run(t.Context(), args, io.Discard, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	data, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	counts, partitions := map[string]int{}, map[string]map[int32]bool{}
	for line := range strings.Lines(string(data)) {
		var sent feed.Sent
		if err := json.Unmarshal([]byte(line), &sent); err != nil {
			t.Fatal(err)
		}
		if sent.Frame != counts[sent.Camera] || len(sent.Faces) != 3 {
			t.Errorf("%s is not frame %d with 3 faces", line, counts[sent.Camera])
		}
		counts[sent.Camera]++
		if partitions[sent.Camera] == nil {
			partitions[sent.Camera] = map[int32]bool{}
		}
		partitions[sent.Camera][sent.Partition] = true
	}
	for _, name := range []string{"door", "hall"} {
		if counts[name] < 2 || counts[name] > 61 || len(partitions[name]) != 1 {
			t.Errorf("%s has %d frames in %d partitions", name, counts[name], len(partitions[name]))
		}
		for _, want := range []string{
			name + ": ", // a line of progress
			fmt.Sprintf("of camera %s to topic frames", name),
			fmt.Sprintf("; %d frames have %d faces", counts[name], 3*counts[name]),
		} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("got %q, want one with %q", &stderr, want)
			}
		}
	}
	if want := fmt.Sprintf("sent %d frames, ", counts["door"]+counts["hall"]); !strings.Contains(stderr.String(), want) {
		t.Errorf("got %q, want one with %q", &stderr, want)
	}
}

// Without Kafka, a dry run says what would be sent.
func TestRunDry(t *testing.T) {
	dir := t.TempDir()
	for i, side := range []int{200, 100} {
		file, err := os.Create(filepath.Join(dir, fmt.Sprint(i, ".png")))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(file, image.NewRGBA(image.Rect(0, 0, side, side))), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	args := []string{"--dry_run", "--source=" + dir, "--camera=hall", "--format=raw", "--loop", "--frames=5", "--source=demo", "--size=1280x720"}
	if status := run(t.Context(), args, io.Discard, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for _, want := range []string{
		"would send 5 frames (raw, 0.4 MB) of camera hall to topic frames in ",
		"; 200x200, 30000 to 120000 bytes a frame\n",
		"would send 5 frames (raw, 13.8 MB) of camera demo",
		"would send 10 frames, 14.2 MB, in all",
		"a topic takes these frames with max.message.bytes=3145728",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("got %q, want one with %q", &stderr, want)
		}
	}
}

// A network camera's pictures are sent at the pace asked for, which is slower
// than its own, across connections that end.
func TestRunStream(t *testing.T) {
	demo, err := video.NewDemo(0)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		parts := multipart.NewWriter(w)
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+parts.Boundary())
		for i := range 20 {
			data, err := video.EncodeJPEG(demo.Frame(i))
			if err != nil {
				t.Error(err)
				return
			}
			part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"image/jpeg"}, "Content-Length": {fmt.Sprint(len(data))}})
			if err == nil {
				_, err = part.Write(data)
			}
			if err != nil {
				return // nobody listens any more
			}
			w.(http.Flusher).Flush()
			time.Sleep(40 * time.Millisecond)
		}
	}))
	defer server.Close()
	var stderr bytes.Buffer
	start := time.Now()
	args := []string{"--kafka=" + newKafka(t), "--source=" + server.URL + "/video", "--camera=gate", "--fps=10", "--frames=20"}
	if status := run(t.Context(), args, io.Discard, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	for _, want := range []string{
		"gate: " + server.URL + "/video is lost (no picture comes): opening it again",
		"gate: " + server.URL + "/video is there again",
		"sent 20 frames (jpeg, ",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("got %q, want one with %q", &stderr, want)
		}
	}
	if took := time.Since(start); took < 1500*time.Millisecond { // 20 at once would be one connection's
		t.Errorf("20 frames at 10 a second took %v", took)
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
