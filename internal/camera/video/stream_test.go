package video

import (
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocv.io/x/gocv"
)

const (
	streamEvery = 20 * time.Millisecond // between two pictures of a test's server
	shortLimit  = time.Second
)

// notes collects what a stream says.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

// demoJPEGs returns the demo's first pictures.
func demoJPEGs(t *testing.T, n int) [][]byte {
	t.Helper()
	demo := newDemo(t, n)
	jpegs := make([][]byte, n)
	for i := range jpegs {
		var err error
		if jpegs[i], err = EncodeJPEG(demo.Frame(i)); err != nil {
			t.Fatal(err)
		}
	}
	return jpegs
}

// newHTTP starts a network camera that sends so many pictures on each
// connection, and then waits before it ends it.
func newHTTP(t *testing.T, n int, wait time.Duration) string {
	jpegs := demoJPEGs(t, 10)
	ended := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/video", func(w http.ResponseWriter, r *http.Request) {
		parts := multipart.NewWriter(w)
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+parts.Boundary())
		for i := range n {
			data := jpegs[i%len(jpegs)]
			part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"image/jpeg"}, "Content-Length": {fmt.Sprint(len(data))}})
			if err == nil {
				_, err = part.Write(data)
			}
			if err != nil {
				return // nobody listens any more
			}
			w.(http.Flusher).Flush()
			time.Sleep(streamEvery)
		}
		select {
		case <-time.After(wait):
		case <-ended:
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
	return server.URL
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
		if p.Width != DemoWidth || p.Height != DemoHeight || p.Check() != nil {
			t.Fatalf("picture %d is %dx%d with %d bytes", i, p.Width, p.Height, len(p.BGR))
		}
		if !p.Taken.After(last) || time.Since(p.Taken) > time.Minute {
			t.Errorf("picture %d was taken at %v, the one before it at %v", i, p.Taken, last)
		}
		last = p.Taken
	}
}

// A connection that ends is opened again, and whoever watches is told so.
func TestStreamHTTP(t *testing.T) {
	var said notes
	source, err := OpenURL(t.Context(), newHTTP(t, 10, 0)+"/video", said.add)
	if err != nil {
		t.Fatal(err)
	}
	take(t, source, 25) // of three connections
	if got := said.String(); strings.Count(got, "is lost (no picture comes)") < 2 || strings.Count(got, "is there again") < 2 {
		t.Errorf("the notes are\n%s", got)
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	if _, err := source.Next(); err == nil {
		for err == nil { // what was waiting
			_, err = source.Next()
		}
	}
	<-source.(*stream).done
}

// A server that is silent is lost, too.
func TestStreamSilent(t *testing.T) {
	var said notes
	address := newHTTP(t, 5, time.Hour) + "/video"
	source, err := openStream(t.Context(), &stream{where: address, name: "door", reader: gocv.VideoCaptureFFmpeg, limit: shortLimit, note: said.add})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	take(t, source, 8)
	if want := "door is lost"; !strings.Contains(said.String(), want) {
		t.Errorf("the notes %q do not say %q", &said, want)
	}
}

// Pictures that nobody takes do not pile up: the newest are kept.
func TestStreamDrops(t *testing.T) {
	const total = 60
	source, err := OpenURL(t.Context(), newHTTP(t, total, time.Hour)+"/video", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for deadline := time.Now().Add(time.Minute); source.Dropped() < total-backlog; time.Sleep(streamEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("%d pictures were dropped", source.Dropped())
		}
	}
	p, err := source.Next()
	if want := fmt.Sprintf("frame %d of", total-backlog); err != nil || !strings.HasPrefix(p.Name, want) {
		t.Errorf("got %q, %v, want %s", p.Name, err, want)
	}
}

// Cancelling ends a wait, whatever OpenCV is doing.
func TestStreamCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	source, err := OpenURL(ctx, newHTTP(t, 1, time.Hour)+"/video", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	take(t, source, 1)
	time.AfterFunc(streamEvery, cancel)
	if _, err := source.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(streamEvery, cancel)
	if _, err := OpenURL(ctx, newHTTP(t, 0, time.Hour)+"/video", func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("while opening: got error %v, want %v", err, context.Canceled)
	}
}

func TestStreamErrors(t *testing.T) {
	address := newHTTP(t, 0, 0)
	dir := write(t, map[string][]byte{"video0": nil})
	for where, want := range map[string]string{
		address + "/video":                                "opening",
		address + "/missing":                              "cannot open it",
		"http://127.0.0.1:1/":                             "cannot open it",
		"rtsp://me:secret@127.0.0.1:1/door":               "opening rtsp://me:xxxxx@127.0.0.1:1/door",
		"rtsp://a b/":                                     "invalid character",
		"rtsp://me:secret@a b/":                           "invalid character",
		"rtsp:///door":                                    "no host",
		"udp://127.0.0.1:1/":                              "must begin with rtsp://, rtsps://, http://, https://",
		filepath.Join(dir, "video0"):                      "is not a device",
		filepath.Join(dir, "video1"):                      "no such file",
		"/dev/null":                                       "opening /dev/null: OpenCV cannot open it",
		"http://127.0.0.1:1/" + strings.Repeat("x", 5000): "cannot open it",
	} {
		open := OpenURL
		if filepath.IsAbs(where) {
			open = OpenDevice
		}
		source, err := open(t.Context(), where, func(string) {})
		if err == nil {
			source.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v, want one with %q", where, err, want)
		}
	}
}
