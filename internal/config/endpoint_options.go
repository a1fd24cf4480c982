package config

import (
	"errors"
	"flag"
	"fmt"
	"os/user"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"facestream/internal/cli"
	"facestream/internal/kafkaconf"
	"facestream/internal/kerberos"
	"facestream/internal/paths"
	"facestream/internal/stack/state"
	"facestream/transforms/hdfs"
)

// OutputFlags say where the pictures are, and the state directory of this machine.
type OutputFlags struct {
	user, output string
	login        kerberos.Login
	state        paths.State
}

// Add adds the flags to f.
func (v *OutputFlags) Add(f *flag.FlagSet) {
	f.StringVar(&v.user, "user", "", "Hadoop `USER` that owns the pictures. Default: who runs this program; with Kerberos, the principal's.")
	f.StringVar(&v.login.Principal, "kerberos_principal", "", "`NAME@REALM` to log in as where hadoop.security.authentication in $HADOOP_CONF_DIR is kerberos. Default: that of the ticket cache, $KRB5CCNAME.")
	f.StringVar(&v.login.Keytab, "kerberos_keytab", "", "`FILE` with the key of --kerberos_principal.")
	f.StringVar(&v.output, "output", "", "`URL` of the folder of the pictures, hdfs://HOST:PORT/PATH, or a folder of this machine. HOST:PORT may be several, comma-separated, or a nameservice of the configuration in $HADOOP_CONF_DIR. Default: /user/USER/faces on the HDFS of the local stack.")
	v.state.Add(f)
}

// Check completes what is not set from the local stack, whose addresses it returns, too.
// Of the endpoints, it sets those that the flags are about. Its errors say what is wrong and
// what would be right.
func (v *OutputFlags) Check() (o Endpoints, local state.Addrs, err error) {
	o.User = v.user
	if o.StateDir, err = v.state.Dir(); err != nil {
		return o, local, err
	}
	local, _ = state.Running(o.StateDir)
	if o.Kerberos, err = v.kerberos(); err != nil {
		return o, local, err
	}
	if len(o.Kerberos.Settings) > 0 {
		principals, err := o.Kerberos.User()
		switch {
		case err != nil:
			return o, local, err
		case o.User != "" && o.User != principals:
			return o, local, fmt.Errorf("--user=%s: with Kerberos it is the principal's, %s; leave it out, or log in as another one", o.User, principals)
		}
		o.User = principals
	}
	if o.User == "" {
		me, err := user.Current()
		if err != nil {
			return o, local, fmt.Errorf("--user is not set and the system does not know who runs this: %w", err)
		}
		o.User = me.Username
	}
	if !userName.MatchString(o.User) {
		return o, local, fmt.Errorf("--user=%s: it must be a Hadoop user, such as alice", o.User)
	}
	o.Output, err = outputURL(v.output, o.User, local.HDFS)
	return o, local, err
}

// kerberos has this process let in by an HDFS with Kerberos.
func (v *OutputFlags) kerberos() (hdfs.Security, error) {
	if (v.login.Principal == "") != (v.login.Keytab == "") {
		return hdfs.Security{}, errors.New("--kerberos_principal and --kerberos_keytab go together; without both, the ticket cache is used")
	}
	if v.output != "" && !strings.Contains(v.output, "://") { // a folder of this machine
		return hdfs.Security{}, nil
	}
	login := v.login
	if login.Keytab != "" {
		var err error
		if login.Keytab, err = filepath.Abs(login.Keytab); err != nil {
			return hdfs.Security{}, err
		}
	}
	s, err := hdfs.ConfiguredSecurity(login)
	if err == nil && len(s.Settings) > 0 {
		err = hdfs.SetSecurity(s)
	}
	return s, err
}

// EndpointFlags say where things are: the output, the broker, the topics and the group.
// Several programs have them.
type EndpointFlags struct {
	output        OutputFlags
	kafka, topics cli.List
	group         string
	security      kafkaconf.Config
}

// Add adds the flags to f.
func (v *EndpointFlags) Add(f *flag.FlagSet) {
	f.Var(&v.kafka, "kafka", "`HOST:PORT` of the Kafka brokers, comma-separated. Default: the broker of the local stack (make up).")
	v.security.Add(f)
	v.topics = "frames"
	f.Var(&v.topics, "topics", "`TOPICS` of the frames, comma-separated. They must exist.")
	f.StringVar(&v.group, "group", "facestream", "`NAME` of the Kafka consumer group whose offsets say which records are done. A new group starts at the first record.")
	v.output.Add(f)
}

// Endpoints are these flags, checked.
type Endpoints struct {
	StateDir string // absolute
	Kafka    string // host:port, comma-separated
	Security kafkaconf.Config
	Kerberos hdfs.Security // that of HDFS
	Topics   []string
	User     string // Hadoop user
	Output   string // hdfs://user@host:port/path, or a folder of this machine
	Group    string
}

var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$`)

// Check completes what is not set from the local stack. Its errors say what is wrong
// and what would be right.
func (v *EndpointFlags) Check() (Endpoints, error) {
	p, local, err := v.output.Check()
	if err != nil {
		return p, err
	}
	p.Kafka, p.Security, p.Group = string(v.kafka), v.security, v.group
	if p.Kafka == "" {
		if local.Kafka == "" {
			return p, errors.New("--kafka is not set and no local broker runs: give --kafka=HOST:PORT or run make up")
		}
		p.Kafka = local.Kafka
		if err := p.Security.Default(local.Secret(p.StateDir, state.KafkaConfig)); err != nil {
			return p, err
		}
	}
	brokers, err := cli.Brokers("--kafka", p.Kafka)
	if err != nil {
		return p, err
	}
	p.Kafka = strings.Join(brokers, ",")
	for _, topic := range strings.Split(string(v.topics), ",") {
		topic = strings.TrimSpace(topic)
		if err := cli.CheckTopic("--topics", topic); err != nil {
			return p, err
		}
		if !slices.Contains(p.Topics, topic) {
			p.Topics = append(p.Topics, topic)
		}
	}
	if p.Group == "" {
		return p, errors.New("--group is empty: give the consumer group a name, such as facestream")
	}
	return p, nil
}

// outputURL puts the user into an HDFS name, where the file system looks for it.
func outputURL(output, user, localHDFS string) (string, error) {
	const scheme = "hdfs://"
	if output == "" {
		if localHDFS == "" {
			return "", errors.New("--output is not set and no local HDFS runs: give --output=hdfs://HOST:PORT/PATH or run make up")
		}
		output = localHDFS + "/user/" + user + "/faces"
	}
	if first, _, _ := strings.Cut(output, "/"); !strings.Contains(first, ":") {
		return filepath.Abs(output)
	}
	if !strings.HasPrefix(output, scheme) || strings.ContainsAny(output, "?#") {
		return "", fmt.Errorf("--output=%s: it must be hdfs://HOST:PORT/PATH or a folder of this machine, which has no : in its first part", output)
	}
	// The workers need not know this machine's Hadoop configuration.
	resolved, err := hdfs.Resolve(output)
	if err != nil {
		return "", fmt.Errorf("--output: %w", err)
	}
	authority, folder, _ := strings.Cut(strings.TrimPrefix(resolved, scheme), "/")
	if named, addresses, ok := strings.Cut(authority, "@"); ok {
		if named != user {
			return "", fmt.Errorf("--output=%s: it names another user than --user=%s", output, user)
		}
		authority = addresses
	}
	if folder = path.Clean("/" + folder); folder == "/" {
		return "", fmt.Errorf("--output=%s: it must name a folder, such as %s/faces", output, scheme+authority)
	}
	return scheme + user + "@" + authority + folder, nil
}
