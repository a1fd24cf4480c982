package verify

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/stack/state"
)

func stack() (state.Addrs, bool) {
	return state.Addrs{Kafka: "local:1", HDFS: "hdfs://local:2"}, true
}

func noStack() (state.Addrs, bool) { return state.Addrs{}, false }

func TestParseOptions(t *testing.T) {
	t.Setenv("HADOOP_CONF_DIR", "")
	for _, test := range []struct {
		args   string
		kafka  string
		topics string
		output string
	}{
		{"--user=amy", "local:1", "frames", "hdfs://amy@local:2/user/amy/faces"},
		{"--user=amy --kafka=a:1,b:2 --topics=x,y,x", "a:1,b:2", "x y", "hdfs://amy@local:2/user/amy/faces"},
		{"--user=amy --output=hdfs://h:3/p/../q/", "local:1", "frames", "hdfs://amy@h:3/q"},
		{"--user=amy --output=hdfs://amy@h:3,i:3/q", "local:1", "frames", "hdfs://amy@h:3,i:3/q"},
		{"--user=amy --output=hdfs://h:3/50%", "local:1", "frames", "hdfs://amy@h:3/50%"},
		{"--user=amy --output=faces/", "local:1", "frames", "faces"},
	} {
		o, err := parseOptions(strings.Fields(test.args), stack)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if o.Kafka != test.kafka || strings.Join(o.Topics, " ") != test.topics || o.Output != test.output {
			t.Errorf("%q: got %+v, want %+v", test.args, o, test)
		}
		if o.Group != "facestream" || o.recheck != 0 || len(o.cascades) > 0 || o.json {
			t.Errorf("%q: other defaults: %+v", test.args, o)
		}
	}
}

func TestParseOptionsRecheck(t *testing.T) {
	cascade := filepath.Join(t.TempDir(), "mine.xml")
	if err := os.WriteFile(cascade, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions([]string{"--recheck=3", "--cascade=" + cascade, "--cascade=" + cascade}, stack)
	if err != nil || o.recheck != 3 || !slices.Equal(o.cascades, []string{cascade, cascade}) {
		t.Errorf("got %+v, %v", o, err)
	}
	o, err = parseOptions([]string{"--recheck=3"}, stack)
	for _, want := range []string{"haarcascade_frontalface_alt.xml", "haarcascade_profileface.xml"} {
		if err != nil || !slices.ContainsFunc(o.cascades, func(file string) bool { return filepath.Base(file) == want }) {
			t.Errorf("got %+v, %v, want %s among the cascades", o, err, want)
		}
	}
}

func TestParseOptionsErrors(t *testing.T) {
	t.Setenv("HADOOP_CONF_DIR", "")
	for args, want := range map[string]string{
		"frames":                       "only flags are expected",
		"--speed=3":                    "speed",
		"--kafka=localhost":            "must be HOST:PORT",
		"--topics=a,,b":                "cannot be a topic",
		"--topics=a/b":                 "cannot be a topic",
		"--group=":                     "--group is empty",
		"--user=a/b":                   "must be a Hadoop user",
		"--output=s3://bucket":         "must be hdfs://HOST:PORT/PATH or a folder",
		"--output=hdfs://h:1/":         "must name a folder",
		"--output=hdfs://h:1":          "must name a folder",
		"--output=hdfs://zoe@h:1/x":    "another user than --user=amy",
		"--output=hdfs://h/x":          "no port",
		"--output=hdfs://h:no/x":       "HOST:PORT",
		"--recheck=-1":                 "must be 0 or more",
		"--recheck=some":               "recheck",
		"--cascade=x":                  "--recheck=NUMBER, which is not set",
		"--recheck=1 --cascade=/no/no": "no such file",
	} {
		_, err := parseOptions(append([]string{"--user=amy"}, strings.Fields(args)...), stack)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", args, err, want)
		}
	}
	for args, want := range map[string]string{
		"--output=x":  "--kafka is not set and no local broker runs",
		"--kafka=a:1": "--output is not set and no local HDFS runs",
	} {
		if _, err := parseOptions([]string{args}, noStack); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q without a stack: got error %v, want one with %q", args, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	if _, err := parseOptions([]string{"--help"}, noStack); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want flag.ErrHelp", err)
	}
	var help strings.Builder
	printHelp(&help)
	newFlags(&settings{}).VisitAll(func(f *flag.Flag) {
		if !strings.Contains(help.String(), "-"+f.Name) || !strings.HasSuffix(f.Usage, ".") {
			t.Errorf("--%s is not explained in a sentence", f.Name)
		}
	})
	if !strings.Contains(help.String(), "Exit status: 0 all agrees") {
		t.Error("help does not name the exit statuses")
	}
}
