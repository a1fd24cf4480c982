package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store"
)

// Whatever layout an output has, each of its faces is in the pages once, the newest first,
// before and after the summaries.
func TestFacesOfEveryLayout(t *testing.T) {
	for name, root := range roots() {
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
			files := func() (all []string) {
				testkit.Must(t, store.List(t.Context(), store.Config{Root: root}, func(name string, size int64, at time.Time) error {
					all = append(all, fmt.Sprint(name, size, at))
					return nil
				}))
				return all
			}
			before := files()
			s := serveOutput(t, root, access{})
			for _, summarized := range []bool{false, true} {
				if summarized {
					s.summarized()
				}
				testkit.Equal(t, fmt.Sprintf("summarized %v", summarized), s.keys("/"), want)
			}
			// It may be killed at any moment.
			testkit.Equal(t, "the files, which it may not change", files(), before)
			// What is gathered meanwhile stays, once.
			testkit.Must(t, a.book.Gather(t.Context()))
			all = append(all, a.window(windowName(start.Add(5*time.Hour), 9), nil, event{Camera: "door", TimestampMillis: at("13:00:00")})...)
			s.again()
			testkit.Equal(t, "after gathering", s.keys("/"), keysOf(all))
			// What is purged is forgotten.
			door := "door"
			all = slices.DeleteFunc(all, func(e event) bool { return e.Camera == door })
			freed, err := store.Purge(t.Context(), store.Config{Root: root, Run: "purge"}, store.Selection{Camera: &door}, nil, false, func(store.Freed) {})
			if err != nil || freed.Events != 2 {
				t.Errorf("purged %+v, %v", freed, err)
			}
			s.again()
			testkit.Equal(t, "after a purge", s.keys("/"), keysOf(all))
			// From a picture to the newest by its neighbours.
			want = keysOf(all)
			page := s.page("/picture" + query("id", want[19]))
			for n := 20; ; n-- {
				newer := attributes(page, regexp.MustCompile(`id="newer" rel="prev" href="([^"]*)"`))
				if len(newer) == 0 {
					testkit.Equal(t, "the place of the newest picture", n, 1)
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
		testkit.Equal(t, tc.query, strings.Join(got, " "), tc.want)
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
			d := testkit.Value(s.timeline(t.Context(), time.Date(2026, 10, 25, 12, 0, 0, 0, where), nil))(t)
			if !d.Complete || len(d.Lanes) != 2 || d.Lanes[0].Total != want || !strings.Contains(d.Lanes[0].Path, "M61 ") || d.Lanes[0].Width != int(want)*60 {
				t.Errorf("%s, dropped %v: %+v, want %d faces of the door, one in minute 61", zone, dropped, d, want)
			}
		}
		s = serveOutput(t, o.cfg.Root, access{}).summarized()
	}
	page := s.page("/" + query("tz", "Europe/Berlin", "from", "2026-10-25T00:00"))
	testkit.Contains(t, "the page", page, "Sunday, 25 October 2026", `href="/?camera=door&amp;from=2026-10-25T03%3A00&amp;to=2026-10-25T04%3A00&amp;tz=Europe%2FBerlin"`, "from=2026-10-24T00%3A00", "from=2026-10-26T00%3A00")
}

// What is no event, and what is not to be counted, is passed over.
func TestDamagedEvents(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	good := event{ID: record.In("t", 0).At(1), Camera: "door", TimestampMillis: at("08:00:00"), Face: 1, Faces: 1}
	line := string(testkit.Value(json.Marshal(good))(t)) + "\n"
	long := strings.Replace(strings.Replace(line, `"door"`, `"`+strings.Repeat("x", 2<<20)+`"`, 1), `"offset":1`, `"offset":3`, 1)
	var many strings.Builder // over several chunks
	for n := range 9000 {
		many.WriteString(strings.Replace(line, `"offset":1`, fmt.Sprintf(`"offset":%d`, n+10), 1))
	}
	text := "no JSON\n\n{}\n[1]\n" + line + long + many.String()
	o.write("_events/2026-11-24/20261124T080000.000Z-00000001.jsonl", []byte(text+line))
	h := store.Hour{Hour: "2026-11-24T08", Number: 1, Ledgers: []store.Ledger{{Run: o.run}}, Events: []store.EventsFile{{File: "_events/2026-11-24/20261124T080000.000Z-00000001.jsonl", Bytes: int64(len(text))}}}
	o.write("_windows/g+t/hour.json", testkit.Value(json.Marshal(h))(t))
	o.write("_windows/g+t/2026-11/24T07.json", []byte("torn"))
	s := serveOutput(t, o.cfg.Root, access{}).summarized()
	if chunks, _ := s.index.progress(); chunks < 4 {
		t.Errorf("%d chunks", chunks)
	}
	found, _, err := s.index.find(t.Context(), search{filter: filter{from: 1, to: at("09:00:00")}, most: 10000})
	if err != nil || len(found) != 9001 {
		t.Errorf("%d events, want 9001: %v", len(found), err)
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
	run := func(ctx context.Context, stdout io.Writer, args ...string) (int, string) {
		var stderr bytes.Buffer
		return Command("facestream view").Main(ctx, append(args, state), stdout, &stderr), stderr.String()
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "--output is not set"},
		{[]string{"--output=" + t.TempDir()}, "no run of facestream has written there"},
		{[]string{"--output=" + root + "/nothing"}, "no run of facestream has written there"},
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
		status, stderr := run(t.Context(), io.Discard, tc.args...)
		if status != 2 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "horse") {
			t.Errorf("%q: exit status %d and %q, want 2 and %q", tc.args, status, stderr, tc.want)
		}
	}
	taken := testkit.Serve(t, func(net.Conn) {})
	if status, stderr := run(t.Context(), io.Discard, "--output="+root, "--listen="+taken); status != 1 || !strings.Contains(stderr, "choose another port") {
		t.Errorf("a port that is taken: exit status %d and %q, want 1", status, stderr)
	}
	ctx, stop := context.WithCancel(t.Context())
	stdout := &stopping{stop: stop}
	status, stderr := run(ctx, stdout, "--output="+root, "--listen=0.0.0.0:0", "--token=@"+file)
	if said := stdout.String(); status != 0 || stderr != "" || strings.Contains(said, "horse") || !strings.Contains(said, "?token=...") {
		t.Errorf("exit status %d, %q, %q", status, said, stderr)
	}
}

// stopping stops a command as soon as that says something.
type stopping struct {
	bytes.Buffer
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(p)
}
