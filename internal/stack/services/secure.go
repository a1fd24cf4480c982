package services

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"facestream/internal/certs"
	"facestream/internal/stack/state"

	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	secretMode = 0o600
	secretDir  = 0o700

	// User is whom secured services know.
	User = "facestream"

	kafkaLogins = "org.apache.kafka.common.security."
	kafkaAdmin  = "admin.properties"
	passwords   = "passwords"
)

// The files of Stack.Secret for clients.
const (
	KafkaConfig   = state.KafkaConfig // SCRAM-SHA-512
	KafkaPlain    = "plain.properties"
	KafkaKerberos = "gssapi.properties"
	KafkaMutual   = "mutual.properties" // of certificates, for the listener at Stack.KafkaMutual
	Krb5Config    = "krb5.conf"
	UserKeytab    = "user.keytab"
)

// ClientFiles are what clients of secured services need, below the stack's folder, for a shell.
var ClientFiles = [][2]string{
	{"KAFKA_CONFIG", "kdc/" + KafkaConfig},
	{"KRB5_CONFIG", "kdc/" + Krb5Config},
	{"KEYTAB", "kdc/" + UserKeytab},
	{"HADOOP_CONF_DIR", "hdfs/conf"},
}

func newPassword() string { return rand.Text() }

// secrets is the folder of what makes services secured. It is empty where they are not.
type secrets string

// Secret returns a file of clients of secured services. It is empty where they are not.
func (s *Stack) Secret(name string) string {
	if s.secrets == "" {
		return ""
	}
	return filepath.Join(string(s.secrets), name)
}

// HadoopConfig returns the folder of HDFS's settings, which clients of a secured one need.
func (s *Stack) HadoopConfig() string { return s.find(nameNode).program.conf }

// jvm are the flags of the services' JVMs.
func (dir secrets) jvm() []string {
	if dir == "" {
		return nil
	}
	return []string{"-Djava.security.krb5.conf=" + filepath.Join(string(dir), Krb5Config)}
}

// makeKafka makes the files for the broker and its clients.
func (dir secrets) makeKafka() error {
	authority, err := certs.New()
	if err != nil {
		return err
	}
	broker, err := authority.Issue("broker", time.Time{}, host, hostname)
	if err != nil {
		return err
	}
	client, err := authority.Issue(User, time.Time{})
	if err != nil {
		return err
	}
	login := func(module, user, password string) string {
		return fmt.Sprintf("sasl.jaas.config=%s%s required username=%q password=%q;\n", kafkaLogins, module, user, password)
	}
	file := func(name string) string { return filepath.Join(string(dir), name) }
	tls := "ssl.truststore.type=PEM\nssl.truststore.location=" + file("ca.pem") + "\n"
	sasl := tls + "security.protocol=SASL_SSL\nsasl.mechanism="
	admin, user := newPassword(), newPassword()
	for name, text := range map[string]string{
		"ca.pem":      string(authority.PEM),
		"broker.pem":  string(broker),
		"client.pem":  string(client),
		passwords:     "admin=" + admin + "\nuser=" + user + "\n",
		kafkaAdmin:    sasl + "PLAIN\n" + login("plain.PlainLoginModule", "admin", admin),
		KafkaPlain:    sasl + "PLAIN\n" + login("plain.PlainLoginModule", User, user),
		KafkaConfig:   sasl + "SCRAM-SHA-512\n" + login("scram.ScramLoginModule", User, user),
		KafkaMutual:   tls + "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location=" + file("client.pem") + "\n",
		KafkaKerberos: sasl + "GSSAPI\nsasl.kerberos.service.name=kafka\nsasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab=\"" + file(UserKeytab) + "\" principal=\"" + User + "@" + realm + "\";\n",
	} {
		if err := os.WriteFile(file(name), []byte(text), secretMode); err != nil {
			return err
		}
	}
	return nil
}

// makeKafkaUser tells the broker the password of SCRAM-SHA-512.
func (dir secrets) makeKafkaUser(ctx context.Context, admin *kadm.Client) error {
	if dir == "" {
		return nil
	}
	known, err := os.ReadFile(filepath.Join(string(dir), passwords))
	if err != nil {
		return err
	}
	_, password, _ := strings.Cut(strings.TrimSpace(string(known)), "user=")
	made, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: User, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = made.Error()
	}
	return err
}

// hdfsKeytab is that of HDFS's and YARN's servers.
func (dir secrets) hdfsKeytab() string { return filepath.Join(string(dir), "hdfs.keytab") }

// hdfs are further settings of the NameNode and the DataNodes. Clients may know them, too.
func (dir secrets) hdfs() [][2]string {
	keytab := dir.hdfsKeytab()
	return [][2]string{
		{"hadoop.security.authentication", "kerberos"},
		{"hadoop.security.authorization", "true"},
		{"hadoop.rpc.protection", "privacy"},
		{"dfs.namenode.kerberos.principal", hdfsPrincipal + "@" + realm},
		{"dfs.namenode.keytab.file", keytab},
		{"dfs.datanode.kerberos.principal", hdfsPrincipal + "@" + realm},
		{"dfs.datanode.keytab.file", keytab},
		{"dfs.web.authentication.kerberos.principal", webPrincipal + "@" + realm},
		{"dfs.web.authentication.kerberos.keytab", keytab},
		{"dfs.block.access.token.enable", "true"},
		{"dfs.data.transfer.protection", "privacy"},
		{"dfs.encrypt.data.transfer.cipher.suites", "AES/CTR/NoPadding"},
		// A DataNode that is not root's cannot have ports below 1024.
		{"ignore.secure.ports.for.testing", "true"},
	}
}
