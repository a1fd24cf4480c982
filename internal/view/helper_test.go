package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// output is what a run writes.
type output struct {
	t     testing.TB
	cfg   store.Config
	run   store.Run
	topic string
	book  *store.Book
	next  map[record.TopicPartition]int64
	rows  func(*event) table.Row // of an event, if pictures are rows
}

// roots are folders of outputs, here and in HDFS.
func roots() map[string]func(t *testing.T) string {
	return map[string]func(t *testing.T) string{
		"local": func(t *testing.T) string { return t.TempDir() },
		"hdfs": func(t *testing.T) string {
			addrs := testservices.Start(t, services.Options{HDFS: true})
			return strings.Replace(addrs.HDFS, "hdfs://", "hdfs://alice@", 1) + "/user/" + testservices.Name(strings.ReplaceAll(t.Name(), "/", "-"))
		},
	}
}

func newOutput(t testing.TB, root, topic string) *output {
	o := &output{t: t, cfg: store.Config{Root: root, Run: "run"}, topic: topic, next: map[record.TopicPartition]int64{}}
	o.run = store.Run{ID: "run", Group: "g", Settings: []byte(`{"write":"frame,events"}`), SettingsSHA256: "s"}
	o.open()
	return o
}

// open opens the book, which gathers what was not gathered.
func (o *output) open() {
	o.book = testkit.Value(store.OpenBook(o.t.Context(), o.cfg, o.run, []string{o.topic}, nil))(o.t)
}

func (o *output) write(name string, data []byte) {
	o.t.Helper()
	fsys := testkit.Value(filesystem.New(o.t.Context(), o.cfg.Root))(o.t)
	name = o.cfg.Root + "/" + name
	if m, ok := fsys.(interface {
		MkdirAll(ctx context.Context, dir string) error
	}); ok {
		testkit.Must(o.t, m.MkdirAll(o.t.Context(), name[:strings.LastIndex(name, "/")]))
	}
	testkit.Must(o.t, filesystem.Write(o.t.Context(), fsys, name, data))
}

// window keeps a window with one record for each of the events, which are made whole, and
// for each of the rejects. It returns the events.
func (o *output) window(name string, rejects []frame.Reject, events ...event) []event {
	o.t.Helper()
	var l store.Ledger
	var lines bytes.Buffer
	add := func(id record.ID, p store.Partition) {
		p.TopicPartition, p.FirstOffset, p.LastOffset, p.Offsets, p.Read, p.ReadBytes = id.TopicPartition, id.Offset, id.Offset, []record.Range{id.Range()}, 1, 1000
		l = store.Merge(l, store.Ledger{Partitions: []store.Partition{p}, Latest: l.Latest})
		o.next[id.TopicPartition] = id.Offset + 1
	}
	for i := range events {
		e := &events[i]
		at := record.In(o.topic, e.Partition)
		if e.Face <= 1 {
			e.ID, e.Face = at.At(o.next[at]), 1
		} else {
			e.ID = at.At(o.next[at] - 1)
		}
		e.Faces = max(e.Faces, e.Face)
		if e.FrameWidth == 0 {
			e.FrameWidth, e.FrameHeight = 640, 480
		}
		if e.Box.Width == 0 {
			e.Box = record.Box{X: 233, Y: 152, Width: 232, Height: 232}
		}
		e.Picture = store.Name{ID: e.ID, Camera: e.Camera, TimestampMillis: e.TimestampMillis}.Path()
		line := testkit.Value(json.Marshal(e))(o.t)
		lines.Write(append(line, '\n'))
		if e.Face > 1 {
			l = store.Merge(l, store.Ledger{Partitions: []store.Partition{{TopicPartition: at, Faces: 1, Events: 1}}})
			continue
		}
		add(e.ID, store.Partition{Decoded: 1, FramesWithFaces: 1, Faces: 1, Files: 1, Bytes: 36_000, Events: 1, Pictures: []record.Range{e.ID.Range()}})
		if latest := (store.Latest{TimestampMillis: e.time(), Picture: e.Picture}); l.Latest.Before(latest) && e.time() > 0 {
			l.Latest = latest
		}
	}
	for _, r := range rejects {
		at := record.In(o.topic, r.Partition)
		r.ID = at.At(o.next[at])
		for _, f := range testkit.Value(store.RejectFiles(r))(o.t) {
			o.write(f.Name, f.Data)
		}
		add(r.ID, store.Partition{Rejected: map[string]int64{r.Reason: 1}, Rejects: []record.Range{r.Range()}})
	}
	o.write("_tmp/run/"+name+".jsonl", lines.Bytes())
	if o.rows != nil {
		l.Tables = o.tables(name, events)
	}
	var next []record.ID
	for p, offset := range o.next {
		next = append(next, p.At(offset))
	}
	slices.SortFunc(next, record.ID.Compare)
	testkit.Value(o.book.Keep(o.t.Context(), name, l, next))(o.t)
	return events
}

// tables writes the pictures of a window as rows, in a table for each hour.
func (o *output) tables(window string, events []event) (all []store.Table) {
	rows := map[string][]table.Row{}
	for i := range events {
		if e := &events[i]; e.Face == 1 {
			row := o.rows(e)
			row.ID, row.Camera, row.TimestampMillis = e.ID, e.Camera, e.TimestampMillis
			folder := store.TableFolder(e.Picture)
			rows[folder] = append(rows[folder], row)
		}
	}
	for folder, some := range rows {
		var data bytes.Buffer
		testkit.Must(o.t, table.Write(&data, some))
		name := window + "+" + path.Base(folder) + ".parquet"
		o.write("_tmp/run/"+name, data.Bytes())
		all = append(all, store.Table{File: folder + "/" + name, Rows: int64(len(some)), Bytes: int64(data.Len())})
	}
	return all
}

// site is a server of an output.
type site struct {
	t testing.TB
	*server
	url string
}

func serveOutput(t testing.TB, root string, a access) site {
	t.Helper()
	ix := testkit.Value(openIndex(t.Context(), root))(t)
	s := newServer(ix, a)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return site{t, s, web.URL}
}

// summarized waits until all events were read once.
func (s site) summarized() site {
	s.t.Helper()
	go s.index.summarize(s.t.Context())
	testkit.Await(s.t, "the summaries", func() bool { _, unread := s.index.progress(); return unread == 0 })
	return s
}

// again has the next page look into the books.
func (s site) again() {
	s.index.refreshing.Lock()
	s.index.refreshed = time.Time{}
	s.index.refreshing.Unlock()
}

// get returns an answer's status, head and body.
func (s site) get(address string, header ...string) (int, http.Header, string) {
	s.t.Helper()
	req := testkit.Value(http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+address, nil))(s.t)
	for h := range slices.Chunk(header, 2) {
		req.Header.Set(h[0], h[1])
	}
	if req.Header.Get("Host") != "" {
		req.Host = req.Header.Get("Host")
	}
	resp := testkit.Value(http.DefaultTransport.RoundTrip(req))(s.t)
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header, string(testkit.Value(io.ReadAll(resp.Body))(s.t))
}

func (s site) page(address string) string {
	s.t.Helper()
	status, _, body := s.get(address)
	if status != http.StatusOK {
		s.t.Fatalf("%s: status %d, %s", address, status, body)
	}
	return body
}

var (
	keyPattern  = regexp.MustCompile(`data-key="([^"]*)"`)
	linkPattern = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	nextPattern = regexp.MustCompile(`rel="next" href="([^"]*)"`)
)

// attributes returns what a pattern finds in a page.
func attributes(page string, pattern *regexp.Regexp) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(page, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

// keys follows a view from page to page.
func (s site) keys(address string) (all []string) {
	s.t.Helper()
	for address != "" {
		page := s.page(address)
		all = append(all, attributes(page, keyPattern)...)
		next := attributes(page, nextPattern)
		if address = ""; len(next) > 0 {
			address = next[0]
		}
	}
	return all
}

// keysOf are those of events, the newest first.
func keysOf(events []event) (keys []string) {
	slices.SortFunc(events, func(a, b event) int { return a.key().compare(b.key()) })
	for i := range events {
		keys = append(keys, events[i].key().String())
	}
	return keys
}

func query(pairs ...string) string {
	q := url.Values{}
	for p := range slices.Chunk(pairs, 2) {
		q.Add(p[0], p[1])
	}
	return "?" + q.Encode()
}

// photo is a photograph with a face, moved, and its box and landmarks there.
func photo(t testing.TB, n int) ([]byte, record.Box, *record.Landmarks) {
	img := testkit.Value(jpeg.Decode(bytes.NewReader(testkit.ReadFile(t, filepath.Join("..", "..", "testdata", "face.jpg")))))(t)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	dx := r.IntN(400) - 220
	out := image.NewRGBA(img.Bounds())
	for x := -640; x <= 640; x += 640 {
		draw.Draw(out, out.Rect, img, image.Pt(x-dx, 0), draw.Over)
	}
	var data bytes.Buffer
	testkit.Must(t, jpeg.Encode(&data, out, nil))
	box := record.Box{X: int32(233 + dx), Y: 152, Width: 232, Height: 232}
	at := func(x, y int) record.Point { return record.Point{X: int32(x + dx), Y: int32(y)} }
	return data.Bytes(), box, &record.Landmarks{
		RightEye: at(302, 240), LeftEye: at(392, 240), NoseTip: at(348, 280), RightMouthCorner: at(308, 325), LeftMouthCorner: at(388, 325),
	}
}

// at is a time of the day of the tests.
func at(clock string) int64 {
	t, err := time.Parse(time.DateTime, "2026-11-24 "+clock)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

// windowName is that of a window which began at a time.
func windowName(t time.Time, n int) string {
	return fmt.Sprintf("%s-%08x", t.UTC().Format("20060102T150405.000Z"), n)
}
