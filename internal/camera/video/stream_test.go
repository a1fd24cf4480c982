package video

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"facestream/internal/camera/mjpegtest"
	"facestream/internal/testkit"
)

const shortLimit = time.Second

// demoJPEGs returns the demo's first pictures.
func demoJPEGs(t *testing.T, n int) [][]byte {
	t.Helper()
	demo := newDemo(t, n)
	jpegs := make([][]byte, n)
	for i := range jpegs {
		jpegs[i] = mustEncode(t, demo.Frame(i))
	}
	return jpegs
}

// serve returns the URL of a network camera, as mjpegtest.Serve does.
func serve(t *testing.T, n int, hold time.Duration) string {
	return mjpegtest.Serve(t, demoJPEGs(t, 10), n, hold)
}

// take takes so many pictures, which must be the demo's and in time's order.
func take(t *testing.T, source Source, n int) {
	t.Helper()
	last := time.Now().Add(-time.Minute)
	for i := range n {
		p, err := source.Next()
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if p, err = p.Decoded(); err != nil || p.Width != DemoWidth || p.Height != DemoHeight {
			t.Fatalf("picture %d is %dx%d with %d bytes: %v", i, p.Width, p.Height, len(p.BGR), err)
		}
		if !p.Taken.After(last) || time.Since(p.Taken) > time.Minute {
			t.Errorf("picture %d was taken at %v, the one before it at %v", i, p.Taken, last)
		}
		last = p.Taken
	}
}

// A connection that ends is opened again, and whoever watches is told so.
func TestStreamHTTP(t *testing.T) {
	var said testkit.Notes
	source := testkit.Value(OpenURL(t.Context(), serve(t, 10, 0), 0, said.Add))(t)
	take(t, source, 25) // of three connections
	if got := said.String(); strings.Count(got, "is lost (no picture comes)") < 2 || strings.Count(got, "is there again") < 2 {
		t.Errorf("the notes are\n%s", got)
	}
	testkit.Must(t, source.Close())
	if _, err := source.Next(); err == nil {
		for err == nil { // what was waiting
			_, err = source.Next()
		}
	}
	<-source.(*stream).done
}

// A camera that stays away is given up, if that is wanted, with the reason.
func TestStreamGivesUp(t *testing.T) {
	answers := int32(0)
	jpeg := demoJPEGs(t, 1)[0]
	source := testkit.Value(OpenURL(t.Context(), camera(t, func(w http.ResponseWriter, _ *http.Request) {
		if atomic.AddInt32(&answers, 1) > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		fmt.Fprintf(w, "--b\r\n\r\n%s\r\n--b--\r\n", jpeg)
	}), 3*shortLimit, func(string) {}))(t)
	defer source.Close()
	take(t, source, 1)
	if _, err := source.Next(); err == nil || !strings.Contains(err.Error(), "was away for 3s: cannot open it: the camera answers 503") || answers < 3 {
		t.Errorf("got error %v after %d answers", err, answers)
	}
}

// A server that is silent is lost, too.
func TestStreamSilent(t *testing.T) {
	var said testkit.Notes
	address := testkit.Value(url.Parse(serve(t, 5, time.Hour)))(t)
	source := testkit.Value(openStream(t.Context(), &stream{name: "door", note: said.Add, connect: func(s *stream) (player, error) {
		return openMJPEG(s, address, shortLimit)
	}}))(t)
	defer source.Close()
	take(t, source, 8)
	testkit.Contains(t, "the notes", said.String(), "door is lost")
}

// Pictures that nobody takes do not pile up: the newest are kept.
func TestStreamDrops(t *testing.T) {
	const total = 60
	source := testkit.Value(OpenURL(t.Context(), serve(t, total, time.Hour), 0, func(string) {}))(t)
	defer source.Close()
	testkit.Await(t, "pictures to be dropped", func() bool { return source.Dropped() >= total-backlog })
	p, err := source.Next()
	if want := fmt.Sprintf("frame %d of", total-backlog); err != nil || !strings.HasPrefix(p.Name, want) {
		t.Errorf("got %q, %v, want %s", p.Name, err, want)
	}
}

// Cancelling ends a wait, whatever OpenCV is doing.
func TestStreamCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	source := testkit.Value(OpenURL(ctx, serve(t, 1, time.Hour), 0, func(string) {}))(t)
	defer source.Close()
	take(t, source, 1)
	time.AfterFunc(mjpegtest.Every, cancel)
	_, err := source.Next()
	testkit.Is(t, "waiting", err, context.Canceled)
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(mjpegtest.Every, cancel)
	_, err = OpenURL(ctx, serve(t, 0, time.Hour), 0, func(string) {})
	testkit.Is(t, "opening", err, context.Canceled)
}

func TestStreamErrors(t *testing.T) {
	address := serve(t, 0, 0)
	dir := write(t, map[string][]byte{"video0": nil})
	for where, want := range map[string]string{
		address:                         "opening http://127.0.0.1",
		address + "/missing":            "cannot open it: the camera answers 404",
		"http://127.0.0.1:1/":           "cannot open it: dial tcp 127.0.0.1:1: connect: connection refused",
		"rtsp://me:pw@127.0.0.1:1/door": "opening rtsp://127.0.0.1:1: OpenCV cannot open it (Connection to tcp://127.0.0.1:1",
		"rtsp://a b/":                   "it must be SCHEME://USER",
		"rtsp:///door":                  "no host",
		"udp://127.0.0.1:1/":            "must begin with rtsp://, rtsps://, http://, https://",
		filepath.Join(dir, "video0"):    "is not a device",
		filepath.Join(dir, "video1"):    "no such file",
		"/dev/null":                     "opening /dev/null: OpenCV cannot open it",
		"http://127.0.0.1:1/" + strings.Repeat("x", 5000): "cannot open it",
	} {
		open := OpenURL
		if filepath.IsAbs(where) {
			open = OpenDevice
		}
		source, err := open(t.Context(), where, 0, func(string) {})
		if err == nil {
			source.Close()
		}
		testkit.Says(t, where, err, want)
	}
}
