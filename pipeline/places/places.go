// Package places reads the settings that say where things are: the broker, the
// topics, the consumer group, the Hadoop user and the folder of the pictures. The
// job and the programs that look at what it left take the same.
package places

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os/user"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"facestream/scripts/stack/state"
	"facestream/transforms/hdfs"
)

// Flags are the settings as given.
type Flags struct {
	kafka, topics, user, output, group string
}

// Add adds the flags to f.
func (v *Flags) Add(f *flag.FlagSet) {
	f.StringVar(&v.kafka, "kafka", "", "`HOST:PORT` of the Kafka brokers, comma-separated. Default: the broker of the local stack (make up).")
	f.StringVar(&v.topics, "topics", "frames", "`TOPICS` of the frames, comma-separated. They must exist.")
	f.StringVar(&v.user, "user", "", "Hadoop `USER` that owns the pictures. Default: who runs this program.")
	f.StringVar(&v.output, "output", "", "`URL` of the folder of the pictures, hdfs://HOST:PORT/PATH, or a folder of this machine. HOST:PORT may be several, comma-separated, or a nameservice of the configuration in $HADOOP_CONF_DIR. Default: /user/USER/faces on the HDFS of the local stack.")
	f.StringVar(&v.group, "group", "facestream", "`NAME` of the Kafka consumer group whose offsets say how far the pictures are. A new group starts at the first record.")
}

// Places are the settings, checked.
type Places struct {
	Kafka  string // host:port, comma-separated
	Topics []string
	User   string // Hadoop user
	Output string // hdfs://user@host:port/path, or a folder of this machine
	Group  string
}

var (
	topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$`)
)

// Check completes the settings. local gives the addresses of the local stack for
// what is not set. Its errors say what is wrong and what would be right.
func (v *Flags) Check(local func() (state.Addrs, bool)) (Places, error) {
	p := Places{Kafka: v.kafka, User: v.user, Group: v.group}
	if p.Kafka == "" {
		addrs, ok := local()
		if !ok || addrs.Kafka == "" {
			return p, errors.New("--kafka is not set and no local broker runs: give --kafka=HOST:PORT or run make up")
		}
		p.Kafka = addrs.Kafka
	}
	for _, addr := range strings.Split(p.Kafka, ",") {
		if err := CheckAddr("--kafka", addr); err != nil {
			return p, err
		}
	}
	for _, topic := range strings.Split(v.topics, ",") {
		topic = strings.TrimSpace(topic)
		if !topicName.MatchString(topic) || topic == "." || topic == ".." {
			return p, fmt.Errorf("--topics=%s: %q cannot be a topic: names have 1 to 249 of the characters A-Z a-z 0-9 . _ -", v.topics, topic)
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
	var err error
	p.Output, err = outputURL(v.output, p.User, local)
	return p, err
}

// outputURL puts the user into an HDFS name, where the file system looks for it.
func outputURL(output, user string, local func() (state.Addrs, bool)) (string, error) {
	const scheme = "hdfs://"
	if output == "" {
		addrs, ok := local()
		if !ok || addrs.HDFS == "" {
			return "", errors.New("--output is not set and no local HDFS runs: give --output=hdfs://HOST:PORT/PATH or run make up")
		}
		output = addrs.HDFS + "/user/" + user + "/faces"
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

// CheckAddr says what is wrong with the value of a flag that must be HOST:PORT.
func CheckAddr(flag, addr string) error {
	host, port, err := net.SplitHostPort(strings.TrimSpace(addr))
	n, perr := strconv.Atoi(port)
	if err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s: %q must be HOST:PORT, such as localhost:9092", flag, addr)
	}
	return nil
}
