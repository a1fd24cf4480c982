package video

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"facestream/internal/wait"
	"facestream/transforms/frame"
)

const (
	maxPart       = frame.MaxRawBytes // bytes of a picture in a stream
	maxHead       = 4 << 10           // bytes between two of them
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
	jpegs  *jpegs // nil for one picture in each answer
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
		media, _, _ := strings.Cut(kind, ";")
		switch media = strings.ToLower(strings.TrimSpace(media)); {
		case strings.HasPrefix(media, "multipart/"):
			m.jpegs = &jpegs{from: m.body}
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
	if m.jpegs != nil {
		return m.jpegs.next()
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

// jpegs reads the JPEGs of a multipart answer by their own markers (ITU-T T.81, table B.1),
// since cameras write what stands between them in ways that RFC 2046 does not know: without a
// first boundary, with another one than they announce, or with a wrong length.
type jpegs struct {
	from io.Reader
	read []byte // what was read last
	buf  []byte // what was read and not returned
	// segment is where the last segment with a length began, behind which a marker must
	// follow; 0 inside of the picture's own data.
	segment int
}

const (
	firstMarker         = 0xC0
	firstOfApplications = 0xE0 // whose segments may have a JPEG in them, such as Exif's
	markerBegin         = 0xD8
	markerScan          = 0xDA
	markerEnd           = 0xD9
	lastRestart         = 0xD7 // of the markers without a length
	firstSingle         = 0xD0
)

// jpegBegin is how each JPEG begins.
var jpegBegin = []byte{0xFF, markerBegin, 0xFF}

// next returns the next JPEG, and when its first bytes were there.
func (j *jpegs) next() (data []byte, taken time.Time, err error) {
	for passed := 0; !bytes.HasPrefix(j.buf, jpegBegin); {
		if i := bytes.Index(j.buf, jpegBegin); i >= 0 {
			j.buf = j.buf[i:]
			break
		}
		none := max(0, len(j.buf)-len(jpegBegin)+1)
		if j.buf, passed = j.buf[none:], passed+none; passed > maxPart {
			return nil, taken, errTooLarge
		}
		if err := j.fill(); err != nil {
			return nil, taken, err
		}
	}
	taken = time.Now()
	j.segment = len(jpegBegin) - 1
	for at := j.segment; ; {
		at, data = j.walk(at)
		if data != nil {
			return data, taken, nil
		}
		if len(j.buf) > maxPart {
			return nil, taken, errTooLarge
		}
		if err := j.fill(); err != nil {
			if data = j.cutShort(); data == nil && withoutBoundary(j.buf) < len(j.buf) {
				data = j.cut(withoutBoundary(j.buf))
			}
			if data == nil {
				return nil, taken, err
			}
			return data, taken, nil
		}
	}
}

// walk goes from one marker of the first JPEG to the next, and takes the JPEG off the buffer
// if it is whole. Else it returns where to go on with more of it.
func (j *jpegs) walk(at int) (next int, data []byte) {
	for at < len(j.buf) {
		if j.segment > 0 && at > j.segment && (j.buf[at] != 0xFF ||
			j.buf[j.segment+1] < firstOfApplications && bytes.Contains(j.buf[j.segment:at+1], jpegBegin)) { // the picture was cut
			return at, j.cutShort()
		}
		i := bytes.IndexByte(j.buf[at:], 0xFF)
		if i < 0 {
			return len(j.buf), nil
		}
		at += i
		if len(j.buf) < at+4 && !bytes.HasPrefix(j.buf[at:], jpegEnd) {
			return at, nil
		}
		switch marker := j.buf[at+1]; {
		case marker == markerEnd:
			return 0, j.cut(at + 2)
		case marker == markerBegin: // of the next one: cheap cameras leave the end out
			return 0, j.cut(withoutBoundary(j.buf[:at]))
		case marker == 0xFF: // filling
			at++
		case marker < firstMarker && j.segment > 0: // the picture was cut
			return at, j.cutShort()
		case marker < firstMarker, marker >= firstSingle && marker <= lastRestart: // of the picture's own data
			at += 2
		case marker == markerScan:
			at, j.segment = at+2, 0
		default:
			j.segment = at
			at += 2 + int(binary.BigEndian.Uint16(j.buf[at+2:]))
		}
	}
	return at, nil
}

// cutShort takes a JPEG off the buffer whose last segment is not whole, if another follows.
func (j *jpegs) cutShort() []byte {
	i := bytes.Index(j.buf[j.segment:], jpegBegin)
	if j.segment == 0 || i < 0 {
		return nil
	}
	return j.cut(withoutBoundary(j.buf[:j.segment+i]))
}

// jpegEnd is the marker of a JPEG's end.
var jpegEnd = []byte{0xFF, markerEnd}

// withoutBoundary returns how long a JPEG is behind which a boundary and the fields of the next
// part follow.
func withoutBoundary(data []byte) int {
	if i := bytes.LastIndex(data, []byte("\n--")); i >= len(data)-maxHead {
		data = bytes.TrimSuffix(data[:i], []byte("\r"))
	}
	return len(data)
}

// cut takes the first bytes off the buffer.
func (j *jpegs) cut(n int) []byte {
	data := j.buf[:n:n]
	j.buf = bytes.Clone(j.buf[n:])
	return data
}

// fill reads more.
func (j *jpegs) fill() error {
	if j.read == nil {
		j.read = make([]byte, readStep)
	}
	n, err := j.from.Read(j.read)
	if j.buf = append(j.buf, j.read[:n]...); n > 0 {
		return nil
	}
	return err
}
