package cli

import (
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	scheme    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)
	flagValue = regexp.MustCompile(`(?s)^--?[a-z_]+=(.*)$`)
	addresses = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S+`)
)

// Scheme returns what stands before :// in an address, if it is one.
func Scheme(address string) string {
	if before, _, ok := strings.Cut(address, "://"); ok && scheme.MatchString(before) {
		return before
	}
	return ""
}

// Address returns an address as it may be shown: scheme, host and port. Passwords stand
// before the host, in the path or in the query, so the rest is left out, and of one that
// may be read in two ways all but the scheme. What is no address stays, unless it could
// be one without a scheme.
func Address(address string) string {
	before := Scheme(address)
	if before == "" {
		if strings.ContainsAny(address, "@=?&#") || strings.Contains(address, "://") {
			return "..."
		}
		return address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || AmbiguousAddress(address) {
		return before + "://..."
	}
	return before + "://" + u.Host
}

// AmbiguousAddress reports whether a part of an address could belong to its password: an
// @ behind the first / ? or #, a # anywhere, or a space.
func AmbiguousAddress(address string) bool {
	_, rest, _ := strings.Cut(address, "://")
	tail := ""
	if i := strings.IndexAny(rest, `/?#\`); i >= 0 {
		tail = rest[i:]
	}
	return strings.ContainsAny(tail, "@\\") || strings.ContainsAny(rest, "# \t\r\n")
}

// ofOutput is the address of a folder of HDFS, which may have a user and has no password.
var ofOutput = regexp.MustCompile(`^(?i)hdfs://([^:/@]*@)?[^:/@]*(:[0-9]+)?(/|$|: )`)

// Redact returns a text without the passwords of the addresses in it.
func Redact(text string) string {
	return addresses.ReplaceAllStringFunc(text, func(address string) string {
		if ofOutput.MatchString(address) || !strings.ContainsAny(address, "@=") && !strings.HasPrefix(strings.ToLower(address), "rtsp") {
			return address
		}
		end := ""
		if strings.HasSuffix(address, ":") { // of "opening rtsp://host: no route"
			end = ":"
		}
		return Address(strings.TrimSuffix(address, ":")) + end
	})
}

// redacted is a writer of texts that may have passwords in them.
type redacted struct {
	io.Writer
	args *strings.Replacer // what was given on the command line and has one
}

func (r redacted) Write(p []byte) (int, error) {
	if _, err := r.Writer.Write([]byte(Redact(r.args.Replace(string(p))))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// redact returns a writer that shows no password of the arguments, whatever was wrong with
// them.
func redact(w io.Writer, args []string) redacted {
	var pairs []string
	for _, arg := range args {
		texts := []string{strings.TrimLeft(arg, "-")}
		if m := flagValue.FindStringSubmatch(arg); m != nil {
			texts = m[1:] // the flag's name may be shown
		} else if _, value, ok := strings.Cut(arg, "="); ok {
			texts = append(texts, value)
		}
		for _, text := range texts {
			if mayHavePassword(text) {
				pairs = append(pairs, text, Address(text), strings.Trim(strconv.Quote(text), `"`), Address(text))
			}
		}
	}
	return redacted{w, strings.NewReplacer(pairs...)}
}

// mayHavePassword reports whether an argument is the address of a camera, or could be
// meant as one.
func mayHavePassword(arg string) bool {
	if ofOutput.MatchString(arg) {
		return false
	}
	kind := strings.ToLower(Scheme(arg))
	return strings.HasPrefix(kind, "rtsp") || strings.HasPrefix(kind, "http") || kind == "" && strings.Contains(arg, "://") ||
		strings.Contains(arg, ":") && strings.Contains(arg, "@") || strings.ContainsAny(arg, "?&") && strings.Contains(arg, "=")
}
