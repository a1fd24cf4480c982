package config

import (
	"flag"
	"io"
	"strings"
	"testing"
)

// parseEndpoints reads flags on a machine where a local stack runs, or none.
func parseEndpoints(t *testing.T, stack bool, args ...string) (Endpoints, error) {
	t.Helper()
	t.Setenv("HADOOP_CONF_DIR", "")
	stateDir := "--state_dir=" + t.TempDir()
	if stack {
		stateDir = localStack(t)
	}
	var v EndpointFlags
	f := flag.NewFlagSet("test", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	v.Add(f)
	if err := f.Parse(append([]string{stateDir, "--user=amy"}, args...)); err != nil {
		t.Fatal(err)
	}
	return v.Check()
}

func TestEndpoints(t *testing.T) {
	const broker, local = "127.0.0.1:19092", "hdfs://amy@127.0.0.1:18020/user/amy/faces"
	for _, test := range []struct{ args, kafka, topics, group, output string }{
		{"", broker, "frames", "facestream", local},
		{"--kafka=a:1 , b:2 --topics=x,y,x --group=g", "a:1,b:2", "x y", "g", local},
		{"--output=hdfs://h:3/p/../q/", broker, "frames", "facestream", "hdfs://amy@h:3/q"},
		{"--output=hdfs://amy@h:3,i:3/q", broker, "frames", "facestream", "hdfs://amy@h:3,i:3/q"},
		{"--output=hdfs://h:3/50%", broker, "frames", "facestream", "hdfs://amy@h:3/50%"},
		{"--output=faces/", broker, "frames", "facestream", "faces"},
	} {
		p, err := parseEndpoints(t, true, splitFlags(test.args)...)
		if err != nil || p.Kafka != test.kafka || strings.Join(p.Topics, " ") != test.topics || p.Group != test.group || p.Output != test.output || p.User != "amy" {
			t.Errorf("%q: got %+v, %v, want %+v", test.args, p, err, test)
		}
	}
}

func TestEndpointErrors(t *testing.T) {
	for _, test := range []struct {
		stack      bool
		args, want string
	}{
		{true, "--kafka=localhost", "must be HOST:PORT"},
		{true, "--kafka=127.0.0.1:1, ", "broker 2 is empty"},
		{true, "--topics=a,,b", "cannot be a topic"},
		{true, "--topics=a/b", "cannot be a topic"},
		{true, "--group=", "--group is empty"},
		{true, "--user=a/b", "must be a Hadoop user"},
		{true, "--output=s3://bucket", "must be hdfs://HOST:PORT/PATH or a folder"},
		{true, "--output=hdfs://h:1/", "must name a folder"},
		{true, "--output=hdfs://h:1", "must name a folder"},
		{true, "--output=hdfs://zoe@h:1/x", "another user than --user=amy"},
		{true, "--output=hdfs://h/x", "no port"},
		{true, "--output=hdfs://h:no/x", "HOST:PORT"},
		{false, "--output=x", "--kafka is not set and no local broker runs"},
		{false, "--kafka=a:1", "--output is not set and no local HDFS runs"},
	} {
		if p, err := parseEndpoints(t, test.stack, test.args); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v, want an error with %q", test.args, p, err, test.want)
		}
	}
}
