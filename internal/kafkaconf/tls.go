package kafkaconf

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

const (
	pemType     = "PEM"
	certificate = "CERTIFICATE" // of PEM
	privateKey  = "PRIVATE KEY"
	jksMagic    = "\xfe\xed\xfe\xed" // the type JKS may also be PKCS#12, in Java, too
)

// tlsConfig returns what to trust, and what to show to a broker that asks for it.
func (c *Config) tlsConfig() (*tls.Config, error) {
	if id, ok := c.settings[identificationKey]; ok && id != "https" {
		return nil, fmt.Errorf("%s=%s: it must be https, or anybody with a certificate could pass for the broker", identificationKey, id)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if out.RootCAs, err = c.trusted(); err != nil {
		return nil, err
	}
	own, err := c.own()
	if own != nil {
		out.Certificates = []tls.Certificate{*own}
	}
	return out, err
}

// trusted returns the certificates of the trust store; nil stands for the system's.
func (c *Config) trusted() (*x509.CertPool, error) {
	texts, file := c.settings[trustCertificateKey], c.settings[trustLocationKey]
	if texts == "" && file == "" {
		return nil, nil
	}
	data, key := []byte(texts), trustCertificateKey
	if texts == "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("%s: %w", trustLocationKey, err)
		}
		key = trustLocationKey + "=" + file
	}
	if c.settings[trustTypeKey] != pemType {
		var err error
		if data, err = fromStore(data, false, c.settings[trustPasswordKey], ""); err != nil {
			return nil, fmt.Errorf("%s: %w (%s is its password, %s is JKS, PKCS12 or PEM)", key, err, trustPasswordKey, trustTypeKey)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pemLines(data)) {
		return nil, fmt.Errorf("%s holds no certificate to trust (%s is JKS, PKCS12 or PEM)", key, trustTypeKey)
	}
	return pool, nil
}

// pemBorder is where a block of PEM begins or ends.
var pemBorder = regexp.MustCompile(`\s*-----(BEGIN|END) [A-Z0-9 ]+-----\s*`)

// pemLines puts what begins and ends a block of PEM into lines of their own, which Kafka's
// clients in Java do not need.
func pemLines(text []byte) []byte {
	return pemBorder.ReplaceAllFunc(text, func(border []byte) []byte {
		return []byte("\n" + string(bytes.TrimSpace(border)) + "\n")
	})
}

// own returns the client's key and certificates, nil if there are none.
func (c *Config) own() (*tls.Certificate, error) {
	s := c.settings
	file, chain, key := s[keyLocationKey], []byte(s[keyChainKey]), []byte(s[keyKey])
	if file == "" && s[keyKey] == "" {
		return nil, nil
	}
	where := keyKey + " and " + keyChainKey
	var err error
	if file != "" {
		where = keyLocationKey + "=" + file
		if key, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("%s: %w", keyLocationKey, err)
		}
		chain = key
	}
	if s[keyTypeKey] != pemType {
		if key, err = fromStore(key, true, s[keyStorePasswordKey], s[keyPasswordKey]); err != nil {
			return nil, fmt.Errorf("%s: %w (%s is its password, %s is JKS, PKCS12 or PEM)", where, err, keyStorePasswordKey, keyTypeKey)
		}
		chain = key
	}
	if bytes.Contains(key, []byte("ENCRYPTED PRIVATE KEY")) {
		return nil, fmt.Errorf("%s: a key in PEM with a password cannot be read: put it into a PKCS12 store, or decrypt it with openssl pkey", where)
	}
	if !bytes.Contains(key, []byte("-----BEGIN PRIVATE KEY-----")) {
		return nil, fmt.Errorf("%s: it must have -----BEGIN PRIVATE KEY-----, which is all that Kafka's clients in Java read: openssl pkcs8 -topk8 -nocrypt makes it of others", where)
	}
	cert, err := tls.X509KeyPair(pemLines(chain), pemLines(key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return &cert, nil
}

// fromStore returns as PEM what a store of Java's holds: the certificates that are trusted or,
// if own, a key with its certificates.
func fromStore(data []byte, own bool, password, keyPassword string) ([]byte, error) {
	var out bytes.Buffer
	add := func(kind string, der []byte) { _ = pem.Encode(&out, &pem.Block{Type: kind, Bytes: der}) }
	if !bytes.HasPrefix(data, []byte(jksMagic)) {
		if !own {
			certs, err := pkcs12.DecodeTrustStore(data, password)
			for _, c := range certs {
				add(certificate, c.Raw)
			}
			return out.Bytes(), err
		}
		key, cert, issuers, err := pkcs12.DecodeChain(data, password)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		add(privateKey, der)
		for _, c := range append([]*x509.Certificate{cert}, issuers...) {
			add(certificate, c.Raw)
		}
		return out.Bytes(), err
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return nil, err
	}
	for _, alias := range store.Aliases() {
		switch {
		case own && store.IsPrivateKeyEntry(alias):
			entry, err := store.GetPrivateKeyEntry(alias, []byte(cmp.Or(keyPassword, password)))
			if err != nil {
				return nil, err
			}
			add(privateKey, entry.PrivateKey)
			for _, c := range entry.CertificateChain {
				add(certificate, c.Content)
			}
			return out.Bytes(), nil
		case !own && store.IsTrustedCertificateEntry(alias):
			entry, err := store.GetTrustedCertificateEntry(alias)
			if err != nil {
				return nil, err
			}
			add(certificate, entry.Certificate.Content)
		}
	}
	if own {
		return nil, errors.New("it holds no key")
	}
	return out.Bytes(), nil
}
