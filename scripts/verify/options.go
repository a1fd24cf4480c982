package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"facestream/scripts/stack/state"
	"facestream/transforms/face"
	"facestream/transforms/hdfs"
)

// options is the command line, checked.
type options struct {
	kafka    string // host:port, comma-separated
	topics   []string
	output   string // hdfs://user@host:port/path, or a folder of this machine
	group    string
	recheck  int      // how many records; 0 for none
	cascades []string // files, to choose from; none without recheck
	json     bool
}

const usage = `verify looks whether everything is where it should be: it compares what Kafka
holds, what the ledgers say, and which files are stored. It changes nothing.

  go run ./scripts/verify [flags]

With a stack started by "make up", no flag is needed.

Flags:
`

const examples = `
Examples:
  go run ./scripts/verify --recheck=100
  go run ./scripts/verify --kafka=broker1:9092 --topics=door,hall \
      --user=video --output=hdfs://namenode:8020/faces --json

Exit status: 0 all agrees, 1 it does not or could not be looked at, 2 wrong
setting, 130 interrupted.
`

var (
	topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*\$?$`)
)

// settings are the flags as given.
type settings struct {
	kafka, topics, user, output, group string
	recheck                            int
	cascades                           []string
	json                               bool
}

func newFlags(v *settings) *flag.FlagSet {
	f := flag.NewFlagSet("verify", flag.ContinueOnError)
	f.StringVar(&v.kafka, "kafka", "", "`HOST:PORT` of the Kafka brokers, comma-separated. Default: the broker of the local stack (make up).")
	f.StringVar(&v.topics, "topics", "frames", "`TOPICS` to look at, comma-separated.")
	f.StringVar(&v.user, "user", "", "Hadoop `USER` to read the pictures as. Default: who runs this program.")
	f.StringVar(&v.output, "output", "", "`URL` of the folder with the pictures, hdfs://HOST:PORT/PATH, or a folder of this machine. Default: /user/USER/faces on the HDFS of the local stack.")
	f.StringVar(&v.group, "group", "facestream", "`NAME` of the Kafka consumer group whose offsets say how far the pipeline has come.")
	f.IntVar(&v.recheck, "recheck", 0, "Choose this `NUMBER` of records at random, read them again from Kafka, make their files once more, and compare the bytes.")
	f.Func("cascade", "`FILE` of the cascade classifier that the pipeline was given, for --recheck. May be given several times, if there were several. Default: OpenCV's haarcascade_frontalface_alt.xml.", func(file string) error {
		v.cascades = append(v.cascades, file)
		return nil
	})
	f.BoolVar(&v.json, "json", false, "Print all that was found as one JSON document, instead of a table and the first problems.")
	return f
}

func printHelp(out io.Writer) {
	f := newFlags(&settings{})
	f.SetOutput(out)
	fmt.Fprint(out, usage)
	f.PrintDefaults()
	fmt.Fprint(out, examples)
}

// parseOptions reads the command line. local gives the addresses of the local
// stack for what is not set. Its errors say what is wrong and what would be
// right; flag.ErrHelp means that help was asked for (see printHelp).
func parseOptions(args []string, local func() (state.Addrs, bool)) (options, error) {
	var v settings
	f := newFlags(&v)
	f.SetOutput(io.Discard) // the caller prints the error
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("%q: only flags are expected, such as --topics=A,B", f.Arg(0))
	}
	return v.options(local)
}

func (v *settings) options(local func() (state.Addrs, bool)) (options, error) {
	o := options{kafka: v.kafka, group: v.group, recheck: v.recheck, json: v.json}
	if o.kafka == "" {
		addrs, ok := local()
		if !ok || addrs.Kafka == "" {
			return o, errors.New("--kafka is not set and no local broker runs: give --kafka=HOST:PORT or run make up")
		}
		o.kafka = addrs.Kafka
	}
	for _, addr := range strings.Split(o.kafka, ",") {
		if err := checkAddr("--kafka", addr); err != nil {
			return o, err
		}
	}
	for _, topic := range strings.Split(v.topics, ",") {
		topic = strings.TrimSpace(topic)
		if !topicName.MatchString(topic) || topic == "." || topic == ".." {
			return o, fmt.Errorf("--topics=%s: %q cannot be a topic: names have 1 to 249 of the characters A-Z a-z 0-9 . _ -", v.topics, topic)
		}
		if !slices.Contains(o.topics, topic) {
			o.topics = append(o.topics, topic)
		}
	}
	if o.group == "" {
		return o, errors.New("--group is empty: name the pipeline's consumer group, such as facestream")
	}
	if v.user == "" {
		me, err := user.Current()
		if err != nil {
			return o, fmt.Errorf("--user is not set and the system does not know who runs this: %w", err)
		}
		v.user = me.Username
	}
	if !userName.MatchString(v.user) {
		return o, fmt.Errorf("--user=%s: it must be a Hadoop user, such as alice", v.user)
	}
	var err error
	if o.output, err = outputRoot(v.output, v.user, local); err != nil {
		return o, err
	}
	if o.recheck < 0 {
		return o, fmt.Errorf("--recheck=%d: it must be 0 or more", o.recheck)
	}
	if len(v.cascades) > 0 && o.recheck == 0 {
		return o, errors.New("--cascade is for --recheck=NUMBER, which is not set")
	}
	if o.recheck > 0 {
		o.cascades, err = cascadeFiles(v.cascades)
	}
	return o, err
}

// cascadeFiles returns the files that were named, or OpenCV's.
func cascadeFiles(named []string) ([]string, error) {
	if len(named) == 0 {
		file, err := face.DefaultCascade()
		return []string{file}, err
	}
	for _, file := range named {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("--cascade: %w", err)
		}
	}
	return named, nil
}

// outputRoot puts the user into an HDFS name, where the file system looks for
// it.
func outputRoot(output, user string, local func() (state.Addrs, bool)) (string, error) {
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
	rest, ok := strings.CutPrefix(output, scheme)
	if !ok {
		return "", fmt.Errorf("--output=%s: it must be hdfs://HOST:PORT/PATH or a folder of this machine", output)
	}
	address, folder, _ := strings.Cut(rest, "/")
	if named, at, ok := strings.Cut(address, "@"); ok {
		if named != user {
			return "", fmt.Errorf("--output=%s: it names another user than --user=%s", output, user)
		}
		address = at
	}
	if folder = path.Clean("/" + folder); folder == "/" {
		return "", fmt.Errorf("--output=%s: it must name a folder, such as %s/faces", output, scheme+address)
	}
	root, err := hdfs.Resolve(scheme + user + "@" + address + folder)
	if err != nil {
		return "", fmt.Errorf("--output: %w", err)
	}
	return root, nil
}

func checkAddr(flag, addr string) error {
	host, port, err := net.SplitHostPort(strings.TrimSpace(addr))
	n, perr := strconv.Atoi(port)
	if err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s: %q must be HOST:PORT, such as localhost:9092", flag, addr)
	}
	return nil
}
