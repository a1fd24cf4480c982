package video

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"facestream/internal/wait"
	"facestream/transforms/frame"
)

const (
	maxPart       = frame.MaxRawBytes // bytes of a picture in a stream
	maxLine       = 4 << 10           // bytes of a line between two of them
	readStep      = 32 << 10
	snapshotEvery = 100 * time.Millisecond // of a camera that answers with one picture
)

// mjpeg is a connection to a camera that sends JPEGs over HTTP, one after another in one
// answer (multipart/x-mixed-replace), or one in each.
type mjpeg struct {
	stream *stream
	ctx    context.Context
	cancel context.CancelFunc
	timer  *time.Timer // calls cancel when no picture has come for the limit
	limit  time.Duration
	url    *url.URL // without user and password
	user   *url.Userinfo
	body   io.ReadCloser
	parts  *parts // nil for one picture in each answer
	count  int
	last   time.Time // when that was asked for
}

// openMJPEG connects to a camera. Without an error, it returns nil if the answer is of
// another kind, which OpenCV may know.
func openMJPEG(s *stream, u *url.URL, limit time.Duration) (player, error) {
	bare := *u
	bare.User = nil
	m := &mjpeg{stream: s, limit: limit, url: &bare, user: u.User}
	m.ctx, m.cancel = context.WithCancel(s.ctx)
	m.timer = time.AfterFunc(limit, m.cancel)
	kind, err := m.get()
	if err == nil {
		media, params, _ := strings.Cut(kind, ";")
		switch media = strings.ToLower(strings.TrimSpace(media)); {
		case strings.HasPrefix(media, "multipart/"):
			m.parts = newParts(m.body, params)
			return m, nil
		case media == "image/jpeg" || media == "image/jpg":
			return m, nil
		}
	}
	m.close()
	return nil, err
}

// get asks the camera for its pictures, again with the password if it wants that, and
// returns their content type.
func (m *mjpeg) get() (kind string, err error) {
	response, err := m.ask("")
	if err == nil && response.StatusCode == http.StatusUnauthorized && m.user != nil {
		to := response.Request.URL // which may be another's
		answer := authorize(response.Header.Values("WWW-Authenticate"), m.user, response.Request)
		if answer != "" && to.Host == m.url.Host && (to.Scheme == "https" || m.url.Scheme == "http") {
			response.Body.Close()
			m.url = to
			response, err = m.ask(answer)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot open it: %w", err)
	case response.StatusCode == http.StatusOK:
		m.body = response.Body
		return response.Header.Get("Content-Type"), nil
	}
	response.Body.Close()
	do := ""
	if response.StatusCode == http.StatusUnauthorized {
		do = ": it does not take this user and password; " + escapes
		if m.user == nil {
			do = ": it asks for a password: write http://USER:PASSWORD@HOST/PATH"
		}
	}
	return "", fmt.Errorf("cannot open it: the camera answers %s%s", response.Status, do)
}

// ask sends one request.
func (m *mjpeg) ask(authorization string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(m.ctx, http.MethodGet, m.url.String(), nil)
	if err != nil {
		return nil, errors.New("it is no address for HTTP")
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := client.Do(request)
	if bad, ok := errors.AsType[*url.Error](err); ok { // which has the address in it
		err = bad.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = fmt.Errorf("%w: name a file with the camera's certificate in the environment variable SSL_CERT_FILE", err)
	}
	return response, err
}

// client keeps nothing and unpacks nothing: a stream is one long answer.
var client = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment, DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: readStep,
}}

// read returns the next JPEG.
func (m *mjpeg) read() (Picture, error) {
	m.timer.Reset(m.limit)
	for {
		data, taken, err := m.next()
		if m.ctx.Err() != nil && m.stream.ctx.Err() == nil {
			return Picture{}, errNoPicture
		}
		if err != nil {
			return Picture{}, err
		}
		if !frame.HasMagic(frame.JPEG, data) { // cameras put other things between
			continue
		}
		p, err := open(fmt.Sprintf("frame %d of %s", m.count, m.stream.name), data)
		if err != nil {
			m.stream.skip(err)
			continue
		}
		m.count++
		p.Taken = taken
		return p, nil
	}
}

// next returns what comes next, and when it began to come.
func (m *mjpeg) next() (data []byte, taken time.Time, err error) {
	if m.parts != nil {
		return m.parts.next()
	}
	if m.body == nil {
		if err := wait.Sleep(m.ctx, time.Until(m.last.Add(snapshotEvery))); err != nil {
			return nil, taken, err
		}
		if _, err := m.get(); err != nil {
			return nil, taken, err
		}
	}
	m.last = time.Now()
	data, err = io.ReadAll(io.LimitReader(m.body, maxPart+1))
	if len(data) > maxPart {
		err = errTooLarge
	}
	m.body.Close()
	m.body = nil
	return data, m.last, err
}

// close ends the connection.
func (m *mjpeg) close() error {
	m.timer.Stop()
	m.cancel()
	if m.body != nil {
		m.body.Close() // which was cancelled
	}
	return nil
}

var errTooLarge = fmt.Errorf("a picture has more than %d bytes", maxPart)

// parts reads the parts of a multipart answer as browsers do, whatever cameras make of
// RFC 2046: the first part may come without a boundary, the boundary with or without its
// dashes, and the length may be missing or wrong.
type parts struct {
	from     io.Reader
	read     []byte // what was read last
	buf      []byte // what was read and not returned
	boundary string // without dashes before it; empty until it is known
	dashes   int    // which it has at least
	begun    bool
}

// newParts takes the parameters of a content type, which cameras seldom quote.
func newParts(from io.Reader, params string) *parts {
	p := &parts{from: from, dashes: len("--")}
	for param := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(param, "="); strings.EqualFold(strings.TrimSpace(name), "boundary") {
			p.boundary = undashed(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return p
}

// undashed returns a boundary without its dashes, unless it has nothing else.
func undashed(boundary string) string {
	if bare := strings.TrimLeft(boundary, "-"); bare != "" {
		return bare
	}
	return boundary
}

// next returns the next part, and when its first byte was there.
func (p *parts) next() (data []byte, taken time.Time, err error) {
	length, err := p.head()
	if err != nil {
		return nil, taken, err
	}
	taken = time.Now()
	data, err = p.data(length)
	return data, taken, err
}

// head reads up to the empty line behind a part's fields, and returns the length that they
// say, or 0.
func (p *parts) head() (length int, err error) {
	inside := false // behind a boundary, or fields without one
	for {
		line, err := p.line()
		if err != nil {
			return 0, err
		}
		text := strings.TrimRight(string(line), " \t\r\n")
		name, value, isField := strings.Cut(text, ":")
		switch {
		case text == "" && inside:
			p.begun = true
			return length, nil
		case isField && (inside || strings.HasPrefix(strings.ToLower(text), "content-")):
			inside = true
			if strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
				length, _ = strconv.Atoi(strings.TrimSpace(value))
			}
		case inside:
		case p.boundary != "" && strings.HasPrefix(strings.TrimLeft(text, "-"), strings.TrimLeft(p.boundary, "-")):
			inside = true
			if !strings.HasPrefix(text, "-") { // some announce one, and leave its dashes out
				p.dashes = 0
			}
		case strings.HasPrefix(text, "--") && (!p.begun || p.boundary == ""): // not what was announced
			p.boundary, inside = undashed(text), true
		}
	}
}

// line returns the next line with its end.
func (p *parts) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(p.buf, '\n'); i >= 0 {
			line := p.buf[:i+1]
			p.buf = p.buf[i+1:]
			return line, nil
		}
		if len(p.buf) > maxLine { // of what is no line
			p.buf = p.buf[len(p.buf)-1:]
		}
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
}

// data returns a part up to the boundary behind it or, if it has the length that was said
// and a JPEG's end, without waiting for that.
func (p *parts) data(length int) ([]byte, error) {
	for searched := 0; ; {
		if end, ok := p.end(searched); ok {
			return p.cut(end), nil
		}
		if length > 0 && len(p.buf) >= length && bytes.HasSuffix(p.buf[:length], jpegEnd) {
			return p.cut(length), nil
		}
		if len(p.buf) > maxPart {
			return nil, errTooLarge
		}
		searched = max(0, len(p.buf)-len(p.boundary)-maxLine)
		if err := p.fill(); err != nil {
			if length > 0 && len(p.buf) >= length {
				return p.cut(length), nil
			}
			if bytes.HasSuffix(p.buf, jpegEnd) {
				return p.cut(len(p.buf)), nil
			}
			return nil, err
		}
	}
}

// jpegEnd is the marker of a JPEG's end.
var jpegEnd = []byte{0xFF, 0xD9}

// end returns where a part ends that has a boundary behind it, from a place on. Before the
// boundary are dashes, and before those the end of a line or of a JPEG.
func (p *parts) end(from int) (end int, ok bool) {
	if p.boundary == "" { // nobody has said it
		for _, behind := range []string{"--", "\r\n--", "\n--"} {
			if i := bytes.Index(p.buf[from:], append(jpegEnd[:len(jpegEnd):len(jpegEnd)], behind...)); i >= 0 {
				return from + i + len(jpegEnd), true
			}
		}
		return 0, false
	}
	for {
		i := bytes.Index(p.buf[from:], []byte(p.boundary))
		if i < 0 {
			return 0, false
		}
		end = len(bytes.TrimRight(p.buf[:from+i], "-"))
		dashes := from + i - end
		from += i + 1
		before := p.buf[:end]
		switch {
		case dashes < p.dashes && p.boundary[0] != '-':
		case bytes.HasSuffix(before, []byte("\r\n")):
			return end - 2, true
		case bytes.HasSuffix(before, []byte("\n")):
			return end - 1, true
		case bytes.HasSuffix(before, jpegEnd):
			return end, true
		}
	}
}

// cut takes the first bytes off the buffer.
func (p *parts) cut(n int) []byte {
	data := p.buf[:n:n]
	p.buf = append([]byte(nil), p.buf[n:]...)
	return data
}

// fill reads more.
func (p *parts) fill() error {
	if p.read == nil {
		p.read = make([]byte, readStep)
	}
	n, err := p.from.Read(p.read)
	if p.buf = append(p.buf, p.read[:n]...); n > 0 {
		return nil
	}
	return err
}
