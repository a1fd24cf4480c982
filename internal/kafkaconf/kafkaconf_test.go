package kafkaconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/certs"
	"facestream/internal/testkit"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// files are certificates of a test, in a folder.
type files struct {
	t         *testing.T
	authority *certs.Authority
	dir       string
}

func newFiles(t *testing.T) *files {
	f := &files{t: t, authority: testkit.Value(certs.New())(t), dir: t.TempDir()}
	f.write("ca.pem", f.authority.PEM)
	return f
}

func (f *files) write(name string, data []byte) string {
	path := filepath.Join(f.dir, name)
	testkit.WriteFile(f.t, path, data)
	return path
}

// broker returns the address of a broker whose certificate is for the given address. It
// asks clients for certificates if these are wanted, else for a password.
func (f *files) broker(until time.Time, mutual bool, address string) string {
	f.t.Helper()
	text := testkit.Value(f.authority.Issue("broker", until, address))(f.t)
	config := &tls.Config{Certificates: []tls.Certificate{testkit.Value(tls.X509KeyPair(text, text))(f.t)}}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.TLS(config)}
	if mutual {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(f.authority.PEM)
	} else {
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser("PLAIN", "amy", `pa\ss "${word}"`), kfake.Superuser("SCRAM-SHA-512", "amy", "other"))
	}
	cluster := testkit.Value(kfake.NewCluster(opts...))(f.t)
	f.t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

// ping reads settings and asks a broker.
func (f *files) ping(broker, settings string) error {
	f.t.Helper()
	c, err := Read(f.write("client.properties", []byte(strings.ReplaceAll(settings, "DIR", f.dir))))
	if err != nil {
		return err
	}
	client := testkit.Value(kgo.NewClient(append(c.Options(), kgo.SeedBrokers(broker))...))(f.t)
	defer client.Close()
	ctx, stop := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer stop()
	return Explain(client.Ping(ctx))
}

const (
	trust        = "ssl.truststore.type=PEM\nssl.truststore.location=DIR/ca.pem\n"
	withPassword = "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
)

func jaas(module, user, password string) string {
	return fmt.Sprintf("sasl.jaas.config=org.apache.kafka.common.security.%s required \\\n  username=\"%s\" password=\"%s\";\n", module, user, password)
}

// A client is let in, or told in one sentence why not.
func TestBroker(t *testing.T) {
	f := newFiles(t)
	good := f.broker(time.Time{}, false, "127.0.0.1")
	expired := f.broker(time.Now().Add(-time.Hour), false, "127.0.0.1")
	other := f.broker(time.Time{}, false, "broker.example")
	mutual := f.broker(time.Time{}, true, "127.0.0.1")
	amy := jaas("plain.PlainLoginModule", "amy", `pa\\\\ss \\"${word}\\"`)
	f.write("client.pem", testkit.Value(f.authority.Issue("amy", time.Time{}))(t))
	f.write("stranger.pem", testkit.Value(testkit.Value(certs.New())(t).Issue("amy", time.Time{}))(t))
	f.write("stranger-ca.pem", testkit.Value(certs.New())(t).PEM)
	key := "ssl.keystore.type=PEM\nssl.keystore.location=DIR/client.pem\n"
	for name, tt := range map[string]struct{ broker, settings, want string }{
		"PLAIN":               {good, withPassword + trust + amy, ""},
		"SCRAM":               {good, "security.protocol: SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n" + trust + jaas("scram.ScramLoginModule", "amy", "other"), ""},
		"PEM in the file":     {good, withPassword + amy + "ssl.truststore.type=PEM\nssl.truststore.certificates=" + strings.ReplaceAll(string(f.authority.PEM), "\n", `\n`), ""},
		"PEM of one line":     {good, withPassword + amy + "ssl.truststore.type=PEM\nssl.truststore.certificates=" + strings.ReplaceAll(string(f.authority.PEM)+string(f.authority.PEM), "\n", " "), ""},
		"lines of Windows":    {good, strings.ReplaceAll(withPassword+trust+amy, "\n", "\r\n"), ""},
		"mutual TLS":          {mutual, "security.protocol=SSL\n" + trust + key, ""},
		"expired":             {expired, withPassword + trust + amy, "have it renewed"},
		"another host":        {other, withPassword + trust + amy, "is not for 127.0.0.1"},
		"another authority":   {good, withPassword + strings.Replace(trust, "ca.pem", "stranger-ca.pem", 1) + amy, "add who has signed it"},
		"no certificate":      {mutual, "security.protocol=SSL\n" + trust, "does not take the certificate in ssl.keystore.location"},
		"strange client":      {mutual, "security.protocol=SSL\n" + trust + strings.Replace(key, "client", "stranger", 1), "does not take the certificate in ssl.keystore.location"},
		"none where TLS is":   {good, strings.Replace(withPassword, "SASL_SSL", "SASL_PLAINTEXT", 1) + amy, "another security.protocol"},
		"without any":         {good, "", "another security.protocol"},
		"no SASL where it is": {good, "security.protocol=SSL\n" + trust, "another security.protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if tt.settings == "" {
				client := testkit.Value(kgo.NewClient(kgo.SeedBrokers(tt.broker)))(t)
				defer client.Close()
				err = Explain(client.Ping(t.Context()))
			} else {
				err = f.ping(tt.broker, tt.settings)
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// Stores that Java's keytool has made are read.
func TestStores(t *testing.T) {
	f := newFiles(t)
	broker := f.broker(time.Time{}, true, "127.0.0.1")
	f.write("client.pem", testkit.Value(f.authority.Issue("amy", time.Time{}))(t))
	keytool := func(args ...string) {
		cmd := exec.Command("keytool", append(args, "-noprompt")...)
		cmd.Dir = f.dir
		testkit.Output(t, cmd)
	}
	testkit.Output(t, exec.Command("openssl", "pkcs12", "-export", "-in", f.dir+"/client.pem", "-out", f.dir+"/key.PKCS12", "-passout", "pass:changeit"))
	keytool("-importkeystore", "-srckeystore", "key.PKCS12", "-srcstorepass", "changeit", "-destkeystore", "key.JKS", "-deststoretype", "JKS", "-deststorepass", "changeit", "-destkeypass", "another")
	for _, kind := range []string{"JKS", "PKCS12"} {
		keytool("-importcert", "-file", "ca.pem", "-alias", "ca", "-keystore", "trust."+kind, "-storetype", kind, "-storepass", "changeit")
		settings := "security.protocol=SSL\nssl.truststore.location=DIR/trust.KIND\nssl.truststore.password=changeit\nssl.keystore.location=DIR/key.KIND\nssl.keystore.password=changeit\n"
		if kind == "JKS" {
			settings += "ssl.key.password=another\n"
		}
		settings = strings.ReplaceAll(settings, "KIND", kind)
		if err := f.ping(broker, settings); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		err := f.ping(broker, strings.Replace(settings, "truststore.password=changeit", "truststore.password=guess", 1))
		if err == nil || !strings.Contains(err.Error(), "ssl.truststore.password is its password") {
			t.Errorf("%s with a wrong password: %v", kind, err)
		}
	}
}

// A wrong setting is refused by its name, and no error has a password in it.
func TestRefuses(t *testing.T) {
	f := newFiles(t)
	f.write("empty.pem", nil)
	amy := jaas("plain.PlainLoginModule", "amy", "hidden-word")
	for settings, want := range map[string]string{
		withPassword + amy + "bootstrap.servers=h:1":                  "bootstrap.servers: no security setting",
		withPassword + amy + "ssl.engine.factory.class=x":             "ssl.engine.factory.class: no security setting",
		withPassword + amy + "ssl.endpoint.identification.algorithm=": "must be https",
		amy:                             "protects nothing",
		"security.protocol=TLS\n" + amy: "must be one of PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL",
		"security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n" + amy:                    "must be one of",
		withPassword + strings.Replace(amy, "plain.PlainLoginModule", "JndiLoginModule", 1): "plain.PlainLoginModule required",
		withPassword + strings.Replace(amy, ";", "", 1):                                     "plain.PlainLoginModule required",
		withPassword + amy + "acks=all\n":                                                   "line 5 has no security setting",
		withPassword + amy + "client.id=a\nsession.timeout.ms=4":                            "client.id, session.timeout.ms: no security setting",
		withPassword + "sasl.jaas.config=x\nhidden-word=y":                                  "line 4 has no security setting",
		withPassword + "sasl.jaas.config=\\u00hidden-word":                                  "line 3: behind \\u",
		"\uFEFF" + withPassword + amy:                                                       "without a byte order mark",
		withPassword + amy + "# \xe4":                                                       "UTF-8",
		withPassword + amy + "ssl.truststore.location=ca.pem":                               "must be an absolute path",
		withPassword: "plain.PlainLoginModule required",
		withPassword + jaas("plain.PlainLoginModule", "", "hidden-word"):                                       "is missing",
		withPassword + amy + strings.Replace(trust, "ca.pem", "none.pem", 1):                                   "ssl.truststore.location",
		withPassword + amy + strings.Replace(trust, "ca.pem", "empty.pem", 1):                                  "holds no certificate",
		withPassword + amy + strings.Replace(trust, "PEM", "JKS", 1):                                           "ssl.truststore.type is JKS, PKCS12 or PEM",
		"security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.key=-----BEGIN ENCRYPTED PRIVATE KEY-----": "openssl pkey",
		"security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.key=-----BEGIN RSA PRIVATE KEY-----":       "openssl pkcs8",
	} {
		err := f.ping("127.0.0.1:1", settings)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden-word") {
			t.Errorf("%s: error %v, want %q in it", settings, err, want)
		}
	}
	if _, err := Read(filepath.Join(f.dir, "a:b")); err == nil || !strings.Contains(err.Error(), "give the file another") {
		t.Errorf("a name that Java cannot refer to: %v", err)
	}
}
