package view

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/store/table"
)

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
	testkit.Contains(t, "the page", page, "2026-11-24 17:00:00", "2026-11-24 08:00:00.000 UTC", "0.93", "123.45", "landmarks.nose_tip.x", fmt.Sprintf(`<rect class="box" x="%d" y="%d" width="232"`, box.X, box.Y), `<rect class="box" x="5" y="6" width="70" height="80"`, `id="newer"`)
	testkit.Equal(t, "the landmarks", strings.Count(page, `class="landmark"`), 5)
	testkit.Equal(t, "links to an older picture than the oldest", strings.Count(page, `id="older"`), 0)
	_, head, _ := s.get("/file" + query("name", events[0].Picture, "download", "1"))
	testkit.Equal(t, "Content-Disposition", head.Get("Content-Disposition"), `attachment; filename="t+0+00000000000000000000.jpg"`)
	body := s.page("/zip" + query("pick", events[0].key().String(), "pick", events[1].key().String(), "pick", events[2].key().String(), "pick", events[3].key().String(), "pick", "5.0.99.1.nothing"))
	files := testkit.Value(zip.NewReader(strings.NewReader(body), int64(len(body))))(t)
	got := map[string]string{}
	for _, f := range files.File {
		got[f.Name] = string(testkit.Value(io.ReadAll(testkit.Value(f.Open())(t)))(t))
	}
	if len(got) != 4 || got[events[0].Picture] != string(picture) || got[events[2].Picture] != string(picture) || strings.Count(got["events.jsonl"], "\n") != 4 {
		t.Errorf("the zip has %d files: %.2000v", len(got), got)
	}
	testkit.Contains(t, "what is missing", got["missing.txt"], "offset 2 of partition 0", "offset 99 of partition 0 of topic nothing")
	for line := range strings.Lines(got["events.jsonl"]) {
		testkit.Must(t, json.Unmarshal([]byte(line), new(event)))
	}
	for _, wrong := range []string{"/zip", "/zip?pick=x", "/zip?" + strings.Repeat("pick=1.0.1.1.t&", maxPicks+1), "/picture", "/picture?id=5.0.99.1.nothing"} {
		if status, _, _ := s.get(wrong); status < 400 || status >= 500 {
			t.Errorf("%.50s: status %d", wrong, status)
		}
	}
}

// Pictures that are rows are shown as those that are files: before and after a run has
// gathered them, when their table has grown, and while few tables are open.
func TestRows(t *testing.T) {
	for name, root := range roots() {
		t.Run(name, func(t *testing.T) {
			o := newOutput(t, root(t), "t")
			o.run.Settings = []byte(`{"write":"frame,events","store":"parquet"}`)
			o.open()
			picture := func(e *event, what string) []byte { return fmt.Appendf(nil, "%s of %s", what, e.ID) }
			o.rows = func(e *event) table.Row {
				return table.Row{Picture: picture(e, "frame"), Faces: []table.Face{{Face: 1, Crop: picture(e, "face 1")}, {Face: 2, Crop: picture(e, "face 2")}}}
			}
			all := o.window(windowName(time.UnixMilli(at("00:00:00")), 99), nil, event{Camera: "door", TimestampMillis: at("00:00:00")})
			s := serveOutput(t, o.cfg.Root, access{})
			mustShow := func(events []event) {
				t.Helper()
				s.again()
				s.page("/")
				for i := range events {
					e := &events[i]
					face := strings.TrimSuffix(e.Picture, ".jpg") + ".face-2.jpg"
					testkit.Equal(t, e.Picture, s.page("/file"+query("name", e.Picture)), string(picture(e, "frame")))
					testkit.Equal(t, face, s.page("/file"+query("name", face)), string(picture(e, "face 2")))
				}
			}
			hours := cachedTables + 2
			if name == "hdfs" {
				hours = 2
			}
			for hour := range hours {
				millis := at("00:00:00") + int64(hour+1)*time.Hour.Milliseconds()
				events := o.window(windowName(time.UnixMilli(millis), hour), nil, event{Camera: "door", TimestampMillis: millis}, event{Camera: "a/b", TimestampMillis: -1})
				mustShow(events)
				testkit.Must(t, o.book.Gather(t.Context()))
				mustShow(events)
				all = append(all, events...)
			}
			mustShow(all)
			nobodys := strings.Replace(all[0].Picture, "door", "gate", 1)
			status, _, _ := s.get("/file" + query("name", nobodys))
			testkit.Equal(t, nobodys, status, http.StatusNotFound)
			if n := s.index.opened.Len(); n > cachedTables || s.index.rows < n {
				t.Errorf("%d tables are open, with %d rows", n, s.index.rows)
			}
		})
	}
}

// Counts and faces of the pages are those that a run has added, with the lag and by reason.
func TestCounts(t *testing.T) {
	o := newOutput(t, t.TempDir(), "t")
	stored := func(e event, after time.Duration) {
		o.write(e.Picture, nil)
		testkit.Must(t, os.Chtimes(filepath.Join(o.cfg.Root, e.Picture), time.Time{}, time.UnixMilli(e.TimestampMillis).Add(after)))
	}
	stored(o.window("20261124T080000.000Z-00000001", nil, event{Camera: "door", TimestampMillis: at("08:00:00")})[0], time.Second)
	s := serveOutput(t, o.cfg.Root, access{})
	testkit.Contains(t, "the page", s.page("/"), "08:00:00", "<dt>records</dt><dd>1</dd>", "<dt>latency</dt><dd>1s</dd>")
	stored(o.window("20261124T080100.000Z-00000002", []frame.Reject{{Reason: frame.WrongSize, Camera: "door"}}, event{Camera: "door", TimestampMillis: at("08:01:00")})[0], 2*time.Second)
	testkit.Must(t, o.book.Gather(t.Context()))
	broker := testkit.FakeKafka(t, kfake.SeedTopics(1, "t")).ListenAddrs()[0]
	client := testkit.Kafka(t, broker)
	for range 10 {
		testkit.Must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}).FirstErr())
	}
	go s.followLag(t.Context(), s.lagAt(broker, nil))
	testkit.Await(t, "the lag", func() bool {
		s.again()
		return strings.Contains(s.page("/"), "<dt>lag</dt><dd>7</dd>")
	})
	testkit.Contains(t, "the page", s.page("/"), "08:00:00", "08:01:00", "<dt>records</dt><dd>3</dd>", "<dt>latency</dt><dd>2s</dd>", `<dt>wrong_size</dt><dd><a href="/rejects?reason=wrong_size">1</a>`)
}

// Kafka is asked for the lag while somebody looks, once for all pages.
func TestLagIsAskedForPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, asked := newServer(&index{}, access{}), int64(0)
		ctx, stop := context.WithCancel(t.Context())
		go s.followLag(ctx, func(context.Context) (int64, error) { asked++; return asked, nil })
		for _, next := range []struct {
			looks int
			after time.Duration
			asked int64
			lag   string
		}{{0, time.Hour, 0, ""}, {1, lagEvery / 2, 1, "1"}, {3, lagEvery, 2, "2"}, {0, time.Hour, 2, ""}} {
			for range next.looks {
				s.counts()
			}
			time.Sleep(next.after)
			synctest.Wait()
			if lag, _ := s.lag.Load().(string); asked != next.asked || lag != next.lag {
				t.Errorf("%d looks, and %s later: it was asked %d times, and is %q", next.looks, next.after, asked, lag)
			}
		}
		stop()
		synctest.Wait()
	})
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
		testkit.Equal(t, address, strings.Count(s.page(address), `class="reject"`), want)
	}
	if page := s.page("/rejects"); strings.Index(page, "offset 69 ") > strings.Index(page, "offset 40 ") || !strings.Contains(page, "ff d8 45") {
		t.Errorf("the newest is not first: %s", page)
	}
}
