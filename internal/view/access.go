package view

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
)

const shortestToken = 8

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// access says who may look.
type access struct {
	token      string // empty: everybody who reaches the address
	userHeader string // that a proxy sets; empty without one
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
	if onLoopback(host) {
		return true
	}
	s.fail(w, &httpError{http.StatusForbidden, "this page answers on this machine only, as 127.0.0.1 or localhost"})
	return false
}

func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
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

// check reads the token, and refuses to show faces to everybody.
func (a *access) check(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen=%s: it must be HOST:PORT, such as 127.0.0.1:8088", listen)
	}
	if file, ok := strings.CutPrefix(a.token, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--token: %w", err)
		}
		if a.token = strings.TrimSpace(string(data)); a.token == "" {
			return fmt.Errorf("--token=@%s: the file is empty", file)
		}
	}
	if a.token != "" && len(a.token) < shortestToken {
		return fmt.Errorf("--token: it must have %d characters or more", shortestToken)
	}
	if a.userHeader != "" && !headerName.MatchString(a.userHeader) {
		return fmt.Errorf("--user_header=%s: it must be the name of a header, such as X-Forwarded-User", a.userHeader)
	}
	if a.token != "" && a.userHeader != "" {
		return errors.New("--token and --user_header are both set: choose who says that somebody may look")
	}
	if !onLoopback(host) && a.token == "" && a.userHeader == "" {
		return fmt.Errorf("--listen=%s: others can reach this address, and the pages show faces: give --token, or --user_header behind a proxy, or listen on 127.0.0.1", listen)
	}
	return nil
}
