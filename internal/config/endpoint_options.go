package config

import (
	"errors"
	"flag"
	"fmt"
	"os/user"
	"path"
	"regexp"
	"slices"
	"strings"

	"facestream/internal/cli"
	"facestream/internal/paths"
	"facestream/internal/stack/state"
	"facestream/transforms/hdfs"
)

// EndpointFlags say where things are: the broker, the topics, the output, and the
// state directory of this machine. Several programs have them.
type EndpointFlags struct {
	kafka, topics, user, output, group string
	state                              paths.State
}

// Add adds the flags to f.
func (v *EndpointFlags) Add(f *flag.FlagSet) {
	f.StringVar(&v.kafka, "kafka", "", "`HOST:PORT` of the Kafka brokers, comma-separated. Default: the broker of the local stack (make up).")
	f.StringVar(&v.topics, "topics", "frames", "`TOPICS` of the frames, comma-separated. They must exist.")
	f.StringVar(&v.user, "user", "", "Hadoop `USER` that owns the pictures. Default: who runs this program.")
	f.StringVar(&v.output, "output", "", "`URL` of the folder of the pictures, hdfs://HOST:PORT/PATH, or a folder of this machine. HOST:PORT may be several, comma-separated, or a nameservice of the configuration in $HADOOP_CONF_DIR. Default: /user/USER/faces on the HDFS of the local stack.")
	f.StringVar(&v.group, "group", "facestream", "`NAME` of the Kafka consumer group whose offsets say which records are done. A new group starts at the first record.")
	v.state.Add(f)
}

// Endpoints are these flags, checked.
type Endpoints struct {
	StateDir string // absolute
	Kafka    string // host:port, comma-separated
	Topics   []string
	User     string // Hadoop user
	Output   string // hdfs://user@host:port/path, or a folder of this machine
	Group    string
}

var userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$`)

// Check completes what is not set from the local stack. Its errors say what is wrong
// and what would be right.
func (v *EndpointFlags) Check() (Endpoints, error) {
	p := Endpoints{Kafka: v.kafka, User: v.user, Group: v.group}
	var err error
	if p.StateDir, err = v.state.Dir(); err != nil {
		return p, err
	}
	local, _ := state.Running(p.StateDir)
	if p.Kafka == "" {
		if local.Kafka == "" {
			return p, errors.New("--kafka is not set and no local broker runs: give --kafka=HOST:PORT or run make up")
		}
		p.Kafka = local.Kafka
	}
	brokers, err := cli.Brokers("--kafka", p.Kafka)
	if err != nil {
		return p, err
	}
	p.Kafka = strings.Join(brokers, ",")
	for _, topic := range strings.Split(v.topics, ",") {
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
	if p.User == "" {
		me, err := user.Current()
		if err != nil {
			return p, fmt.Errorf("--user is not set and the system does not know who runs this: %w", err)
		}
		p.User = me.Username
	}
	if !userName.MatchString(p.User) {
		return p, fmt.Errorf("--user=%s: it must be a Hadoop user, such as alice", p.User)
	}
	p.Output, err = outputURL(v.output, p.User, local.HDFS)
	return p, err
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
	if !strings.Contains(output, "://") {
		return path.Clean(output), nil
	}
	if !strings.HasPrefix(output, scheme) || strings.ContainsAny(output, "?#") {
		return "", fmt.Errorf("--output=%s: it must be hdfs://HOST:PORT/PATH or a folder of this machine", output)
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
