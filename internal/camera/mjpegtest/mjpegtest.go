// Package mjpegtest is a network camera for tests.
package mjpegtest

import (
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"testing"
	"time"
)

// Every is the time between two pictures.
const Every = 20 * time.Millisecond

// Serve returns the URL of a motion JPEG. Each connection gets n of the pictures, the
// first again after the last, and is then held open for a time.
func Serve(t *testing.T, jpegs [][]byte, n int, hold time.Duration) string {
	t.Helper()
	ended := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/video", func(w http.ResponseWriter, _ *http.Request) {
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
			time.Sleep(Every)
		}
		select {
		case <-time.After(hold):
		case <-ended:
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(ended) })
	return server.URL + "/video"
}
