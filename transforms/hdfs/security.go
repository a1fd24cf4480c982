package hdfs

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"facestream/internal/kerberos"

	"github.com/colinmarc/hdfs/v2/hadoopconf"
)

const (
	authenticationKey = "hadoop.security.authentication"
	principalKey      = "dfs.namenode.kerberos.principal"

	krb5Env = "KRB5_CONFIG"

	// securedLife is how long a connection to a secured NameNode is used. The library asks once
	// for the key of encrypted transfers, which HDFS takes for some hours. Who writes a file
	// goes on for a while.
	securedLife  = time.Hour
	securedGrace = time.Minute
)

// SecurityEnv takes a Security to the children of a process, and to workers.
const SecurityEnv = "FACESTREAM_HDFS_SECURITY"

// securityKeys are the settings of Hadoop's configuration that workers must know.
var securityKeys = []string{
	authenticationKey, principalKey, "dfs.data.transfer.protection", "dfs.encrypt.data.transfer", "dfs.client.use.datanode.hostname",
}

// Security is how a process is let in by a cluster with Kerberos.
type Security struct {
	kerberos.Login
	Settings hadoopconf.HadoopConf // empty if the cluster has no Kerberos
}

// ConfiguredSecurity returns what Hadoop's configuration says, with who is to log in:
// nobody stands for the ticket cache.
func ConfiguredSecurity(login kerberos.Login) (Security, error) {
	conf, err := loadConf()
	if err != nil {
		return Security{}, err
	}
	if !strings.EqualFold(conf[authenticationKey], "kerberos") {
		if login.Keytab != "" {
			return Security{}, fmt.Errorf("%s is not kerberos in %s: let that be the folder of the cluster's settings", authenticationKey, confPlace())
		}
		return Security{}, nil
	}
	if conf[principalKey] == "" {
		return Security{}, fmt.Errorf("%s is missing in %s", principalKey, confPlace())
	}
	s := Security{Login: login, Settings: hadoopconf.HadoopConf{}}
	for _, key := range securityKeys {
		if value, ok := conf[key]; ok {
			s.Settings[key] = value
		}
	}
	return s, nil
}

// SetSecurity makes s the security of this process and of its children.
func SetSecurity(s Security) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.Setenv(SecurityEnv, string(text))
}

// security returns what SetSecurity has set, here or where a job was submitted, or else the
// configured one.
func security() (s Security, err error) {
	text := os.Getenv(SecurityEnv)
	if text == "" {
		return ConfiguredSecurity(kerberos.Login{})
	}
	err = json.Unmarshal([]byte(text), &s)
	return s, err
}

// WorkerEnv are the variables for workers on the nodes of a cluster, which have no
// configuration of Hadoop's. They read the keytab from the given path.
func WorkerEnv(keytab string) (map[string]string, error) {
	env := map[string]string{umaskEnv: os.Getenv(umaskEnv)}
	s, err := security()
	if err != nil || len(s.Settings) == 0 {
		return env, err
	}
	s.Keytab = keytab
	text, err := json.Marshal(s)
	env[SecurityEnv], env[krb5Env] = string(text), os.Getenv(krb5Env)
	return env, err
}

func (s Security) overlaid(conf hadoopconf.HadoopConf) hadoopconf.HadoopConf {
	out := hadoopconf.HadoopConf{}
	maps.Copy(out, conf)
	maps.Copy(out, s.Settings)
	return out
}

// explainSecurity returns an error of a secured cluster in words that say what to do.
func explainSecurity(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "cannot parse invalid wire-format data"):
		return finalError{fmt.Errorf("what was written cannot be read with this protection of data transfers: have an administrator set dfs.data.transfer.protection to authentication, or to privacy with dfs.encrypt.data.transfer.cipher.suites=AES/CTR/NoPadding: %w", err)}
	case strings.Contains(text, "KDC_ERR_S_PRINCIPAL_UNKNOWN"):
		return finalError{fmt.Errorf("the KDC does not know %s: that must be the NameNode's principal, and with _HOST in it --output must have the NameNode's name: %w", principalKey, err)}
	case strings.Contains(text, "kerberos authentication not supported"):
		return finalError{fmt.Errorf("%s is kerberos, and the NameNode knows nothing of Kerberos: is this its configuration? %w", authenticationKey, err)}
	}
	return err
}
