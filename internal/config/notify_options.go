package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"

	"facestream/internal/cli"
)

const (
	shortestSecret = 16
	encodedSecret  = "whsec_" // before one in base64
)

// notifyFlags say who is told of faces.
type notifyFlags struct{ url, secretFile string }

func (v *notifyFlags) add(f *flag.FlagSet) {
	f.StringVar(&v.url, "notify", "", "`URL` that gets a POST for each event of a face once its picture is stored and its window is kept, or @FILE with the URL, which keeps it out of the list of processes. Default: nobody is told.")
	f.StringVar(&v.secretFile, "notify_secret_file", "", "`FILE` with the secret that signs these requests.")
}

// check never shows more of the URL than its host.
func (v *notifyFlags) check(o *Options) (err error) {
	c := &o.Notify
	switch {
	case v.url == "" && v.secretFile != "":
		return errors.New("--notify_secret_file is for --notify: give that, too")
	case v.url == "":
		return nil
	}
	c.URL = v.url
	if file, ok := strings.CutPrefix(v.url, "@"); ok {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--notify: %w", err)
		}
		c.URL = strings.TrimSpace(string(data))
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || cli.AmbiguousAddress(c.URL) {
		return fmt.Errorf("--notify=%s: it must be a URL such as https://faces.example/hook, in which special characters of a password are escaped", cli.Address(c.URL))
	}
	if !o.Write.Events {
		return errors.New("--notify needs events: add events to --write")
	}
	if v.secretFile == "" {
		return nil
	}
	if c.Secret, err = os.ReadFile(v.secretFile); err != nil {
		return fmt.Errorf("--notify_secret_file: %w", err)
	}
	c.Secret = bytes.TrimSpace(c.Secret)
	if encoded, ok := bytes.CutPrefix(c.Secret, []byte(encodedSecret)); ok {
		if c.Secret, err = base64.StdEncoding.DecodeString(string(encoded)); err != nil {
			return fmt.Errorf("--notify_secret_file=%s: what stands behind %s is not base64", v.secretFile, encodedSecret)
		}
	}
	if len(c.Secret) < shortestSecret {
		return fmt.Errorf("--notify_secret_file=%s: the secret must have %d bytes or more; head -c 32 /dev/urandom | base64 makes one", v.secretFile, shortestSecret)
	}
	return nil
}
