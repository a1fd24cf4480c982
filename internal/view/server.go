package view

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"facestream/internal/cli"
	"facestream/internal/record"
)

const (
	facesOnPage   = 60
	maxPicture    = 64 << 20 // bytes of a picture that is shown
	maxPicks      = 500      // pictures in one zip
	cropsAtOnce   = 2        // each holds a picture's pixels
	cropMargin    = 0.2
	zoneCookie    = "tz"
	tokenCookie   = "facestream_token"
	tokenArgument = "token"
)

//go:embed web
var web embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"bytes": cli.ByteCount, "moment": momentOf, "dump": dump, "advice": func(reason string) string { return advice[reason] },
}).ParseFS(web, "web/*.html"))

type server struct {
	index  *index
	access access

	cropping *semaphore.Weighted
	mux      http.ServeMux
	lag      atomic.Value  // a text, if it is followed
	looked   chan struct{} // has one element if a page was asked for since the lag was
}

func newServer(ix *index, a access) *server {
	s := &server{index: ix, access: a, cropping: semaphore.NewWeighted(cropsAtOnce), looked: make(chan struct{}, 1)}
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"/{$}": s.grid, "/picture": s.picture, "/file": s.file, "/crop": s.cropped, "/zip": s.zip, "/rejects": s.rejects,
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
	Zone  *time.Location
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

// zone is that of the address, of the viewer, or UTC.
func zone(r *http.Request) *time.Location {
	name := r.URL.Query().Get(zoneCookie)
	if c, err := r.Cookie(zoneCookie); err == nil && name == "" {
		name, _ = url.QueryUnescape(c.Value)
	}
	z, err := time.LoadLocation(name)
	if err != nil || z == time.Local { // which is the server's
		return time.UTC
	}
	return z
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
	if !record.Dated(millis) {
		return moment{Local: "undated"}
	}
	t := time.UnixMilli(millis)
	return moment{t.UTC().Format(time.RFC3339Nano), t.In(zone).Format(time.DateTime), t.UTC().Format("2006-01-02 15:04:05.000 UTC")}
}

type tile struct {
	Key, Link, Image string
	Camera           string
	Time             moment
	Width, Height    int32
	Faces            []event
	Crop             bool // of one face
}

// Radius is that of a landmark, Stroke the width of a line, Letters the size of a text: all
// in pixels of the picture.
func (t tile) Radius() int32 { return max(2, t.Width/200) }

func (t tile) Stroke() int32 { return max(1, t.Width/320) }

func (t tile) Letters() int32 { return max(10, t.Width/36) }

// tiles makes a tile of each face, or of each frame.
func tiles(events []event, q url.Values, zone *time.Location) (all []tile) {
	frames := q.Get("show") == "frames"
	for _, e := range events {
		k := e.key()
		if frames {
			k.face = 0
		}
		if n := len(all); frames && n > 0 && all[n-1].Key == k.String() {
			all[n-1].Faces = append(all[n-1].Faces, e)
			continue
		}
		t := tile{
			Key: k.String(), Link: link("/picture", q, "id", k.String()), Image: e.Link(), Camera: e.Camera, Time: momentOf(e.time(), zone),
			Width: e.FrameWidth, Height: e.FrameHeight, Faces: []event{e}, Crop: !frames,
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
}

func (s *server) grid(w http.ResponseWriter, r *http.Request) (err error) {
	ctx, q, zone := r.Context(), r.URL.Query(), zone(r)
	p := gridPage{layout: layout{"Faces", zone}, Query: map[string]string{}}
	for _, name := range filterNames {
		p.Query[name] = q.Get(name)
	}
	q.Set(zoneCookie, zone.String())
	what := search{most: facesOnPage, frames: q.Get("show") == "frames"}
	if what.filter, err = parseFilter(q, zone); err != nil {
		return badRequest(err)
	}
	if next := q.Get("next"); next != "" {
		k, err := parseKey(next)
		if err != nil {
			return badRequest(err)
		}
		what.past, p.Newest = &k, link("/", q)
	}
	if err = s.index.refresh(ctx); err != nil {
		return err
	}
	found, next, err := s.index.find(ctx, what)
	if err != nil {
		return err
	}
	p.Tiles = tiles(found, q, zone)
	if next != nil {
		p.Next, p.Partial = link("/", q, "next", next.String()), len(p.Tiles) < facesOnPage
	}
	p.Cameras = slices.Sorted(slices.Values(s.index.names()))
	at := time.Now()
	switch {
	case what.from > 0:
		at = time.UnixMilli(what.from)
	case q.Get("to") != "":
		at = time.UnixMilli(what.to - 1)
	case len(found) > 0 && found[0].time() > 0:
		at = time.UnixMilli(found[0].time())
	}
	if p.Timeline, err = s.timeline(ctx, at.In(zone), q); err != nil {
		return err
	}
	if p.Counts = s.counts(); len(p.Counts.events) == 0 && p.Counts.Sum.Read > 0 {
		p.Notice = "No event was stored yet. Faces are shown by their events, which a run stores if --write has events, as by default."
	}
	s.render(w, http.StatusOK, "grid", p)
	return nil
}
