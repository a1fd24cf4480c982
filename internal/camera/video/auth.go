package video

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// hashes are those of digest authentication. Cameras know the first.
var hashes = map[string]func() hash.Hash{"": md5.New, "MD5": md5.New, "SHA-256": sha256.New}

// authParam is a parameter of a challenge, whose value is quoted or not.
var authParam = regexp.MustCompile(`([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`)

// authorize returns the header that answers a server's challenges by RFC 7616 or 7617, and
// "" if it asks for what is not known here. The password itself is sent only to who asks
// for nothing better. A line may have several challenges.
func authorize(challenges []string, user *url.Userinfo, request *http.Request) string {
	password, _ := user.Password()
	for _, challenge := range challenges {
		for _, part := range digests.Split(challenge, -1)[1:] {
			if answer := digest(part, user.Username(), password, rand.Text(), request); answer != "" {
				return answer
			}
		}
	}
	if strings.Contains(strings.ToLower(strings.Join(challenges, " ")), "basic ") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	}
	return ""
}

// digests is how a challenge begins that wants no password.
var digests = regexp.MustCompile(`(?i)\bdigest\s`)

// digest answers one challenge, if it knows the algorithm, with what is used once only.
func digest(challenge, name, password, once string, request *http.Request) string {
	given := map[string]string{}
	for _, m := range authParam.FindAllStringSubmatch(challenge, -1) {
		if name := strings.ToLower(m[1]); given[name] == "" { // else it is another challenge's
			given[name] = m[2] + m[3]
		}
	}
	algorithm, session := strings.CutSuffix(strings.ToUpper(given["algorithm"]), "-SESS")
	newHash, ok := hashes[algorithm]
	if !ok {
		return ""
	}
	of := func(parts ...string) string {
		h := newHash()
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	const count = "00000001"
	uri := request.URL.RequestURI()
	secret := of(name, given["realm"], password)
	if session {
		secret = of(secret, given["nonce"], once)
	}
	what := of(request.Method, uri)
	answer := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, quoted.Replace(name), given["realm"], given["nonce"], uri)
	response := of(secret, given["nonce"], what)
	if given["qop"] != "" { // auth, or a list with it
		response = of(secret, given["nonce"], count, once, "auth", what)
		answer += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s"`, count, once)
	}
	answer += fmt.Sprintf(`, response="%s"`, response)
	if algorithm := given["algorithm"]; algorithm != "" {
		answer += ", algorithm=" + algorithm
	}
	if opaque, ok := given["opaque"]; ok {
		answer += fmt.Sprintf(`, opaque="%s"`, opaque)
	}
	return answer
}

// quoted escapes a name for a header.
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
