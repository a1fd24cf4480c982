package view

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// Whatever layout an output has, each of its faces is in the pages once, the newest first,
// before and after the summaries.
func TestFacesOfEveryLayout(t *testing.T) {
	for name, root := range map[string]func(t *testing.T) string{
		"local": func(t *testing.T) string { return t.TempDir() },
		"hdfs": func(t *testing.T) string {
			addrs := testservices.Start(t, services.Options{HDFS: true})
			return strings.Replace(addrs.HDFS, "hdfs://", "hdfs://alice@", 1) + "/user/" + testservices.Name("alice-view")
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := root(t)
			var all []event
			// An older version's window, and what an interrupted run has left behind its events.
			old := event{ID: record.In("old", 0).At(3), Camera: "door", TimestampMillis: at("07:00:00"), Face: 1, Faces: 1}
			line := testkit.Value(json.Marshal(old))(t)
			a, b := newOutput(t, root, "a"), newOutput(t, root, "b")
			flat := store.Ledger{Run: a.run, Partitions: []store.Partition{{TopicPartition: old.TopicPartition, Events: 1, EventBytes: int64(len(line) + 1), Faces: 1}}}
			a.write("_windows/20261124T070000.000Z-00000001.json", testkit.Value(json.Marshal(flat))(t))
			a.write("_events/2026-11-24/20261124T070000.000Z-00000001.jsonl", slices.Concat(line, []byte("\n{\"topic\":\"cut")))
			all = append(all, old)
			// Two books, of three hours each and with windows that are not gathered.
			start := time.UnixMilli(at("08:00:00"))
			for n := range 8 {
				now := start.Add(time.Duration(n) * 25 * time.Minute)
				for i, o := range []*output{a, b} {
					if n == 6 {
						testkit.Must(t, o.book.Gather(t.Context()))
					}
					var events []event
					for f := range 20 {
						events = append(events, event{Camera: fmt.Sprint("camera-", f%3), TimestampMillis: now.Add(time.Duration(f*7+i)*time.Second).UnixMilli() * int64(1-f/19), ID: record.In("", int32(f%2)).At(0)})
					}
					all = append(all, o.window(windowName(now, i), nil, events...)...)
				}
			}
			want := keysOf(all)
			s := serveOutput(t, root, access{})
			for _, summarized := range []bool{false, true} {
				if summarized {
					s.summarized()
				}
				if got := s.keys("/"); !slices.Equal(got, want) {
					t.Errorf("summarized %v: %d faces %q, want %d: %q", summarized, len(got), got, len(want), want)
				}
			}
			// What is gathered meanwhile stays, once.
			testkit.Must(t, a.book.Gather(t.Context()))
			all = append(all, a.window(windowName(start.Add(5*time.Hour), 9), nil, event{Camera: "door", TimestampMillis: at("13:00:00")})...)
			s.again()
			if got, want := s.keys("/"), keysOf(all); !slices.Equal(got, want) {
				t.Errorf("after gathering: %d faces %q, want %d: %q", len(got), got, len(want), want)
			}
			// From a picture to the newest by its neighbours.
			want = keysOf(all)
			page := s.page("/picture" + query("id", want[19]))
			for n := 20; ; n-- {
				newer := attributes(page, regexp.MustCompile(`id="newer" rel="prev" href="([^"]*)"`))
				if len(newer) == 0 {
					if n != 1 {
						t.Errorf("%d pictures are newer than the newest", n-1)
					}
					break
				}
				page = s.page(newer[0])
			}
		})
	}
}

func TestFilters(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	score := func(f float64) *float64 { return &f }
	o.window("20261124T080000.000Z-00000001", nil,
		event{Camera: "door", TimestampMillis: at("08:00:00"), Box: record.Box{Width: 50, Height: 60}, Blur: 100},
		event{Camera: "door", TimestampMillis: at("09:30:00"), Box: record.Box{Width: 90, Height: 80}, Blur: 10, Score: score(0.7)},
		event{Camera: "hall", TimestampMillis: at("09:30:59"), Score: score(0.95), Blur: 200},
		event{Camera: "hall", TimestampMillis: at("09:30:59"), Face: 2, Score: score(0.2), Blur: 200},
		event{Camera: "hall", TimestampMillis: at("22:30:00"), Blur: 300},
		event{Camera: "hall", TimestampMillis: -1, Blur: 300})
	s := serveOutput(t, o.cfg.Root, access{}).summarized()
	for _, tc := range []struct {
		query []string
		want  string // offsets, the newest first
	}{
		{nil, "3 2 2 1 0 4"},
		{[]string{"camera", "door"}, "1 0"},
		{[]string{"camera", "nobody"}, ""},
		{[]string{"from", "2026-11-24T09:30"}, "3 2 2 1"},
		{[]string{"from", "2026-11-24T09:30", "to", "2026-11-24T09:31"}, "2 2 1"},
		{[]string{"to", "2026-11-24"}, "4"},
		{[]string{"from", "2026-11-24T10:30", "to", "2026-11-24T10:31", "tz", "Europe/Berlin"}, "2 2 1"},
		{[]string{"from", "2026-11-24T09:30:00Z", "tz", "Asia/Tokyo"}, "3 2 2 1"},
		{[]string{"after", "22:00", "before", "09:00"}, "3 0"},
		{[]string{"after", "09:30", "before", "09:31"}, "2 2 1"},
		{[]string{"after", "22:00", "before", "09:00", "tz", "Asia/Tokyo"}, "3"},
		{[]string{"size", "80"}, "3 2 2 1 4"},
		{[]string{"size", "81"}, "3 2 2 4"},
		{[]string{"sharp", "150"}, "3 2 2 4"},
		{[]string{"score", "0.7"}, "2 1"},
		{[]string{"score", "0.7", "camera", "hall", "show", "frames"}, "2"},
		{[]string{"show", "frames"}, "3 2 1 0 4"},
	} {
		var got []string
		for _, k := range s.keys("/" + query(tc.query...)) {
			got = append(got, strings.Split(k, ".")[2])
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%q: offsets %q, want %q", tc.query, got, tc.want)
		}
	}
	for _, wrong := range []string{"size=-1", "size=x", "score=NaN", "from=yesterday", "after=25:00", "next=1.2", "next=a.b.c.d.e"} {
		if status, _, body := s.get("/?" + wrong); status != http.StatusBadRequest || !strings.Contains(body, strings.Split(wrong, "=")[1]) && !strings.Contains(body, "names no face") {
			t.Errorf("%s: status %d, %s", wrong, status, body)
		}
	}
}

// A day has the hours that it has in its zone, and its minutes their faces.
func TestTimeline(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	var events []event
	for hour := range 30 { // over the end of summer time in Berlin
		events = append(events, event{Camera: "door", TimestampMillis: time.Date(2026, 10, 24, 20+hour, 1, 30, 0, time.UTC).UnixMilli()})
	}
	o.window("20261024T200000.000Z-00000001", nil, append(events, event{Camera: "hall", TimestampMillis: events[8].TimestampMillis})...)
	s := serveOutput(t, o.cfg.Root, access{}).summarized()
	for zone, want := range map[string]int32{"UTC": 24, "Europe/Berlin": 25} {
		where := testkit.Value(time.LoadLocation(zone))(t)
		for _, dropped := range []bool{false, true} {
			for _, c := range s.index.all() {
				c.summary.Load().dropped = dropped
				if dropped {
					c.summary.Load().minutes = nil
				}
			}
			d := testkit.Value(s.index.day(t.Context(), time.Date(2026, 10, 25, 12, 0, 0, 0, where)))(t)
			if !d.complete || len(d.cameras) != 2 || d.cameras[0].total != want || d.cameras[0].counts[61] != 1 || len(d.cameras[0].counts) != int(want)*60 {
				t.Errorf("%s, dropped %v: %+v, want %d faces of the door, one in minute 61", zone, dropped, d, want)
			}
		}
		*s.server = *newServer(testkit.Value(openIndex(t.Context(), o.cfg.Root))(t), cropByGo, access{})
		s.summarized()
	}
	page := s.page("/" + query("tz", "Europe/Berlin", "from", "2026-10-25T00:00"))
	mustContain(t, page, "Sunday, 25 October 2026", `href="/?camera=door&amp;from=2026-10-25T03%3A00&amp;to=2026-10-25T04%3A00&amp;tz=Europe%2FBerlin"`, "from=2026-10-24T00%3A00", "from=2026-10-26T00%3A00")
}

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
		if seen[address] || len(seen) > 400 || strings.HasPrefix(address, "/live") {
			continue
		}
		seen[address] = true
		status, head, body := s.get(address)
		if status != http.StatusOK {
			t.Errorf("%.200q: status %d, %.500s", address, status, body)
		}
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
	mustContain(t, s.page("/rejects"), "&lt;script&gt;", "22 3e 3c 73 63 72 69 70", advice[frame.CorruptJPEG])
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
	if got := s.page("/file" + query("name", e.Picture)); got != string(picture) {
		t.Errorf("%d bytes of the picture, want %d", len(got), len(picture))
	}
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
			if head.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", tc.path, name, head.Get(name), want)
			}
		}
		if policy := head.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", tc.path, policy)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		req := testkit.Value(http.NewRequest(method, open.url, nil))(t)
		resp := testkit.Value(http.DefaultClient.Do(req))(t)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, resp.StatusCode)
		}
	}
}

// A picture has a table of its faces; several make a zip.
func TestPictureAndZip(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	score := 0.93
	picture, box, landmarks := photo(t, 3)
	events := o.window("20261124T080000.000Z-00000001", nil,
		event{Camera: "door", TimestampMillis: at("08:00:00"), Box: box, Landmarks: landmarks, Score: &score, Blur: 123.45},
		event{Camera: "door", TimestampMillis: at("08:00:00"), Box: record.Box{X: 5, Y: 6, Width: 70, Height: 80}, Face: 2},
		event{Camera: "hall", TimestampMillis: at("08:00:01"), Box: box}, event{Camera: "gone", TimestampMillis: at("08:00:02")})
	o.write(events[0].Picture, picture)
	o.write(events[2].Picture, picture)
	s := serveOutput(t, o.cfg.Root, access{})
	page := s.page("/picture" + query("id", events[0].key().String(), "tz", "Asia/Tokyo"))
	mustContain(t, page, "2026-11-24 17:00:00", "2026-11-24 08:00:00.000 UTC", "0.93", "123.45", "landmarks.nose_tip.x", fmt.Sprintf(`<rect class="box" x="%d" y="%d" width="232"`, box.X, box.Y), `<rect class="box" x="5" y="6" width="70" height="80"`, `id="newer"`)
	if got := strings.Count(page, `class="landmark"`); got != 5 {
		t.Errorf("%d landmarks", got)
	}
	if strings.Contains(page, `id="older"`) {
		t.Error("there is an older picture than the oldest")
	}
	_, head, _ := s.get("/file" + query("name", events[0].Picture, "download", "1"))
	if got := head.Get("Content-Disposition"); got != `attachment; filename="t+0+00000000000000000000.jpg"` {
		t.Errorf("Content-Disposition %q", got)
	}
	body := s.page("/zip" + query("pick", events[0].key().String(), "pick", events[1].key().String(), "pick", events[2].key().String(), "pick", events[3].key().String(), "pick", "5.0.99.1.nothing"))
	files := testkit.Value(zip.NewReader(strings.NewReader(body), int64(len(body))))(t)
	got := map[string]string{}
	for _, f := range files.File {
		got[f.Name] = string(testkit.Value(io.ReadAll(testkit.Value(f.Open())(t)))(t))
	}
	if len(got) != 4 || got[events[0].Picture] != string(picture) || got[events[2].Picture] != string(picture) || strings.Count(got["events.jsonl"], "\n") != 4 {
		t.Errorf("the zip has %d files: %.2000v", len(got), got)
	}
	mustContain(t, got["missing.txt"], "offset 2 of partition 0", "offset 99 of partition 0 of topic nothing")
	for line := range strings.Lines(got["events.jsonl"]) {
		testkit.Must(t, json.Unmarshal([]byte(line), new(event)))
	}
	for _, wrong := range []string{"/zip", "/zip?pick=x", "/zip?" + strings.Repeat("pick=1.0.1.1.t&", maxPicks+1), "/picture", "/picture?id=5.0.99.1.nothing"} {
		if status, _, _ := s.get(wrong); status < 400 || status >= 500 {
			t.Errorf("%.50s: status %d", wrong, status)
		}
	}
}

// What a run adds comes by itself, once, as far as the page's filters let it.
func TestLive(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	o.window("20261124T080000.000Z-00000001", nil, event{Camera: "door", TimestampMillis: at("08:00:00")})
	s := serveOutput(t, o.cfg.Root, access{})
	s.server.lag = func(context.Context, map[string]book) (int64, error) { return 4711, nil }
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	req := testkit.Value(http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/live?camera=door", nil))(t)
	resp := testkit.Value(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	var tiles, all string
	read := func() {
		line := testkit.Value(lines.ReadString('\n'))(t)
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			return
		}
		var update struct {
			Counts string
			Tiles  []string
		}
		testkit.Must(t, json.Unmarshal([]byte(data), &update))
		tiles, all = tiles+strings.Join(update.Tiles, ""), all+update.Counts
	}
	for !strings.Contains(tiles, "08:00:00") || !strings.Contains(all, "4711") {
		read()
	}
	o.window("20261124T080100.000Z-00000002", []frame.Reject{{Reason: frame.WrongSize, Camera: "door"}},
		event{Camera: "door", TimestampMillis: at("08:01:00")}, event{Camera: "hall", TimestampMillis: at("08:01:01")})
	testkit.Must(t, o.book.Gather(t.Context()))
	for !strings.Contains(tiles, "08:01:00") {
		read()
	}
	stop()
	if n := strings.Count(tiles, "data-key"); n != 2 || strings.Contains(tiles, "hall") {
		t.Errorf("%d tiles: %s", n, tiles)
	}
	mustContain(t, all, `<a href="/rejects?reason=wrong_size">1</a>`)
	testkit.Await(t, "the end of the updates", func() bool { return s.live.Load() == 0 })
}

func TestRejects(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	var rejects []frame.Reject
	for n := range 70 {
		reason := frame.CorruptJPEG
		if n%7 == 0 {
			reason = frame.WrongSize
		}
		rejects = append(rejects, frame.Reject{Camera: fmt.Sprint("camera-", n%2), TimestampMillis: at("08:00:00") + int64(n)*int64(time.Hour/time.Millisecond), Reason: reason, Head: []byte{0xFF, 0xD8, byte(n)}})
	}
	o.window("20261124T080000.000Z-00000001", rejects)
	o.write("_rejects/t+0+00000000000000000099.json", []byte(`{"topic":"t","partition":0,"offset":99,"reason":"too_large"}`)) // of an older version
	o.write("_rejects/camera-1/2026/11/24/08/t+0+00000000000000000098.json", []byte(`no JSON`))
	s := serveOutput(t, o.cfg.Root, access{})
	for address, want := range map[string]int{"/rejects": rejectsOnPage, "/rejects?reason=wrong_size": 10, "/rejects?reason=too_large": 1, "/rejects?camera=camera-1": 35, "/rejects?camera=nobody": 0} {
		if got := strings.Count(s.page(address), `class="reject"`); got != want {
			t.Errorf("%s: %d rejects, want %d", address, got, want)
		}
	}
	if page := s.page("/rejects"); strings.Index(page, "offset 69 ") > strings.Index(page, "offset 40 ") || !strings.Contains(page, "ff d8 45") {
		t.Errorf("the newest is not first: %s", page)
	}
}

// What is no event, and what is not to be counted, is passed over.
func TestDamagedEvents(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	good := event{ID: record.In("t", 0).At(1), Camera: "door", TimestampMillis: at("08:00:00"), Face: 1, Faces: 1}
	line := string(testkit.Value(json.Marshal(good))(t)) + "\n"
	odd := strings.Replace(line, `"landmarks":null`, `"landmarks":[[1,2]]`, 1)
	odd = strings.Replace(odd, `"offset":1`, `"offset":2`, 1)
	long := strings.Replace(strings.Replace(line, `"door"`, `"`+strings.Repeat("x", 2<<20)+`"`, 1), `"offset":1`, `"offset":3`, 1)
	var many strings.Builder // over several chunks
	for n := range 9000 {
		many.WriteString(strings.Replace(line, `"offset":1`, fmt.Sprintf(`"offset":%d`, n+10), 1))
	}
	text := "no JSON\n\n{}\n[1]\n" + line + odd + long + many.String()
	o.write("_events/2026-11-24/20261124T080000.000Z-00000001.jsonl", []byte(text+line))
	h := store.Hour{Hour: "2026-11-24T08", Number: 1, Ledgers: []store.Ledger{{Run: o.run}}, Events: []store.EventsFile{{File: "_events/2026-11-24/20261124T080000.000Z-00000001.jsonl", Bytes: int64(len(text))}}}
	o.write("_windows/g+t/hour.json", testkit.Value(json.Marshal(h))(t))
	o.write("_windows/g+t/2026-11/24T07.json", []byte("torn"))
	s := serveOutput(t, o.cfg.Root, access{}).summarized()
	if chunks, _ := s.index.progress(); chunks < 4 {
		t.Errorf("%d chunks", chunks)
	}
	got := testkit.Value(s.index.find(t.Context(), search{filter: filter{from: 1, to: at("09:00:00")}, most: 10000}))(t)
	if len(got.events) != 9002 {
		t.Errorf("%d events, want 9002", len(got.events))
	}
}

func TestCommand(t *testing.T) {
	root := newOutput(t, t.TempDir(), "t").cfg.Root
	testkit.Must(t, os.MkdirAll(filepath.Join(root, "_windows"), 0o755))
	file := filepath.Join(t.TempDir(), "token")
	testkit.WriteFile(t, file, []byte("correct horse\n"))
	empty := filepath.Join(t.TempDir(), "empty")
	testkit.WriteFile(t, empty, nil)
	state := "--state_dir=" + t.TempDir()
	run := func(ctx context.Context, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		status := Command("facestream view", cropByGo).Main(ctx, append(args, state), &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "--output is not set"},
		{[]string{"--output=" + t.TempDir()}, "no run of facestream has written there"},
		{[]string{"--output=" + root + "/nothing"}, "no such file"},
		{[]string{"--output=s3://x/y"}, "hdfs://HOST:PORT/PATH"},
		{[]string{"--output=" + root, "--listen=8088"}, "HOST:PORT"},
		{[]string{"--output=" + root, "--listen=127.0.0.1:99999"}, "--listen"},
		{[]string{"--output=" + root, "--listen=0.0.0.0:0"}, "--token"},
		{[]string{"--output=" + root, "--listen=:0"}, "--token"},
		{[]string{"--output=" + root, "--listen=[::]:0"}, "--token"},
		{[]string{"--output=" + root, "--token=horse"}, "8 characters"},
		{[]string{"--output=" + root, "--token=@" + empty}, "empty"},
		{[]string{"--output=" + root, "--token=@" + empty + "x"}, "no such file"},
		{[]string{"--output=" + root, "--token=correct horse", "--user_header=X-User"}, "both"},
		{[]string{"--output=" + root, "--user_header=a b"}, "--user_header"},
		{[]string{"--output=" + root, "--kafka=x"}, "--kafka"},
	} {
		status, _, stderr := run(t.Context(), tc.args...)
		if status != 2 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "horse") {
			t.Errorf("%q: exit status %d and %q, want 2 and %q", tc.args, status, stderr, tc.want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	status, stdout, stderr := run(ctx, "--output="+root, "--listen=0.0.0.0:0", "--token=@"+file)
	if status != 0 || stderr != "" || strings.Contains(stdout, "horse") || !strings.Contains(stdout, "?token=...") {
		t.Errorf("exit status %d, %q, %q", status, stdout, stderr)
	}
}
