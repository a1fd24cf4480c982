// Package kafkaconf reads the security settings of Kafka's own clients, Java properties
// such as security.protocol, sasl.jaas.config and ssl.truststore.location, for the clients
// in Go and for KafkaIO. Who needs the settings reads the file by itself: a job knows its
// name only, and no error tells of a value.
package kafkaconf

import (
	"cmp"
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// The settings that a file may have.
const (
	protocolKey         = "security.protocol"
	mechanismKey        = "sasl.mechanism"
	jaasKey             = "sasl.jaas.config"
	serviceKey          = "sasl.kerberos.service.name"
	trustLocationKey    = "ssl.truststore.location"
	trustPasswordKey    = "ssl.truststore.password"
	trustTypeKey        = "ssl.truststore.type"
	trustCertificateKey = "ssl.truststore.certificates"
	keyLocationKey      = "ssl.keystore.location"
	keyStorePasswordKey = "ssl.keystore.password"
	keyTypeKey          = "ssl.keystore.type"
	keyKey              = "ssl.keystore.key"
	keyChainKey         = "ssl.keystore.certificate.chain"
	keyPasswordKey      = "ssl.key.password"
	identificationKey   = "ssl.endpoint.identification.algorithm"
)

var allowed = []string{
	protocolKey, mechanismKey, jaasKey, serviceKey, trustLocationKey, trustPasswordKey, trustTypeKey, trustCertificateKey,
	keyLocationKey, keyStorePasswordKey, keyTypeKey, keyKey, keyChainKey, keyPasswordKey, identificationKey,
}

// settingName is the form of Kafka's settings.
var settingName = regexp.MustCompile(`^[a-z]+([._][a-z0-9]+)+$`)

// protocols say what each security.protocol uses.
var protocols = map[string]struct{ tls, sasl bool }{
	"PLAINTEXT": {}, "SSL": {tls: true}, "SASL_PLAINTEXT": {sasl: true}, "SASL_SSL": {tls: true, sasl: true},
}

// Config is what a file says; none is plain connections.
type Config struct {
	file      string // absolute
	settings  map[string]string
	tls       *tls.Config
	mechanism sasl.Mechanism
}

// Add adds the flag that names the file to f.
func (c *Config) Add(f *flag.FlagSet) {
	f.Var(c, "kafka_config", "`FILE` with the security settings of Kafka's clients, Java properties: security.protocol, sasl.* and ssl.*. Workers on other machines read it from the same path; nothing of it is in a job. Default: that of the local stack if it is secured; else connections are plain.")
}

// String returns the name of the file.
func (c *Config) String() string { return c.file }

// Set reads a file; an empty name is none.
func (c *Config) Set(file string) (err error) {
	*c, err = Read(file)
	return err
}

// Default reads a file unless another one was set.
func (c *Config) Default(file string) error {
	if c.file != "" {
		return nil
	}
	return c.Set(file)
}

// Read reads a file; an empty name is none.
func Read(file string) (Config, error) {
	if file == "" {
		return Config{}, nil
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return Config{}, err
	}
	c := Config{file: file}
	if err := c.read(); err != nil {
		return Config{}, fmt.Errorf("reading Kafka's security settings from %s: %w", file, err)
	}
	return c, nil
}

func (c *Config) read() error {
	if strings.ContainsAny(c.file, ":}") {
		return fmt.Errorf("a name with : or } in it cannot be referred to: give the file another one")
	}
	data, err := os.ReadFile(c.file)
	if err != nil {
		return err
	}
	found, err := properties(data)
	if err != nil {
		return err
	}
	c.settings = map[string]string{}
	var unknown []string
	for _, s := range found {
		switch c.settings[s.key] = s.value; {
		case slices.Contains(allowed, s.key):
		case !settingName.MatchString(s.key): // it may be a line of a key or a password
			return fmt.Errorf(`line %d has no security setting: leave it out, or end the line before with a \ if it belongs to that`, s.line)
		case !slices.Contains(unknown, s.key):
			unknown = append(unknown, s.key)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%s: no security setting that this program knows: leave that out (--kafka, --group and --consumer_config are for others); it knows %s", strings.Join(unknown, ", "), strings.Join(allowed, ", "))
	}
	for _, key := range []string{trustLocationKey, keyLocationKey} {
		if file := c.settings[key]; file != "" && !filepath.IsAbs(file) {
			return fmt.Errorf("%s=%s: it must be an absolute path, valid on every node", key, file)
		}
	}
	protocol := cmp.Or(c.settings[protocolKey], "PLAINTEXT")
	uses, ok := protocols[protocol]
	if !ok {
		return fmt.Errorf("%s=%q: it must be one of %s", protocolKey, protocol, strings.Join(slices.Sorted(maps.Keys(protocols)), ", "))
	}
	if !uses.tls && !uses.sasl {
		return fmt.Errorf("%s=%s protects nothing: set it to SASL_SSL or SSL, or leave --kafka_config out", protocolKey, protocol)
	}
	if uses.tls {
		if c.tls, err = c.tlsConfig(); err != nil {
			return err
		}
	}
	if uses.sasl {
		c.mechanism, err = mechanismOf(c.settings)
	}
	return err
}

// Options are the settings for a client in Go.
func (c *Config) Options() (opts []kgo.Opt) {
	if c.tls != nil {
		opts = append(opts, kgo.DialTLSConfig(c.tls))
	}
	if c.mechanism != nil {
		opts = append(opts, kgo.SASL(c.mechanism))
	}
	return opts
}

// References are the settings for a client in Java, which takes their values from the file.
func (c *Config) References() map[string]string {
	if c.file == "" {
		return nil
	}
	refs := map[string]string{
		"config.providers":            "file",
		"config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
	}
	for key := range c.settings {
		refs[key] = "${file:" + c.file + ":" + key + "}"
	}
	return refs
}
