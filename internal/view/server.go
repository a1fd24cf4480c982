package view

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

const (
	facesOnPage   = 60
	maxPicture    = 64 << 20 // bytes of a picture that is shown
	maxPicks      = 500      // pictures in one zip
	cachedCrops   = 2000
	cropsAtOnce   = 2 // each holds a picture's pixels
	cropMargin    = 0.2
	lagAfter      = 2 * time.Second
	lagTimeout    = 2 * time.Second
	mostLive      = 100 // pages that are told what is new
	zoneCookie    = "tz"
	tokenCookie   = "facestream_token"
	tokenArgument = "token"
)

//go:embed web
var web embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"bytes": byteCount}).ParseFS(web, "web/*.html"))

// Crop cuts a box with a margin, a part of its sides, out of a JPEG, as a JPEG.
type Crop func(picture []byte, box record.Box, margin float64) ([]byte, error)

// access says who may look.
type access struct {
	token      string // empty: everybody who reaches the address
	userHeader string // that a proxy sets; empty without one
}

type server struct {
	index  *index
	crop   Crop
	access access
	lag    func(context.Context, map[string]book) (int64, error) // nil if it is not known

	crops    *lru[string, []byte]
	cropping chan struct{}
	live     atomic.Int32
	mux      http.ServeMux

	mu      sync.Mutex
	latest  store.Latest // of latency
	latency time.Duration
	lagAt   time.Time
	lagText string
}

func newServer(ix *index, crop Crop, a access) *server {
	s := &server{index: ix, crop: crop, access: a, crops: newLRU[string, []byte](cachedCrops), cropping: make(chan struct{}, cropsAtOnce)}
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/{$}": s.grid, "/picture": s.picture, "/file": s.file, "/crop": s.cropped, "/zip": s.zip, "/rejects": s.rejects, "/live": s.updates,
	} {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil && r.Context().Err() == nil {
				s.fail(w, err)
			}
		})
	}
	for _, name := range []string{"view.css", "view.js", "icon.svg"} {
		s.mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, web, "web/"+name) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, &httpError{http.StatusNotFound, "there is no such page"})
	})
	return s
}

// httpError is what a page says instead of what was asked for.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

func badRequest(err error) error { return &httpError{http.StatusBadRequest, err.Error()} }

func (s *server) fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway // the file system's fault
	if known, ok := errors.AsType[*httpError](err); ok {
		status = known.status
	} else if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFace) {
		status = http.StatusNotFound
	}
	s.render(w, status, "error", errorPage{layout{Title: "facestream"}, err.Error(), status == http.StatusUnauthorized})
}

type errorPage struct {
	layout
	Text     string
	AskToken bool
}

// layout is what all pages have.
type layout struct {
	Title string
	Zone  string
}

func (s *server) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

// ServeHTTP answers those who may look.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		s.fail(w, &httpError{http.StatusMethodNotAllowed, "this page is only for reading"})
		return
	}
	if s.allowed(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

// allowed reports whether a request may be answered; if not, it has answered.
func (s *server) allowed(w http.ResponseWriter, r *http.Request) bool {
	switch a := s.access; {
	case a.userHeader != "":
		if r.Header.Get(a.userHeader) == "" {
			s.fail(w, &httpError{http.StatusForbidden, "the proxy has not said who you are"})
			return false
		}
		return true
	case a.token != "":
		return s.hasToken(w, r)
	}
	// A page of another site may have its own name lead to this machine.
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback() {
		return true
	}
	s.fail(w, &httpError{http.StatusForbidden, "this page answers on this machine only, as 127.0.0.1 or localhost"})
	return false
}

// hasToken takes the token from the address once, and from then on from a cookie that
// does not give it away.
func (s *server) hasToken(w http.ResponseWriter, r *http.Request) bool {
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	sum := sha256.Sum256([]byte("facestream view " + s.access.token))
	mark := hex.EncodeToString(sum[:])
	if c, err := r.Cookie(tokenCookie); err == nil && same(c.Value, mark) {
		if !r.URL.Query().Has(tokenArgument) {
			return true
		}
	} else if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && same(bearer, s.access.token) {
		return true
	} else if !same(r.URL.Query().Get(tokenArgument), s.access.token) {
		s.fail(w, &httpError{http.StatusUnauthorized, "this page asks for its token"})
		return false
	}
	http.SetCookie(w, &http.Cookie{Name: tokenCookie, Value: mark, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
	q := r.URL.Query()
	q.Del(tokenArgument)
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/\\"), RawQuery: q.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return false
}

// zone is that of the address, of the viewer, or UTC.
func zone(r *http.Request) *time.Location {
	name := r.URL.Query().Get(zoneCookie)
	if c, err := r.Cookie(zoneCookie); err == nil && name == "" {
		name, _ = url.QueryUnescape(c.Value)
	}
	if name == "Local" {
		return time.UTC
	}
	if z, err := time.LoadLocation(name); err == nil {
		return z
	}
	return time.UTC
}

// filterNames are the parts of an address that choose faces.
var filterNames = []string{"camera", "from", "to", "after", "before", "size", "sharp", "score", "show", zoneCookie}

// link is an address with the filters of q and pairs of other names and values.
func link(to string, q url.Values, pairs ...string) string {
	out := url.Values{}
	for _, name := range filterNames {
		if v := q.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	for p := range slices.Chunk(pairs, 2) {
		if out.Del(p[0]); p[1] != "" {
			out.Set(p[0], p[1])
		}
	}
	return strings.TrimSuffix(to+"?"+out.Encode(), "?")
}

// moment is a time as the pages show it.
type moment struct{ Machine, Local, UTC string }

func momentOf(millis int64, zone *time.Location) moment {
	if millis == 0 {
		return moment{Local: "undated"}
	}
	t := time.UnixMilli(millis)
	return moment{t.UTC().Format(time.RFC3339Nano), t.In(zone).Format(time.DateTime), t.UTC().Format("2006-01-02 15:04:05.000 UTC")}
}

// tile is a picture in the grid.
type tile struct {
	Key, Link, Image string
	Camera           string
	Time             moment
	Width, Height    int32
	Faces            []faceView
	Crop             bool // of one face
}

// faceView is what is drawn of a face.
type faceView struct {
	event
	Link string // of its own picture
}

func (f faceView) Size() int32 { return f.size() }

func (f faceView) Sharpness() string { return strconv.FormatFloat(f.Blur, 'f', 0, 64) }

func (f faceView) Confidence() string {
	if f.Score == nil {
		return ""
	}
	return strconv.FormatFloat(*f.Score, 'f', 2, 64)
}

func (f faceView) Points() []point {
	var all []point
	for _, p := range f.Landmarks {
		all = append(all, p)
	}
	return all
}

// Radius is that of a landmark, Stroke the width of a line, Letters the size of a text: all
// in pixels of the picture.
func (t tile) Radius() int32  { return max(2, t.Width/200) }
func (t tile) Stroke() int32  { return max(1, t.Width/320) }
func (t tile) Letters() int32 { return max(10, t.Width/36) }

// fileLink is the address of a file of the output.
func fileLink(name string) string {
	if name == "" {
		return ""
	}
	return "/file?name=" + url.QueryEscape(name)
}

// cropLink is the address of the picture of a face.
func cropLink(e event) string {
	picture := cmp.Or(e.Picture, e.Annotated)
	if e.Crop != "" || picture == "" {
		return fileLink(e.Crop)
	}
	return fmt.Sprintf("/crop?name=%s&box=%d,%d,%d,%d", url.QueryEscape(picture), e.Box.X, e.Box.Y, e.Box.Width, e.Box.Height)
}

// tiles makes a tile of each face, or of each frame.
func tiles(events []event, q url.Values, zone *time.Location) (all []tile) {
	frames := q.Get("show") == "frames"
	for _, e := range events {
		k := e.key()
		if frames {
			k.face = 0
		}
		if n := len(all); frames && n > 0 && all[n-1].Key == k.String() {
			all[n-1].Faces = append(all[n-1].Faces, faceView{event: e})
			continue
		}
		t := tile{
			Key: k.String(), Link: link("/picture", q, "id", k.String()), Image: cropLink(e), Camera: e.Camera, Time: momentOf(e.time(), zone),
			Width: e.FrameWidth, Height: e.FrameHeight, Faces: []faceView{{event: e}}, Crop: !frames,
		}
		if frames {
			t.Image = fileLink(cmp.Or(e.Picture, e.Annotated))
		}
		all = append(all, t)
	}
	return all
}

type gridPage struct {
	layout
	Query    map[string]string
	Cameras  []string
	Tiles    []tile
	Newest   string // address without what is passed; empty on the first page
	Next     string
	Partial  bool // more was not looked at yet
	Timeline timeline
	Counts   counts
	Notice   string
	Live     string
}

func (s *server) grid(w http.ResponseWriter, r *http.Request) error {
	p, err := s.gridPage(r)
	if err == nil {
		s.render(w, http.StatusOK, "grid", p)
	}
	return err
}

func (s *server) gridPage(r *http.Request) (p gridPage, err error) {
	ctx, q, zone := r.Context(), r.URL.Query(), zone(r)
	p = gridPage{layout: layout{"Faces", zone.String()}, Query: map[string]string{}}
	for _, name := range filterNames {
		p.Query[name] = q.Get(name)
	}
	q.Set(zoneCookie, zone.String())
	what := search{most: facesOnPage, frames: q.Get("show") == "frames"}
	if what.filter, err = parseFilter(q, zone); err != nil {
		return p, badRequest(err)
	}
	if next := q.Get("next"); next != "" {
		k, err := parseKey(next)
		if err != nil {
			return p, badRequest(err)
		}
		what.past, p.Newest = &k, link("/", q)
	} else {
		p.Live = link("/live", q)
	}
	if err = s.index.refresh(ctx); err != nil {
		return p, err
	}
	got, err := s.index.find(ctx, what)
	if err != nil {
		return p, err
	}
	p.Tiles = tiles(got.events, q, zone)
	if got.next != nil {
		p.Next, p.Partial = link("/", q, "next", got.next.String()), len(p.Tiles) < facesOnPage
	}
	p.Cameras = slices.Sorted(slices.Values(s.index.names()))
	at := time.Now()
	switch {
	case what.from > 0:
		at = time.UnixMilli(what.from)
	case q.Get("to") != "":
		at = time.UnixMilli(what.to - 1)
	case len(got.events) > 0 && got.events[0].time() > 0:
		at = time.UnixMilli(got.events[0].time())
	}
	if p.Timeline, err = s.timeline(ctx, at.In(zone), q); err != nil {
		return p, err
	}
	p.Counts = s.counts(ctx)
	if t := s.index.total(); !t.HasEvents && t.Sum.Read > 0 {
		p.Notice = "No event was stored yet. Faces are shown by their events, which a run stores if --write has events, as by default."
	}
	return p, nil
}

// timeline is a day as it is drawn.
type timeline struct {
	Day, Before, Behind string // Before and Behind are addresses
	Lanes               []lane
	Hidden              int // lanes
	Complete            bool
}

type lane struct {
	Name  string
	Total int32
	Path  string
	Width int
	Hours []hour
}

type hour struct {
	X, Faces            int
	Link, Name, Minutes string // Minutes is how the times of its minutes begin
}

const (
	laneHeight = 40
	mostLanes  = 30
)

func (s *server) timeline(ctx context.Context, at time.Time, q url.Values) (timeline, error) {
	d, err := s.index.day(ctx, at)
	if err != nil {
		return timeline{}, err
	}
	whole := func(from time.Time) string {
		return link("/", q, "from", from.Format(minuteLayout), "to", from.AddDate(0, 0, 1).Format(minuteLayout))
	}
	t := timeline{Day: d.start.Format("Monday, 2 January 2006"), Before: whole(d.start.AddDate(0, 0, -1)), Behind: whole(d.start.AddDate(0, 0, 1)), Complete: d.complete}
	if len(d.cameras) > mostLanes {
		slices.SortStableFunc(d.cameras, func(a, b dayCamera) int { return cmp.Compare(b.total, a.total) })
		t.Hidden = len(d.cameras) - mostLanes
		d.cameras = d.cameras[:mostLanes]
	}
	most := int32(1)
	for _, c := range d.cameras {
		most = max(most, slices.Max(c.counts))
	}
	for _, c := range d.cameras {
		l := lane{Name: c.name, Total: c.total, Width: len(c.counts)}
		var bars strings.Builder
		for i, n := range c.counts {
			if n > 0 {
				fmt.Fprintf(&bars, "M%d %dV%d", i, laneHeight, laneHeight-max(4, n*laneHeight/most))
			}
		}
		l.Path = bars.String()
		camera := c.name
		if !c.named {
			camera = ""
		}
		for i := 0; i < len(c.counts); i += 60 {
			faces := 0
			for _, n := range c.counts[i:min(i+60, len(c.counts))] {
				faces += int(n)
			}
			if faces == 0 {
				continue
			}
			from := d.start.Add(time.Duration(i) * time.Minute)
			to := from.Add(time.Hour)
			l.Hours = append(l.Hours, hour{
				X: i, Faces: faces, Name: from.Format("15:04") + "–" + to.Format("15:04"), Minutes: from.Format("2006-01-02T15:"),
				Link: link("/", q, "camera", camera, "from", from.Format(minuteLayout), "to", to.Format(minuteLayout)),
			})
		}
		t.Lanes = append(t.Lanes, l)
	}
	return t, nil
}

// counts is what the ledgers say of the whole output.
type counts struct {
	Records, Frames, WithFaces, Faces, Files, Bytes int64
	Rejects                                         []reasonCount
	Lag, Latency                                    string
	Unread                                          int
	Reading                                         int // percent of the events that were read; 100 at the end
}

type reasonCount struct {
	Reason string
	N      int64
}

func (s *server) counts(ctx context.Context) counts {
	t := s.index.total()
	c := counts{
		Records: t.Sum.Read, Frames: t.Sum.Decoded, WithFaces: t.Sum.FramesWithFaces, Faces: t.Sum.Faces, Files: t.Sum.Files, Bytes: t.Sum.Bytes,
		Unread: t.Unread, Reading: 100,
	}
	for reason, n := range t.Sum.Rejected {
		c.Rejects = append(c.Rejects, reasonCount{reason, n})
	}
	slices.SortFunc(c.Rejects, func(a, b reasonCount) int { return strings.Compare(a.Reason, b.Reason) })
	if all, unread := s.index.progress(); unread > 0 {
		c.Reading = 100 * (all - unread) / all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fsys, ok := s.index.fs.(filesystem.LastModifiedGetter); ok && t.Latest != s.latest && t.Latest.Picture != "" {
		s.latency = -1
		if at, err := fsys.LastModified(ctx, s.index.path(t.Latest.Picture)); err == nil {
			s.latency = at.Sub(time.UnixMilli(t.Latest.TimestampMillis))
		}
		s.latest = t.Latest
	}
	if s.latest.Picture != "" && s.latency >= 0 {
		c.Latency = s.latency.Round(100 * time.Millisecond).String()
	}
	if s.lag != nil && time.Since(s.lagAt) > lagAfter {
		s.lagAt = time.Now()
		go s.findLag(context.WithoutCancel(ctx), t.Books) // no page waits for Kafka
	}
	c.Lag = s.lagText
	return c
}

func (s *server) findLag(ctx context.Context, books map[string]book) {
	ctx, stop := context.WithTimeout(ctx, lagTimeout)
	defer stop()
	text := "unknown"
	if n, err := s.lag(ctx, books); err == nil {
		text = strconv.FormatInt(n, 10)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lagText = text
}

// updates tells a page what is new, for as long as it is open.
func (s *server) updates(w http.ResponseWriter, r *http.Request) error {
	if s.live.Add(1) > mostLive {
		s.live.Add(-1)
		return &httpError{http.StatusServiceUnavailable, "too many pages are open"}
	}
	defer s.live.Add(-1)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(refreshAfter)
	defer tick.Stop()
	last := ""
	sent := map[string]bool{}
	for {
		p, err := s.gridPage(r)
		if err != nil {
			return nil // the page asks again
		}
		var update struct {
			Counts   string   `json:"counts"`
			Timeline string   `json:"timeline"`
			Tiles    []string `json:"tiles"` // that were not sent, the newest first
		}
		update.Counts, update.Timeline = fragment("counts", p.Counts), fragment("timeline", p.Timeline)
		now := map[string]bool{}
		for _, t := range p.Tiles {
			now[t.Key] = true
			if !sent[t.Key] {
				update.Tiles = append(update.Tiles, fragment("tile", t))
			}
		}
		sent = now
		data, err := json.Marshal(update)
		if err != nil {
			return nil
		}
		if string(data) != last || len(update.Tiles) > 0 {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return nil
			}
		} else if _, err := io.WriteString(w, ":\n\n"); err != nil { // it is gone
			return nil
		}
		last = string(data)
		if err := out.Flush(); err != nil {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

// fragment is a part of a page.
func fragment(name string, data any) string {
	var part strings.Builder
	if err := pages.ExecuteTemplate(&part, name, data); err != nil {
		return ""
	}
	return part.String()
}

type picturePage struct {
	layout
	tile
	Back, Newer, Older string
	File, Zip          string
	Record             string
	Fields             []field
}

// field is a row of the table of events.
type field struct {
	Name   string
	Values []string
}

func (s *server) picture(w http.ResponseWriter, r *http.Request) error {
	ctx, q, zone := r.Context(), r.URL.Query(), zone(r)
	what := search{most: 1, frames: true}
	k, err := parseKey(q.Get("id"))
	if err == nil {
		what.filter, err = parseFilter(q, zone)
	}
	if err != nil {
		return badRequest(err)
	}
	if err := s.index.refresh(ctx); err != nil {
		return err
	}
	faces, err := s.index.faces(ctx, k)
	if err != nil {
		return err
	}
	e := faces[0]
	all := url.Values{"show": {"frames"}}
	p := picturePage{layout: layout{"Picture", zone.String()}, tile: tiles(faces, all, zone)[0], Back: link("/", q), Record: e.ID.String()}
	p.Zip = "/zip?" + url.Values{"pick": {k.String()}}.Encode()
	if p.Image != "" {
		p.File = p.Image + "&download=1"
	}
	for i := range p.Faces {
		p.Faces[i].Link = cropLink(p.Faces[i].event)
	}
	for _, e := range faces {
		p.Fields = addFields(p.Fields, e.line)
	}
	for _, way := range []struct {
		to      *string
		face    int
		reverse bool
	}{{&p.Older, int(^uint(0) >> 1), false}, {&p.Newer, -1, true}} {
		what.past, what.reverse = &key{k.time, k.ID, way.face}, way.reverse
		got, err := s.index.find(ctx, what)
		if err != nil {
			return err
		}
		if len(got.events) > 0 {
			next := got.events[0].key()
			next.face = 0
			*way.to = link("/picture", q, "id", next.String())
		}
	}
	s.render(w, http.StatusOK, "picture", p)
	return nil
}

// addFields adds the fields of a line of events as a column.
func addFields(fields []field, line []byte) []field {
	column := 0
	if len(fields) > 0 {
		column = len(fields[0].Values)
	}
	add := func(name, value string) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.Name == name })
		if i < 0 {
			i = len(fields)
			fields = append(fields, field{Name: name})
		}
		for len(fields[i].Values) < column {
			fields[i].Values = append(fields[i].Values, "")
		}
		fields[i].Values = append(fields[i].Values, value)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var walk func(name string) error
	walk = func(name string) error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			for i := 0; d.More(); i++ {
				below := strconv.Itoa(i)
				if t == '{' {
					k, err := d.Token()
					if err != nil {
						return err
					}
					below = k.(string)
				}
				if err := walk(strings.TrimPrefix(name+"."+below, ".")); err != nil {
					return err
				}
			}
			_, err = d.Token()
			return err
		case nil:
			add(name, "null")
		default:
			add(name, fmt.Sprint(t))
		}
		return nil
	}
	_ = walk("")
	return fields
}

// checkName refuses what is not the name of a picture that a run stores: such a name
// cannot lead out of the output.
func checkName(name string) error {
	switch kind, _ := store.KindOf(name); kind {
	case store.KindPicture, store.KindAnnotated, store.KindFace:
		return nil
	}
	return &httpError{http.StatusNotFound, "there is no such picture"}
}

func (s *server) file(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("name")
	if err := checkName(name); err != nil {
		return err
	}
	data, err := s.index.read(r.Context(), name, maxPicture)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("download") {
		w.Header().Set("Content-Disposition", `attachment; filename="`+path.Base(name)+`"`) // it has safe characters only
	}
	sendJPEG(w, data)
	return nil
}

func sendJPEG(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Cache-Control", "private, max-age=3600, immutable")
	_, _ = w.Write(data)
}

func (s *server) cropped(w http.ResponseWriter, r *http.Request) error {
	name, text := r.URL.Query().Get("name"), r.URL.Query().Get("box")
	var box record.Box
	if n, err := fmt.Sscanf(text, "%d,%d,%d,%d", &box.X, &box.Y, &box.Width, &box.Height); n != 4 || err != nil {
		return badRequest(fmt.Errorf("box=%s: it must be four numbers", text))
	}
	const most = frame.MaxSide
	if b := box; b.X < 0 || b.Y < 0 || b.Width < 1 || b.Height < 1 || b.X > most || b.Y > most || b.Width > most || b.Height > most {
		return badRequest(fmt.Errorf("box=%s: there is no such box in a picture", text))
	}
	if err := checkName(name); err != nil {
		return err
	}
	id := fmt.Sprint(name, box)
	data, ok := s.crops.get(id)
	if !ok {
		picture, err := s.index.read(r.Context(), name, maxPicture)
		if err != nil {
			return err
		}
		select {
		case s.cropping <- struct{}{}:
		case <-r.Context().Done():
			return nil
		}
		data, err = s.crop(picture, box, cropMargin)
		<-s.cropping
		if err != nil {
			return &httpError{http.StatusUnprocessableEntity, "cutting the face out of " + name + ": " + err.Error()}
		}
		s.crops.put(id, data)
	}
	sendJPEG(w, data)
	return nil
}

// zip sends the clean pictures of some records and their events. What is missing is named
// in a file.
func (s *server) zip(w http.ResponseWriter, r *http.Request) error {
	ctx, picks := r.Context(), r.URL.Query()["pick"]
	if len(picks) == 0 || len(picks) > maxPicks {
		return badRequest(fmt.Errorf("%d pictures are chosen: it must be 1 to %d", len(picks), maxPicks))
	}
	var keys []key
	for _, pick := range picks {
		k, err := parseKey(pick)
		if err != nil {
			return badRequest(err)
		}
		if !slices.ContainsFunc(keys, func(l key) bool { return l.ID == k.ID }) {
			keys = append(keys, k)
		}
	}
	if err := s.index.refresh(ctx); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="faces.zip"`)
	w.Header().Set("Cache-Control", "no-store")
	out := zip.NewWriter(w)
	add := func(name string, data []byte) error {
		f, err := out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	}
	var lines, missing bytes.Buffer
	for _, k := range keys {
		faces, err := s.index.faces(ctx, k)
		if err != nil {
			fmt.Fprintf(&missing, "%s: %v\n", k.ID, err)
			continue
		}
		names := []string{cmp.Or(faces[0].Picture, faces[0].Annotated)}
		for _, e := range faces {
			lines.Write(e.line)
			if names[0] == "" {
				names = append(names, e.Crop)
			}
		}
		for _, name := range names {
			if name == "" {
				continue
			}
			err := checkName(name)
			var data []byte
			if err == nil {
				data, err = s.index.read(ctx, name, maxPicture)
			}
			if err != nil {
				fmt.Fprintf(&missing, "%s: %v\n", k.ID, err)
			} else if err := add(name, data); err != nil {
				return nil
			}
		}
	}
	if add("events.jsonl", lines.Bytes()) != nil {
		return nil
	}
	if missing.Len() > 0 && add("missing.txt", missing.Bytes()) != nil {
		return nil
	}
	_ = out.Close()
	return nil
}

// byteCount is a number of bytes for people.
func byteCount(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n), -1
	for ; value >= unit && i < 3; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGT"[i])
}
