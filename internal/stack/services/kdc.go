package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"facestream/internal/kerberos"
	"facestream/internal/ports"
	"facestream/internal/stack/state"
)

const (
	realm = "FACESTREAM.TEST"
	sbin  = "/usr/sbin" // where Debian has a KDC's programs, and not every user looks

	// Principals have names. Java's clients look for that of an address, those in Go do not.
	hostname       = "localhost"
	hdfsPrincipal  = "hdfs/" + hostname
	webPrincipal   = "HTTP/" + hostname
	kafkaPrincipal = "kafka/" + hostname
)

// krb5Settings are krb5.conf, with the KDC's address, for all who use it. An expired ticket
// is not taken for five minutes longer, as by default: a test waits for that. What a busy
// machine is late with is taken.
const krb5Settings = `[libdefaults]
default_realm = ` + realm + `
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
clockskew = 5
[realms]
` + realm + ` = {
  kdc = %[1]s
}
[domain_realm]
localhost = ` + realm + `
` + host + ` = ` + realm + `
`

// kdcSettings are kdc.conf, with the KDC's address and the folder.
const kdcSettings = `[kdcdefaults]
kdc_listen = ""
kdc_tcp_listen = %[1]s
[realms]
` + realm + ` = {
  database_name = %[2]s/principal
  key_stash_file = %[2]s/stash
  acl_file = %[2]s/acl
  supported_enctypes = aes256-cts-hmac-sha1-96:normal
}
`

var kdc = &service{name: state.KDC, programs: kdcPrograms, format: formatKDC, works: tryKDC}

// kdcPrograms are a KDC that keeps its database in dir.
func kdcPrograms(s *Stack, dir string, o Options) ([]javaProgram, error) {
	return []javaProgram{{
		name: state.KDC, conf: dir, binary: filepath.Join(sbin, "krb5kdc"), args: []string{"-n"}, env: s.secrets.kdcEnv(),
		settings: map[string]string{
			Krb5Config: fmt.Sprintf(krb5Settings, o.Addrs.KDC),
			"kdc.conf": fmt.Sprintf(kdcSettings, o.Addrs.KDC, dir),
		},
	}}, nil
}

// formatKDC makes a database with principals of the services and of a user, and their
// keytabs, and what Kafka has instead.
func formatKDC(ctx context.Context, s *Stack, program javaProgram) error {
	if err := os.MkdirAll(program.conf, secretDir); err != nil {
		return err
	}
	if err := program.write(); err != nil {
		return err
	}
	if err := s.secrets.runKDC(ctx, "", "kdb5_util", "create", "-s", "-W", "-P", newPassword()); err != nil {
		return err
	}
	var all strings.Builder
	for _, p := range [][2]string{{hdfsPrincipal, "hdfs.keytab"}, {webPrincipal, "hdfs.keytab"}, {kafkaPrincipal, "kafka.keytab"}, {User, UserKeytab}} {
		fmt.Fprintf(&all, "addprinc -randkey %s\nktadd -k %s %[1]s\n", p[0], s.Secret(p[1]))
	}
	return errors.Join(s.secrets.runKDC(ctx, all.String(), "kadmin.local"), s.secrets.makeKafka())
}

func (dir secrets) kdcEnv() []string {
	return []string{"KRB5_CONFIG=" + filepath.Join(string(dir), Krb5Config), "KRB5_KDC_PROFILE=" + filepath.Join(string(dir), "kdc.conf")}
}

// runKDC runs one of the KDC's programs.
func (dir secrets) runKDC(ctx context.Context, in, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(sbin, program), args...)
	cmd.Env = append(os.Environ(), dir.kdcEnv()...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: scripts/setup.sh tests installs a KDC", err)
	}
	if err != nil {
		return fmt.Errorf("running %s: %w: %s", program, err, out)
	}
	return nil
}

// KAdmin has the KDC do something, such as "modprinc -maxlife 10s facestream".
func (s *Stack) KAdmin(ctx context.Context, query string) error {
	return s.secrets.runKDC(ctx, query+"\n", "kadmin.local")
}

// tryKDC logs in.
func tryKDC(ctx context.Context, s *Stack) error {
	if err := ports.Reach(ctx, s.KDC); err != nil {
		return err
	}
	client, err := kerberos.Login{Principal: User, Keytab: s.Secret(UserKeytab), Config: s.Secret(Krb5Config)}.Client()
	if err == nil {
		client.Destroy()
	}
	return err
}
