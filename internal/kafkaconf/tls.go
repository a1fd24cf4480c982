package kafkaconf

import (
	"bytes"
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
	pemType  = "PEM"
	jksMagic = "\xfe\xed\xfe\xed" // the type JKS may also be PKCS#12, in Java, too
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
	pool, found := x509.NewCertPool(), false
	if c.settings[trustTypeKey] == pemType {
		found = pool.AppendCertsFromPEM(pemLines(data))
	} else {
		certs, err := storeCertificates(data, c.settings[trustPasswordKey])
		if err != nil {
			return nil, fmt.Errorf("%s: %w (%s is its password, %s is JKS, PKCS12 or PEM)", key, err, trustPasswordKey, trustTypeKey)
		}
		for _, cert := range certs {
			found = true
			pool.AddCert(cert)
		}
	}
	if !found {
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

// storeCertificates returns the trusted certificates of a trust store of Java's.
func storeCertificates(data []byte, password string) (certs []*x509.Certificate, err error) {
	if !bytes.HasPrefix(data, []byte(jksMagic)) {
		return pkcs12.DecodeTrustStore(data, password)
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return nil, err
	}
	for _, alias := range store.Aliases() {
		if !store.IsTrustedCertificateEntry(alias) {
			continue
		}
		entry, err := store.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(entry.Certificate.Content)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// own returns the client's key and certificates, nil if there are none.
func (c *Config) own() (*tls.Certificate, error) {
	s := c.settings
	file, chain, key := s[keyLocationKey], []byte(s[keyChainKey]), []byte(s[keyKey])
	if file == "" && s[keyKey] == "" {
		return nil, nil
	}
	where := keyKey + " and " + keyChainKey
	var data []byte
	if file != "" {
		var err error
		where = keyLocationKey + "=" + file
		if data, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("%s: %w", keyLocationKey, err)
		}
		chain, key = data, data
	}
	if s[keyTypeKey] != pemType {
		password := s[keyStorePasswordKey]
		cert, err := storeKey(data, password, s[keyPasswordKey])
		if err != nil {
			return nil, fmt.Errorf("%s: %w (%s is its password, %s is JKS, PKCS12 or PEM)", where, err, keyStorePasswordKey, keyTypeKey)
		}
		return cert, nil
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

// storeKey returns the key of a key store of Java's.
func storeKey(data []byte, password, keyPassword string) (*tls.Certificate, error) {
	if !bytes.HasPrefix(data, []byte(jksMagic)) {
		key, cert, issuers, err := pkcs12.DecodeChain(data, password)
		if err != nil {
			return nil, err
		}
		out := &tls.Certificate{PrivateKey: key, Leaf: cert, Certificate: [][]byte{cert.Raw}}
		for _, issuer := range issuers {
			out.Certificate = append(out.Certificate, issuer.Raw)
		}
		return out, nil
	}
	if keyPassword == "" {
		keyPassword = password
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return nil, err
	}
	for _, alias := range store.Aliases() {
		if !store.IsPrivateKeyEntry(alias) {
			continue
		}
		entry, err := store.GetPrivateKeyEntry(alias, []byte(keyPassword))
		if err != nil {
			return nil, err
		}
		var chain bytes.Buffer
		for _, cert := range entry.CertificateChain {
			_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Content})
		}
		out, err := tls.X509KeyPair(chain.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: entry.PrivateKey}))
		return &out, err
	}
	return nil, errors.New("it holds no key")
}
