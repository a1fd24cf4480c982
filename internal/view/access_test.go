package view

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/testkit"
	"facestream/transforms/frame"
)

// Names that are markup, paths or other tricks stay text, and every link of the pages leads
// to a page.
func TestHostileNames(t *testing.T) {
	root := t.TempDir()
	picture, box, landmarks := photo(t, 1)
	const markup = `"><script>alert(1)</script>'&{{.}}`
	names := []string{markup, "../../etc", "/", "a\x00b", "a\nb", "*?[a]:", "%2e%2e%2f", "é\u202e", "_windows", strings.Repeat("c", 300), strings.Repeat("d", 5000), "javascript:alert(1)"}
	for i, topic := range []string{"t.face-1", "..", "x.annotated.jpg"} {
		o := newOutput(t, root, topic)
		var events []event
		var rejects []frame.Reject
		for n, name := range names {
			events = append(events, event{Camera: name, TimestampMillis: at("08:00:00") + int64(n), Box: box, Landmarks: landmarks})
			rejects = append(rejects, frame.Reject{Camera: name, TimestampMillis: at("08:00:00"), Reason: frame.CorruptJPEG, Detail: markup, Head: []byte(markup), Size: 2000,
				Headers: []frame.Header{{Key: markup, Value: []byte(markup), Size: int64(len(markup))}}})
		}
		for _, e := range o.window(windowName(time.UnixMilli(at("08:00:00")), i), rejects, events...) {
			o.write(e.Picture, picture)
		}
	}
	s := serveOutput(t, root, access{}).summarized()
	seen, queue := map[string]bool{}, []string{"/", "/?show=frames", "/rejects", "/?camera=" + url.QueryEscape(markup)}
	for len(queue) > 0 {
		address := queue[0]
		queue = queue[1:]
		if seen[address] || len(seen) > 400 {
			continue
		}
		seen[address] = true
		status, head, body := s.get(address)
		testkit.Equal(t, fmt.Sprintf("%.200q: %.500s", address, body), status, http.StatusOK)
		if !strings.HasPrefix(head.Get("Content-Type"), "text/html") {
			continue
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, `href="javascript:`) || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%.200q has markup of a name: %s", address, body)
		}
		queue = append(queue, attributes(body, linkPattern)...)
	}
	if len(seen) < 100 {
		t.Errorf("only %d pages", len(seen))
	}
	testkit.Contains(t, "the page", s.page("/rejects"), "&lt;script&gt;", "22 3e 3c 73 63 72 69 70", advice[frame.CorruptJPEG])
	for _, reason := range frame.Reasons {
		if r := (frame.Reject{Reason: reason}); !r.Skipped() && reason != frame.Sampled && advice[reason] == "" {
			t.Errorf("there is no advice for %s", reason)
		}
	}
}

// Only pictures of the output can be asked for.
func TestOnlyPictures(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	o := newOutput(t, root, "t")
	picture, _, _ := photo(t, 2)
	e := o.window("20261124T080000.000Z-00000001", nil, event{Camera: "door", TimestampMillis: at("08:00:00")})[0]
	o.write(e.Picture, picture)
	secret := strings.Replace(e.Picture, "door", "secret", 1)
	testkit.Must(t, os.MkdirAll(filepath.Join(outside, filepath.Dir(secret)), 0o755))
	testkit.WriteFile(t, filepath.Join(outside, secret), picture)
	testkit.Must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(root, "secret")))
	s := serveOutput(t, root, access{})
	testkit.Equal(t, "the picture", s.page("/file"+query("name", e.Picture)), string(picture))
	for _, name := range []string{
		secret, "../" + secret, "door/../../" + secret, "..%2f" + secret, filepath.Join(outside, secret), "/" + e.Picture, "./" + e.Picture, "door//" + e.Picture,
		"", ".", "..", "_windows/g+t/hour.json", "_SUCCESS", "_events/2026-11-24/20261124T080000.000Z-00000001.jsonl", "_rejects/" + e.Picture, "_tmp/" + e.Picture,
		"%2E%2E/2026/11/24/08/t+0+00000000000000000000.jpg", e.Picture + "\x00", strings.ToUpper(e.Picture), "*/2026/11/24/08/t+0+00000000000000000000.jpg",
	} {
		for _, address := range []string{"/file" + query("name", name), "/crop" + query("name", name, "box", "0,0,9,9")} {
			if status, _, body := s.get(address); status < 400 || strings.Contains(body, string(picture[:20])) {
				t.Errorf("%s: status %d", address, status)
			}
		}
	}
	for _, address := range []string{"/../../" + secret, "/%2e%2e/" + secret, "/web/pages.html", "/pages.html", "/file/" + e.Picture} {
		if status, _, _ := s.get(address); status < 300 {
			t.Errorf("%s: status %d", address, status)
		}
	}
	for _, box := range []string{"", "1,2,3", "a,b,c,d", "9000,9000,9,9", "0,0,-5,-5", "-2147483648,0,2147483647,2147483647", "99999999999,0,1,1"} {
		if status, _, _ := s.get("/crop" + query("name", e.Picture, "box", box)); status < 400 {
			t.Errorf("box %s: status %d", box, status)
		}
	}
}

func TestAccess(t *testing.T) {
	root := newOutput(t, t.TempDir(), "t").cfg.Root
	testkit.Must(t, os.MkdirAll(filepath.Join(root, "_windows"), 0o755))
	open := serveOutput(t, root, access{})
	token := serveOutput(t, root, access{token: "correct horse"})
	proxy := serveOutput(t, root, access{userHeader: "X-User"})
	status, head, _ := token.get("/?token=correct+horse&camera=door")
	cookie, to := head.Get("Set-Cookie"), head.Get("Location")
	if status != http.StatusSeeOther || to != "/?camera=door" || strings.Contains(cookie, "horse") || !strings.Contains(cookie, "HttpOnly; SameSite=Lax") {
		t.Fatalf("status %d, to %q with the cookie %q", status, to, cookie)
	}
	cookie, _, _ = strings.Cut(cookie, ";")
	for _, tc := range []struct {
		site   site
		path   string
		header []string
		status int
	}{
		{open, "/", nil, 200},
		{open, "/", []string{"Host", "localhost:8088"}, 200},
		{open, "/", []string{"Host", "[::1]:1"}, 200},
		{open, "/", []string{"Host", "evil.example"}, 403},
		{open, "/", []string{"Host", "127.0.0.1.evil.example:80"}, 403},
		{open, "/view.css", []string{"Host", "evil.example"}, 403},
		{token, "/", nil, 401},
		{token, "/view.js", nil, 401},
		{token, "/?token=wrong", nil, 401},
		{token, "/?token=", nil, 401},
		{token, "/", []string{"Cookie", cookie}, 200},
		{token, "/", []string{"Cookie", cookie + "0"}, 401},
		{token, "/", []string{"Cookie", cookie, "Host", "faces.example"}, 200},
		{token, "/", []string{"Authorization", "Bearer correct horse"}, 200},
		{token, "/", []string{"Authorization", "Bearer wrong"}, 401},
		{token, "//evil.example/?token=correct+horse", nil, 303},
		{proxy, "/", nil, 403},
		{proxy, "/", []string{"X-User", "alice", "Host", "faces.example"}, 200},
	} {
		status, head, body := tc.site.get(tc.path, tc.header...)
		if status != tc.status || strings.Contains(body, "horse") || strings.HasPrefix(head.Get("Location"), "//") {
			t.Errorf("%s with %q: status %d to %q, want %d", tc.path, tc.header, status, head.Get("Location"), tc.status)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			testkit.Equal(t, tc.path+": "+name, head.Get(name), want)
		}
		if policy := head.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", tc.path, policy)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		req := testkit.Value(http.NewRequest(method, open.url, nil))(t)
		resp := testkit.Value(http.DefaultClient.Do(req))(t)
		resp.Body.Close()
		testkit.Equal(t, method, resp.StatusCode, http.StatusMethodNotAllowed)
	}
}
