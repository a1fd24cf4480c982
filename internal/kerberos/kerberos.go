// Package kerberos logs in with a keytab or with the ticket cache.
package kerberos

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// What errors that may pass wrap: a KDC comes back, and somebody else gets a ticket.
var (
	ErrNoKDC    = errors.New("no KDC answers: see kdc in the settings of Kerberos")
	ErrNoTicket = errors.New("get a ticket with kinit, or give --kerberos_principal and --kerberos_keytab")
)

// Login says who logs in.
type Login struct {
	Principal string // NAME or NAME/HOST, maybe with @REALM. Of the ticket cache if Keytab is empty.
	Keytab    string // a file; empty is the ticket cache
	Config    string // krb5.conf; empty is that of this process
}

// config returns the path of krb5.conf.
func (l Login) config() string {
	if l.Config != "" {
		return l.Config
	}
	for _, file := range strings.Split(os.Getenv("KRB5_CONFIG"), ":") {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return cmp.Or(os.Getenv("KRB5_CONFIG"), "/etc/krb5.conf")
}

// User is the first part of the principal, the user that Hadoop makes of it.
func (l Login) User() (string, error) {
	principal := l.Principal
	if l.Keytab == "" {
		c, err := l.Client()
		if err != nil {
			return "", err
		}
		defer c.Destroy()
		principal = c.Credentials.UserName()
	} else if _, _, err := l.read(); err != nil {
		return "", err
	}
	user, _, _ := strings.Cut(principal, "@")
	if user, _, _ = strings.Cut(user, "/"); user == "" {
		return "", fmt.Errorf("the principal %q has no name: it must be NAME@REALM", principal)
	}
	return user, nil
}

// read reads the settings of Kerberos and the keytab, if there is one.
func (l Login) read() (*config.Config, *keytab.Keytab, error) {
	conf, err := config.Load(l.config())
	if err != nil {
		return nil, nil, fmt.Errorf("reading Kerberos's settings: %w; $KRB5_CONFIG names the file", err)
	}
	if l.Keytab == "" {
		return conf, nil, nil
	}
	keys, err := keytab.Load(l.Keytab)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the keytab %s: %w (ktutil or kadmin's ktadd make one)", l.Keytab, err)
	}
	return conf, keys, nil
}

// Client logs in. A client is for one connection: each logs in anew, so that tickets need no
// renewal. Destroy ends what it leaves behind.
func (l Login) Client() (*client.Client, error) {
	conf, keys, err := l.read()
	if err != nil {
		return nil, err
	}
	if l.Keytab == "" {
		return fromCache(conf)
	}
	name, realm, ok := strings.Cut(l.Principal, "@")
	if !ok {
		realm = conf.LibDefaults.DefaultRealm
	}
	c := client.NewWithKeytab(name, realm, keys, conf, client.DisablePAFXFAST(true))
	if err := c.Login(); err != nil {
		c.Destroy()
		return nil, fmt.Errorf("logging in as %s@%s with %s, by %s: %w", name, realm, l.Keytab, l.config(), explain(err))
	}
	return c, nil
}

// fromCache takes the ticket that kinit has got.
func fromCache(conf *config.Config) (*client.Client, error) {
	file := cmp.Or(os.Getenv("KRB5CCNAME"), fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid()))
	file = strings.TrimPrefix(file, "FILE:")
	if kind, _, ok := strings.Cut(file, ":"); ok && !strings.Contains(kind, "/") {
		return nil, fmt.Errorf("$KRB5CCNAME=%s: only a ticket cache that is a file can be read: set it to FILE:PATH before kinit", file)
	}
	cache, err := credentials.LoadCCache(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no ticket cache %s ($KRB5CCNAME): %w", file, ErrNoTicket)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ticket cache %s: %w", file, err)
	}
	c, err := client.NewFromCCache(cache, conf, client.DisablePAFXFAST(true))
	if err == nil {
		err = c.Login() // says whether the ticket is still good
	}
	if err != nil {
		return nil, fmt.Errorf("the ticket cache %s has no ticket that is good now: %w: %w", file, ErrNoTicket, err)
	}
	return c, nil
}

// meanings are what the library's errors mean, which wrap none.
var meanings = []struct{ said, means string }{
	{"KDC_ERR_C_PRINCIPAL_UNKNOWN", "the KDC does not know this principal"},
	{"KDC_ERR_PREAUTH_FAILED", "the KDC does not take the key in the keytab: the key was changed, have a new keytab made"},
	{"matching key not found in keytab", "the keytab has no key of this principal that the KDC takes: klist -ket tells what is in it"},
	{"KRB_AP_ERR_SKEW", "this machine's clock and the KDC's differ by too much"},
}

// explain returns an error in words that say what to do.
func explain(err error) error {
	for _, m := range meanings {
		if strings.Contains(err.Error(), m.said) {
			return errors.New(m.means)
		}
	}
	if strings.Contains(err.Error(), "Networking_Error") {
		return ErrNoKDC
	}
	return err
}
