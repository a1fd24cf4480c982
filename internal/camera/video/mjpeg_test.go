package video

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"facestream/internal/testkit"
	"facestream/transforms/frame/frametest"
)

// camera serves one answer, and returns its URL.
func camera(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL + "/video"
}

// The very JPEGs come of whatever cameras send.
func TestMJPEG(t *testing.T) {
	var jpegs [][]byte
	for i := range 3 {
		jpegs = append(jpegs, frametest.JPEG(paint(64+16*i, 48)))
	}
	long := append([]byte("Content-Type: text/plain\r\n\r\n"), bytes.Repeat([]byte("- "), 100_000)...)
	for name, tt := range map[string]struct {
		kind   string // behind multipart/x-mixed-replace
		begin  string // before the first part
		before string // each part: %d is its length
		behind string // each part
		cut    int    // how many bytes each JPEG lacks
	}{
		"as written":             {"; boundary=frame", "", "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", "\r\n", 0},
		"no boundary at first":   {";boundary=123456789000000000000987654321", "Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", "Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", "\r\n--123456789000000000000987654321\r\n", 0},
		"nor a length":           {";boundary=arflebarfle", "Content-Type: image/jpeg\r\n\r\n", "Content-Type: image/jpeg\r\n\r\n", "\r\n--arflebarfle\r\n", 0},
		"no length":              {"; boundary=b", "", "--b\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"dashes in the header":   {"; boundary=--myboundary", "", "--myboundary\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"and once more":          {"; boundary=--myboundary", "", "----myboundary\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"only dashes":            {"; boundary=------", "", "--------\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"quoted":                 {`; charset=x; Boundary="a b:c" ; q=1`, "\r\n", "--a b:c\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"another than announced": {"; boundary=one", "", "--two\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"none announced":         {"", "", "--foo\r\nContent-type: image/jpeg\r\n\r\n", "\r\n", 0},
		"none at all at first":   {"", "Content-Type: image/jpeg\r\n\r\n", "Content-Type: image/jpeg\r\n\r\n", "\r\n--foo\r\n", 0},
		"without its dashes":     {"; boundary=SurveillanceFrame", "", "SurveillanceFrame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"only line feeds":        {"; boundary=f", "", "--f\nContent-Type: image/jpeg\nContent-Length: %d\n\n", "\n", 0},
		"nothing before it":      {"; boundary=frame", "", "--frame\r\nContent-Type: image/jpeg\r\n\r\n", "", 0},
		"no fields":              {"; boundary=frame", "", "--frame\r\n\r\n", "\r\n", 0},
		"other fields":           {"; boundary=frame", "Hello\r\n", "--frame\r\nX-Timestamp: 1\r\nContent-Length: %d\r\nX: y\r\n\r\n", "\r\n", 0},
		"length too small":       {"; boundary=frame", "", "--frame\r\nContent-Length: 7%.0d\r\n\r\n", "\r\n", 0},
		"length too large":       {"; boundary=frame", "", "--frame\r\nContent-Length: 9%d\r\n\r\n", "\r\n", 0},
		"length is no number":    {"; boundary=frame", "", "--frame\r\nContent-Length: x%d\r\n\r\n", "\r\n", 0},
		"without their end":      {"; boundary=frame", "", "--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 2},
		"nor a length that fits": {"; boundary=frame", "", "--frame\r\nContent-Length: %d\r\n\r\n", "\r\n", 2},
		"other things between":   {"; boundary=frame", "", "--frame\r\n" + string(long) + "\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n", 0},
		"a line before it":       {"; boundary=frame", "", "\r\n\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n", "\r\n\r\n", 0},
	} {
		var answer bytes.Buffer
		with := func(format string, size int) string {
			if strings.Contains(format, "%") {
				return fmt.Sprintf(format, size)
			}
			return format
		}
		want := make([][]byte, len(jpegs))
		for i, data := range jpegs {
			want[i] = data[:len(data)-tt.cut]
			before := tt.before
			if i == 0 && tt.begin != "" && strings.HasPrefix(tt.begin, "Content") {
				before = tt.begin
			} else if i == 0 {
				before = tt.begin + before
			}
			answer.WriteString(with(before, len(want[i])))
			answer.Write(want[i])
			answer.WriteString(tt.behind)
		}
		answer.WriteString(with(tt.before, 0)) // of one that never comes
		address := camera(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/x-mixed-replace"+tt.kind)
			for piece := range bytes.SplitAfterSeq(answer.Bytes(), []byte("e")) { // in many small packets
				w.Write(piece)
				w.(http.Flusher).Flush()
			}
		})
		source, err := OpenURL(t.Context(), address, 0, func(string) {})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range want {
			p, err := source.Next()
			if err != nil {
				t.Errorf("%s: picture %d: %v", name, i, err)
				break
			}
			// Of a line's end before the boundary nobody knows whether it is the picture's.
			if got := bytes.TrimRight(p.JPEG, "\r\n"); !bytes.Equal(got, want) || p.BGR != nil || p.Width != 64+16*i {
				t.Errorf("%s: picture %d has %d bytes, want %d", name, i, len(p.JPEG), len(want))
			}
		}
		source.Close()
	}
}

// A picture that is cut, wherever that is, costs none of its neighbours.
func TestMJPEGCut(t *testing.T) {
	whole, other := frametest.JPEG(paint(64, 48)), frametest.JPEG(paint(80, 48))
	for cut := range len(whole) {
		var answer bytes.Buffer
		for _, data := range [][]byte{other, whole[:cut], other, other} {
			fmt.Fprintf(&answer, "\r\n--b\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
		}
		found := 0
		for j := (&jpegs{from: iotest.OneByteReader(&answer)}); ; {
			data, _, err := j.next()
			if err != nil {
				break
			}
			if bytes.Equal(bytes.TrimRight(data, "\r\n"), other) {
				found++
			}
		}
		testkit.Equal(t, fmt.Sprintf("the others, beside one that is cut behind %d of %d bytes", cut, len(whole)), found, 3)
	}
}

// What is no motion JPEG is OpenCV's.
func TestStreamOfFile(t *testing.T) {
	source := testkit.Value(OpenURL(t.Context(), camera(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../../../testdata/faces.mp4")
	}), 0, func(string) {}))(t)
	defer source.Close()
	if p, err := source.Next(); err != nil || p.JPEG != nil || p.Width != 320 {
		t.Errorf("%d pixels wide: %v", p.Width, err)
	}
}

// A camera that answers with one picture is asked again and again. Other pictures are
// dropped and told of once; of a picture without an end no more than a limit is kept.
func TestMJPEGOdd(t *testing.T) {
	jpeg := frametest.JPEG(paint(64, 48))
	source := testkit.Value(OpenURL(t.Context(), camera(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg; x=y")
		w.Write(jpeg)
	}), 0, func(line string) { t.Error(line) }))(t)
	for range 3 {
		if p, err := source.Next(); err != nil || !bytes.Equal(p.JPEG, jpeg) {
			t.Errorf("%d bytes: %v", len(p.JPEG), err)
		}
	}
	source.Close()

	var said testkit.Notes
	bad := frametest.JPEGHeader(2000, frametest.Lossless, 8, 64, 48, 3)
	source = testkit.Value(OpenURL(t.Context(), camera(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		for _, data := range [][]byte{bad, bad, jpeg} {
			fmt.Fprintf(w, "--b\r\n\r\n%s\r\n", data)
		}
		fmt.Fprint(w, "--b\r\n\r\n")
		for err := error(nil); err == nil; { // until nobody reads it
			_, err = w.Write(make([]byte, 1<<20))
		}
	}), 0, said.Add))(t)
	defer source.Close()
	if p, err := source.Next(); err != nil || !bytes.Equal(p.JPEG, jpeg) || source.Dropped() != 2 || strings.Count(said.String(), "such pictures are dropped") != 1 {
		t.Errorf("%v, %d dropped, said %q", err, source.Dropped(), &said)
	}
	testkit.Await(t, "an end of the picture without one", func() bool { return strings.Contains(said.String(), "more than 67108864 bytes") })
}

// The examples of RFC 2617, 3.5, and RFC 7616, 3.9.1.
func TestDigest(t *testing.T) {
	request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/dir/index.html"}}
	for _, tt := range []struct{ challenge, password, once, want string }{
		{`realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			"Circle Of Life", "0a4f113b", `response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"`},
		{`realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"`,
			"Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", `response="8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5`},
		{`realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"`,
			"Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", `response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", algorithm=SHA-256`},
		{`realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`, "Circle Of Life", "", `response="670fd8c2df070c60b045671b8b24ff02"`}, // RFC 2069, with its erratum
	} {
		if got := digest(tt.challenge, "Mufasa", tt.password, tt.once, request); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: got %s, want %s", tt.challenge, got, tt.want)
		}
	}
}

// A camera gets the password in the way that it asks for, however that is written in the
// address; a wrong one is told of, and not shown.
func TestMJPEGPassword(t *testing.T) {
	const password = "p#a/s?s%@w rd:"
	jpeg := frametest.JPEG(paint(64, 48))
	for name, challenges := range map[string][]string{
		"basic":  {`Basic realm="camera"`},
		"digest": {`Digest realm="camera", nonce="abc", qop="auth"`},
		"both":   {`Basic realm="camera"`, `Digest realm="camera", nonce="abc", algorithm=MD5, stale=FALSE`},
		"a list": {`Basic realm="x", Digest realm="camera", nonce="abc", qop="auth", Digest realm="y", algorithm=SHA-256`},
		"others": {`Negotiate`, `Digest realm="x", algorithm=SHA-512-256, nonce="z"`, `digest realm="camera", nonce="abc", Basic realm="x"`},
	} {
		address := camera(t, func(w http.ResponseWriter, r *http.Request) {
			header := r.Header.Get("Authorization")
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+password))
			if name == "basic" && header == basic || name != "basic" && strings.HasPrefix(header, `Digest username="me", realm="camera", nonce="abc", uri="/video?x=1"`) {
				w.Header().Set("Content-Type", "image/jpeg")
				w.Write(jpeg)
				return
			}
			if name != "basic" && strings.HasPrefix(header, "Basic") {
				t.Errorf("%s: the password was sent", name)
			}
			for _, c := range challenges {
				w.Header().Add("WWW-Authenticate", c)
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		with := func(user string) string { return strings.Replace(address, "://", "://"+user, 1) + "?x=1" }
		source, err := OpenURL(t.Context(), with("me:p%23a%2Fs%3Fs%25%40w%20rd%3A@"), 0, func(string) {})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		testkit.Value(source.Next())(t)
		source.Close()
		_, err = OpenURL(t.Context(), with(""), 0, func(string) {})
		testkit.Says(t, name+", no password", err, "it asks for a password")
		if name == "basic" {
			_, err = OpenURL(t.Context(), with("me:wrong@"), 0, func(string) {})
			if err == nil || !strings.Contains(err.Error(), "401 Unauthorized: it does not take this user and password") || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s: a wrong password: %v", name, err)
			}
		}
	}
}
