package kafkaconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrSecurity is wrapped by what Explain has explained.
var ErrSecurity = errors.New("wrong security settings")

// explained is an error in the words of whoever has made the settings.
type explained struct {
	text string
	error
}

func (e explained) Error() string   { return e.text }
func (e explained) Unwrap() []error { return []error{ErrSecurity, e.error} }

// Explain returns an error of Kafka's client in a sentence on what is wrong and what would
// be right, if it is about security settings.
func Explain(err error) error {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var first *kgo.ErrFirstReadEOF
	text := ""
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = fmt.Sprintf("the broker's certificate is valid from %s to %s only: have it renewed, or set this machine's clock", invalid.Cert.NotBefore.UTC(), invalid.Cert.NotAfter.UTC())
	case errors.As(err, &host):
		text = fmt.Sprintf("the broker's certificate is not for %s: name the broker in --kafka and in advertised.listeners as its certificate does", host.Host)
	case errors.As(err, &unknown):
		text = "nobody whom " + trustLocationKey + " trusts has signed the broker's certificate: add who has signed it"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		text = "the broker does not take the user and the password in " + jaasKey
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		text = "the broker has another " + mechanismKey
	case errors.As(err, &record), errors.As(err, &first), strings.Contains(err.Error(), "TLS alert"):
		text = "the broker's listener has another " + protocolKey + " than --kafka_config says (PLAINTEXT without it), or --kafka names a port of something else"
	default:
		_, alert, ok := strings.Cut(err.Error(), "remote error: tls: ")
		if !ok {
			return err
		}
		text = fmt.Sprintf("the broker does not take the certificate in %s: %s", keyLocationKey, alert)
	}
	return explained{text, err}
}

// Unanswered adds to an error of the first question to Kafka what may be wrong, unless Explain
// has.
func Unanswered(err error) error {
	if errors.Is(err, ErrSecurity) {
		return err
	}
	return fmt.Errorf("%w (does Kafka run, and is this the address for --kafka?)", err)
}
