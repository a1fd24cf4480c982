// Package certs makes certificates for the services of this machine and of tests.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// lifetime is longer than anybody keeps a stack of this machine.
const lifetime = 10 * 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	PEM  []byte // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New returns an authority, whose key nobody else has.
func New() (*Authority, error) {
	a := &Authority{}
	text, err := a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, "facestream")
	a.PEM = text
	return a, err
}

// Issue returns a new key and a certificate for it, in PEM. Both servers and clients may
// use it. It is good for the given addresses, and until the given time unless that is zero.
func (a *Authority) Issue(name string, until time.Time, addresses ...string) ([]byte, error) {
	t := &x509.Certificate{NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, address := range addresses {
		if ip := net.ParseIP(address); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, address)
		}
	}
	return a.issue(t, name)
}

// issue signs a certificate; the first one is the authority's own.
func (a *Authority) issue(t *x509.Certificate, name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t.Subject = pkix.Name{CommonName: name}
	t.NotBefore = now.Add(-2 * time.Hour)
	if t.NotAfter.IsZero() {
		t.NotAfter = now.Add(lifetime)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, err
	}
	first := a.cert == nil
	if first {
		a.cert, a.key = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if first {
		return text, nil
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), text...), nil
}
