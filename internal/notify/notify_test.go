package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/testkit"
)

// receiver takes events, and notes them by camera.
type receiver struct {
	mu       sync.Mutex
	got      map[string][]string // faces by camera
	tries    int
	requests []*http.Request
	bodies   []string
	answer   func(camera, face string, try int) int // a status
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	var e struct {
		Camera string
		Offset int
	}
	_ = json.Unmarshal(body, &e)
	r.mu.Lock()
	r.tries++
	r.requests, r.bodies = append(r.requests, req), append(r.bodies, string(body))
	try := r.tries
	r.mu.Unlock()
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(e.Camera, fmt.Sprint(e.Offset), try)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if status < 300 {
		r.got[e.Camera] = append(r.got[e.Camera], fmt.Sprint(e.Offset))
	}
	w.Header().Set("Location", "http://"+req.Host+"/elsewhere")
	w.WriteHeader(status)
}

func (r *receiver) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.got)
}

// line is an event.
func line(camera string, offset int) string {
	return fmt.Sprintf(`{"topic":"t","partition":0,"offset":%d,"camera":%q,"face":1}`+"\n", offset, camera)
}

func start(t *testing.T, url string, windows map[string]string) (*Notifier, *testkit.Notes) {
	t.Helper()
	said := &testkit.Notes{}
	n := New(Config{URL: url, Secret: []byte("correct horse battery staple")}, func(_ context.Context, window string) ([]byte, error) {
		if data, ok := windows[window]; ok {
			return []byte(data), nil
		}
		return nil, fs.ErrNotExist
	}, said.Add)
	n.pause = time.Millisecond
	t.Cleanup(n.Stop)
	t.Cleanup(func() {
		if testkit.HasSecret(said.String()) {
			t.Errorf("a secret is said: %s", said)
		}
	})
	return n, said
}

// settles waits until a notifier has delivered and dropped so many events.
func settles(t *testing.T, n *Notifier, delivered, dropped int64) {
	t.Helper()
	testkit.Await(t, fmt.Sprintf("%d delivered, %d dropped", delivered, dropped), func() bool {
		a, b, waiting := n.Counts()
		return a == delivered && b == dropped && waiting == 0
	})
}

// Whatever the server answers, the events of a camera come in order, and those that the
// server itself fails at are tried some times.
func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer             func(camera, face string, try int) int
		delivered, dropped int64
		got                string
		tries              int
		says               string
	}{
		"well":        {nil, 5, 0, "map[door:[1 2 4] hall:[3 5]]", 5, ""},
		"busy":        {func(_, _ string, try int) int { return map[bool]int{true: 503, false: 200}[try < 12] }, 5, 0, "map[door:[1 2 4] hall:[3 5]]", 16, "answers 503 Service Unavailable; trying again"},
		"one poisons": {func(_, face string, _ int) int { return map[bool]int{true: 500, false: 200}[face == "2"] }, 4, 1, "map[door:[1 4] hall:[3 5]]", 14, "answers 500 Internal Server Error"},
		"refuses":     {func(_, face string, _ int) int { return map[bool]int{true: 410, false: 200}[face == "3"] }, 4, 1, "map[door:[1 2 4] hall:[5]]", 5, "refused: "},
		"redirects":   {func(string, string, int) int { return 307 }, 0, 5, "map[]", 5, "such events are dropped"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{got: map[string][]string{}, answer: tc.answer}
			server := httptest.NewServer(r)
			defer server.Close()
			n, said := start(t, strings.Replace(server.URL, "://", "://hush:mum@", 1)+"/quiet?hush=mum", map[string]string{
				"w1": line("door", 1) + line("door", 2) + line("hall", 3), "w2": "not JSON\n" + line("door", 4) + line("hall", 5)})
			n.Add("w1")
			n.Add("w1", "w2", "gone")
			settles(t, n, tc.delivered, tc.dropped)
			n.Add("w2") // is known
			settles(t, n, tc.delivered, tc.dropped)
			if r.String() != tc.got || r.tries != tc.tries || !strings.Contains(said.String(), tc.says) {
				t.Errorf("got %s by %d requests, want %s by %d; it says\n%s", r, r.tries, tc.got, tc.tries, said)
			}
			for _, held := range [][]string{{"gone", "w1", "w2"}, {"w2"}} {
				if done := slices.Sorted(slices.Values(n.Finished(held))); !slices.Equal(done, held) {
					t.Errorf("finished are %v, want %v", done, held)
				}
			}
			if done := n.Finished([]string{"w1", "w2"}); len(done) != 1 {
				t.Errorf("what was not held is remembered: %v", done)
			}
		})
	}
}

// A server that is away is waited for, without anything being lost; one that is slow keeps
// nobody waiting, and what is too much is dropped, the oldest first, and counted.
func TestAwayAndSlow(t *testing.T) {
	l := testkit.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	addr := l.Addr().String()
	l.Close()
	windows := map[string]string{"w1": line("door", 1), "w2": line("door", 2), "w3": line("door", 1000)}
	n, said := start(t, "http://hush:mum@"+addr+"/quiet", windows)
	n.Add("w1", "w2")
	testkit.Await(t, "a word", func() bool {
		return strings.Contains(said.String(), "http://"+addr+" takes no event: dial tcp "+addr+": connect: connection refused; trying again")
	})
	if delivered, dropped, waiting := n.Counts(); delivered+dropped != 0 || waiting != 2 {
		t.Errorf("%d, %d, %d", delivered, dropped, waiting)
	}
	answer := make(chan struct{})
	r := &receiver{got: map[string][]string{}, answer: func(_, face string, _ int) int {
		if face == "3" {
			<-answer
		}
		return 200
	}}
	server := &http.Server{Handler: r}
	go server.Serve(testkit.Value(net.Listen("tcp", addr))(t))
	defer server.Close()
	settles(t, n, 2, 0)
	if !strings.Contains(said.String(), "takes events again") {
		t.Errorf("it says %s", said)
	}
	all := []string{}
	for i := range mostWindows + 3 {
		name := fmt.Sprintf("x%03d", i)
		all, windows[name] = append(all, name), line("door", i+3)
	}
	n.Add("w3", all[0])
	testkit.Await(t, "the window before the slow one", func() bool { delivered, _, _ := n.Counts(); return delivered == 3 })
	n.Add(all...) // returns at once, and knows the first one
	defer close(answer)
	settles(t, n, 3+mostWindows, 3)
	if got := r.String(); !strings.HasPrefix(got, "map[door:[1 2 1000 6 7 ") {
		t.Errorf("got %.60s", got)
	}
	n.End(t.Context())
	if !strings.Contains(said.String(), "3 events were dropped; those of 0 windows wait") {
		t.Errorf("it says %s", said)
	}
}

// The example in the docs takes requests as they are, and no others.
func TestExample(t *testing.T) {
	r := &receiver{got: map[string][]string{}}
	server := httptest.NewServer(r)
	defer server.Close()
	n, _ := start(t, server.URL, map[string]string{"w": line("Tür \"1\"", 1)})
	n.Add("w")
	settles(t, n, 1, 0)
	example := regexp.MustCompile("(?s)```python\n(import base64.*?)```").FindStringSubmatch(string(testkit.ReadFile(t, "../../docs/operations.md")))
	if example == nil {
		t.Fatal("there is no example")
	}
	for change, want := range map[string]string{"": "True", "body": "False", "time": "False", "id": "False", "secret": "False"} {
		head, body, secret := r.requests[0].Header.Clone(), r.bodies[0], "correct horse battery staple"
		switch change {
		case "body":
			body = strings.Replace(body, "1", "2", 1)
		case "time":
			head.Set("webhook-timestamp", "1700000000")
		case "id":
			head.Set("webhook-id", "t+0+2+1")
		case "secret":
			secret = "another secret"
		}
		fields := map[string]string{}
		for name := range head {
			fields[strings.ToLower(name)] = head.Get(name)
		}
		args := testkit.Value(json.Marshal([]any{fields, body, secret}))(t)
		cmd := exec.Command("python3", "-c", example[1]+"\nimport json, sys\nheaders, body, secret = json.load(sys.stdin)\nprint(is_genuine(headers, body.encode(), secret.encode()))")
		cmd.Stdin = strings.NewReader(string(args))
		if got := strings.TrimSpace(testkit.Output(t, cmd)); got != want {
			t.Errorf("with another %q: %s, want %s", change, got, want)
		}
	}
	if id := r.requests[0].Header.Get("webhook-id"); id != "t+0+1+1" || !slices.Equal(r.bodies, []string{strings.TrimSpace(line("Tür \"1\"", 1))}) {
		t.Errorf("id %s, bodies %q", id, r.bodies)
	}
}
