package camera

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/mjpegtest"
	"facestream/internal/camera/video"
	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
)

// newKafka returns the flag for an in-process Kafka.
func newKafka(t *testing.T) string {
	t.Helper()
	return "--kafka=" + testkit.FakeKafka(t).ListenAddrs()[0]
}

// run runs the command, whose standard output must be empty, and returns its status
// and standard error.
func run(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = Command("facestream-camera").Main(t.Context(), args, &out, &err)
	if out.Len() > 0 && !slices.Contains(args, "--help") {
		t.Errorf("standard output: %q", &out)
	}
	return status, err.String()
}

// mustRun runs the command, demands texts on standard error, and returns that.
func mustRun(t *testing.T, args []string, want ...string) string {
	t.Helper()
	status, stderr := run(t, args...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if testkit.Contains(t, args, stderr, want...); testkit.HasSecret(stderr) {
		t.Errorf("a password is shown: %s", stderr)
	}
	return stderr
}

// readTruth returns what --truth wrote.
func readTruth(t *testing.T, path string) (all []feed.Sent) {
	t.Helper()
	for line := range bytes.Lines(testkit.ReadFile(t, path)) {
		var sent feed.Sent
		testkit.Must(t, json.Unmarshal(line, &sent))
		all = append(all, sent)
	}
	return all
}

func TestDemo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "truth.jsonl")
	// Of 15 frames five have no face, and frame 4 has two.
	mustRun(t, []string{newKafka(t), "--frames=15", "--spread", "--truth=" + path}, "sent 15 frames (jpeg, 0.", "; 10 frames have 11 faces")
	testkit.Contains(t, "the truth", string(testkit.ReadFile(t, path)), `"frame":2,"faces":[],"topic":"frames","partition":2,"offset":0,`)
	all := readTruth(t, path)
	if len(all) != 15 {
		t.Fatalf("the truth has %d lines", len(all))
	}
	if f := all[4]; len(f.Faces) != 2 || f.Faces[1].X < 320 || f.Faces[1].Width < 100 || f.Faces[1].Height < 100 || f.Bytes < 20_000 || f.TimestampMillis == 0 {
		t.Errorf("frame 4 is %+v", f)
	}
}

func TestStatus(t *testing.T) {
	kafka, dir := newKafka(t), t.TempDir()
	text := filepath.Join(t.TempDir(), "text.mp4")
	testkit.WriteFile(t, text, []byte("not a video"))
	for _, tt := range []struct {
		name, arg string
		status    int
		want      string // on standard error
	}{
		{"help", "--help", 0, ""},
		{"wrong setting", "--format=gif", 2, "must be one of jpeg, png, raw"},
		{"not a camera", "--source=/dev/null", 1, "opening /dev/null: OpenCV cannot open it"},
		{"nobody there", "--source=rtsp://me:secret@127.0.0.1:1/door", 1, "opening rtsp://127.0.0.1:1: OpenCV cannot open it (Connection to tcp://127.0.0.1:1 failed: Connection refused)"},
		{"no video", "--source=" + text, 2, "not a video"},
		{"no picture", "--source=" + dir, 2, "holds no .jpg"},
		{"truth cannot be written", "--truth=" + dir, 2, "--truth=" + dir + ": it is a folder"},
		{"truth has no folder", "--truth=" + text + "/x", 2, text + " is not a folder"},
		{"the duration is too short", "--duration=1ns", 1, "--duration=1ns passed before every camera had a picture"},
	} {
		if status, stderr := run(t, kafka, tt.arg); status != tt.status || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: status %d with %q, want %d with %q", tt.name, status, stderr, tt.status, tt.want)
		}
	}
}

// Several cameras at once: each is counted, and the truth tells them apart.
func TestSeveral(t *testing.T) {
	path := filepath.Join(t.TempDir(), "truth.jsonl")
	stderr := mustRun(t, []string{newKafka(t), "--source=demo", "--camera=door", "--source=demo", "--camera=hall", "--faces=3", "--fps=20", "--frames=4", "--truth=" + path})
	counts := map[string]int{}
	for _, sent := range readTruth(t, path) {
		if sent.Frame != counts[sent.Camera] || len(sent.Faces) != 3 {
			t.Errorf("%+v is not frame %d with 3 faces", sent, counts[sent.Camera])
		}
		counts[sent.Camera]++
	}
	if !maps.Equal(counts, map[string]int{"door": 4, "hall": 4}) {
		t.Errorf("sent %v", counts)
	}
	const each = "; 4 frames have 12 faces"
	if strings.Count(stderr, each) != 2 {
		t.Errorf("it does not say twice %q: %s", each, stderr)
	}
	testkit.Contains(t, "what is said", stderr, "of camera door to topic frames", "of camera hall to topic frames", "sent 8 frames, ")
}

// Without Kafka, a dry run says what would be sent.
func TestDryRun(t *testing.T) {
	dir := t.TempDir()
	for i, side := range []int{200, 100} {
		testkit.WriteFile(t, filepath.Join(dir, fmt.Sprint(i, ".png")), frametest.PNG(image.NewRGBA(image.Rect(0, 0, side, side))))
	}
	mustRun(t, []string{"--dry_run", "--source=" + dir, "--camera=hall", "--format=raw", "--loop", "--frames=5", "--source=demo", "--size=1280x720"},
		"would send 5 frames (raw, 0.4 MB) of camera hall to topic frames in ",
		"; 200x200, 30000 to 120000 bytes a frame\n",
		"would send 5 frames (raw, 13.8 MB) of camera demo",
		"would send 10 frames, 14.2 MB, in all",
		"a topic takes these frames with max.message.bytes=3145728")
}

// A network camera's pictures are thinned out to the pace asked for: 20 of them take
// more than the 20 of one connection.
func TestStream(t *testing.T) {
	demo := testkit.Value(video.NewDemo(0))(t)
	jpeg := testkit.Value(video.EncodeJPEG(demo.Frame(0), 0))(t)
	url := mjpegtest.Serve(t, [][]byte{jpeg}, 20, 0)
	host := strings.TrimSuffix(url, "/video")
	mustRun(t, []string{newKafka(t), "--source=" + strings.Replace(url, "://", "://hush:mum@", 1) + "?pwd=quiet", "--camera=gate", "--fps=20", "--frames=20"},
		"gate: "+host+" is lost (no picture comes): opening it again",
		"gate: "+host+" is there again",
		"sent 20 frames (jpeg, ")
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

// Each camera has its lines of progress. Ctrl-C ends videos without an end, and what was
// sent is counted and known.
func TestInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "truth.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &watch{seen: cancel}
	if status := Command("facestream-camera").Main(ctx, []string{newKafka(t), "--source=demo", "--camera=door", "--source=demo", "--camera=hall", "--frames=0", "--fps=20", "--truth=" + path}, io.Discard, stderr); status != 130 {
		t.Errorf("status %d, want 130: %s", status, stderr)
	}
	n := len(readTruth(t, path))
	if n == 0 {
		t.Error("nothing was sent")
	}
	testkit.Contains(t, "what is said", stderr.String(), "door: ", "hall: ", fmt.Sprintf("sent %d frames", n), "stopped before the video's end")
	if status, said := run(t, "--kafka=127.0.0.1:1", "--truth="+path); status != 1 || len(readTruth(t, path)) != n {
		t.Errorf("a camera that sends nothing: status %d, and the truth is another: %s", status, said)
	}
}

// capture returns what f and the libraries that it calls write to the process's standard
// error.
func capture(t *testing.T, f func()) string {
	t.Helper()
	file := testkit.Value(os.CreateTemp(t.TempDir(), ""))(t)
	defer file.Close()
	saved := testkit.Value(unix.Dup(unix.Stderr))(t)
	defer unix.Close(saved)
	testkit.Must(t, unix.Dup2(int(file.Fd()), unix.Stderr))
	f()
	testkit.Must(t, unix.Dup2(saved, unix.Stderr))
	return string(testkit.ReadFile(t, file.Name()))
}

// No part of a password is shown, wherever it stands and whatever is wrong.
func TestSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".m3u8") { // whose segments FFmpeg complains of
			w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
			fmt.Fprint(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nmissing.ts?hush\n#EXT-X-ENDLIST\n")
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	_, host, _ := strings.Cut(server.URL, "://")
	addresses := slices.Concat(testkit.SecretAddresses, []string{
		"http://hush:mum@" + host + "/quiet.m3u8?hush", "http://hush:mum@" + host + "/quiet?pwd=hush", "https://hush:mum@" + host + "/quiet",
	})
	kafka := newKafka(t)
	for _, address := range addresses {
		for _, args := range [][]string{
			{kafka, "--source=" + address}, {kafka, "--source=demo", "--camera=x", "--source=" + address}, {address}, {"--fps=" + address},
			{"--kafka=" + address, "--frames=1"}, {"--topic=" + address}, {"--format=" + address}, {"--size=" + address}, {"--" + address},
		} {
			status, stderr := 0, ""
			printed := capture(t, func() { status, stderr = run(t, args...) })
			stderr += printed
			if status == 0 || testkit.HasSecret(stderr) {
				t.Errorf("%q: status %d: %s", args, status, stderr)
			}
			if unclear := strings.ContainsAny(address, "#") && strings.Contains(address, "://"); unclear && args[0] == kafka && len(args) == 2 && (status != 2 || !strings.Contains(stderr, "write %23 for #")) {
				t.Errorf("%q: status %d and no advice: %s", args, status, stderr)
			}
		}
	}
}
