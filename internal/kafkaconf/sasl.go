package kafkaconf

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"facestream/internal/kerberos"

	"github.com/twmb/franz-go/pkg/sasl"
	kgokerberos "github.com/twmb/franz-go/pkg/sasl/kerberos"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	kafkaModules = "org.apache.kafka.common.security."
	scramModule  = kafkaModules + "scram.ScramLoginModule"
)

// mechanisms are those of SASL, with the module of Java that each is for. Another module
// would load a class of somebody's choice into the workers' JVM.
var mechanisms = map[string]struct {
	module string
	new    func(jaas, settings map[string]string) (sasl.Mechanism, error)
}{
	"GSSAPI": {"com.sun.security.auth.module.Krb5LoginModule", gssapi},
	"PLAIN": {kafkaModules + "plain.PlainLoginModule", password(func(user, pass string) sasl.Mechanism {
		return plain.Auth{User: user, Pass: pass}.AsMechanism()
	})},
	"SCRAM-SHA-256": {scramModule, password(func(user, pass string) sasl.Mechanism {
		return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()
	})},
	"SCRAM-SHA-512": {scramModule, password(func(user, pass string) sasl.Mechanism {
		return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()
	})},
}

func password(mechanism func(user, pass string) sasl.Mechanism) func(_, _ map[string]string) (sasl.Mechanism, error) {
	return func(options, _ map[string]string) (sasl.Mechanism, error) {
		user, pass := options["username"], options["password"]
		if user == "" || pass == "" {
			return nil, fmt.Errorf(`%s: username="..." or password="..." is missing`, jaasKey)
		}
		return mechanism(user, pass), nil
	}
}

func gssapi(jaas, settings map[string]string) (sasl.Mechanism, error) {
	service := settings[serviceKey]
	if service == "" {
		return nil, fmt.Errorf("%s is missing: it is the first part of the broker's principal, such as kafka", serviceKey)
	}
	login := kerberos.Login{Principal: jaas["principal"], Keytab: jaas["keyTab"]}
	switch {
	case jaas["useKeyTab"] != "true" && jaas["useTicketCache"] != "true":
		return nil, fmt.Errorf(`%s: useKeyTab=true keyTab="FILE" principal="NAME@REALM", or useTicketCache=true, is missing`, jaasKey)
	case jaas["useKeyTab"] != "true":
		login = kerberos.Login{}
	case login.Principal == "" || login.Keytab == "":
		return nil, fmt.Errorf(`%s: useKeyTab=true needs keyTab="FILE" and principal="NAME@REALM"`, jaasKey)
	case !filepath.IsAbs(login.Keytab):
		return nil, fmt.Errorf(`%s: keyTab="%s" must be an absolute path, valid on every node`, jaasKey, login.Keytab)
	}
	return kgokerberos.Kerberos(func(context.Context) (kgokerberos.Auth, error) {
		client, err := login.Client()
		return kgokerberos.Auth{Client: client, Service: service}, err
	}), nil
}

var (
	jaasOption = regexp.MustCompile(`\s+([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_$][\w$.-]*))`) // as Java has words without quotes
	jaasEntry  = regexp.MustCompile(`^\s*([\w.]+)\s+(?i:required|requisite|sufficient|optional)((?:` + jaasOption.String() + `)*)\s*;\s*$`)
	jaasEscape = regexp.MustCompile(`\\(.)`)
)

// mechanismOf returns the mechanism of the settings, with their credentials.
func mechanismOf(settings map[string]string) (sasl.Mechanism, error) {
	name, jaas := cmp.Or(settings[mechanismKey], "GSSAPI"), settings[jaasKey]
	m, ok := mechanisms[name]
	if !ok {
		return nil, fmt.Errorf("%s=%q: it must be one of %s", mechanismKey, name, strings.Join(slices.Sorted(maps.Keys(mechanisms)), ", "))
	}
	entry := jaasEntry.FindStringSubmatch(jaas)
	if entry == nil || entry[1] != m.module {
		return nil, fmt.Errorf(`%s must be of the form %s required NAME="VALUE" ...; for %s=%s`, jaasKey, m.module, mechanismKey, name)
	}
	options := map[string]string{}
	for _, o := range jaasOption.FindAllStringSubmatch(entry[2], -1) {
		options[o[1]] = jaasEscape.ReplaceAllString(o[2], "$1") + o[3]
	}
	return m.new(options, settings)
}
