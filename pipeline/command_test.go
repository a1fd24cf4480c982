package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/camera/feed"
	"facestream/internal/cli"
	"facestream/internal/kerberos"
	"facestream/internal/record"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// A service manager does not try again after a wrong setting, so what may pass is none.
func TestStatusOfWhatPasses(t *testing.T) {
	for err, passes := range map[error]bool{
		store.ErrHeld: true, store.ErrLost: true, kafka.ErrGroupInUse: true, kafka.ErrUnreachable: true, wait.ErrOutage: true,
		kafka.ErrUnknownTopic: false, record.ErrTopicAnew: false, runners.ErrUnknownOption: false,
	} {
		if got := usageError(fmt.Errorf("starting: %w", err)); errors.Is(got, cli.ErrUsage) == passes {
			t.Errorf("%v is a wrong setting: %v, want %v", err, passes, !passes)
		}
	}
	for err, passes := range map[error]bool{kerberos.ErrNoTicket: true, errors.New("no such flag"): false} {
		if got := settingsError(fmt.Errorf("reading flags: %w", err)); errors.Is(got, cli.ErrUsage) == passes {
			t.Errorf("%v is a wrong setting: %v, want %v", err, passes, !passes)
		}
	}
}

// Also case 2: a topic that does not exist is named, and not created.
func TestCommandExitStatus(t *testing.T) {
	t.Parallel()
	addrs, topic := realServices(t), testservices.Name("exit")
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, 1)
	state, web := "--state_dir="+t.TempDir(), strings.TrimPrefix(addrs.Web, "http://")
	rest := []string{"--user=erin", "--output=" + addrs.HDFS + "/user/erin/x", "--duration=2s", state}
	good, nobody := append([]string{"--kafka=" + addrs.Kafka}, rest...), append([]string{"--kafka=127.0.0.1:1"}, rest...)
	for _, tc := range []struct {
		flags  []string
		status int
		stderr string
	}{
		{[]string{"--help"}, 0, ""},
		{append(good, "--topics=a b"), 2, "cannot be a topic"},
		{append(good, "--nonsense"), 2, "nonsense"},
		{append(good, "--topics=a", "--topics=b"), 2, `"b" for flag -topics: it is there twice`},
		{append(good, "--topics=nowhere"), 2, "nowhere"},
		{append(nobody, "--topics=nowhere"), 1, "127.0.0.1:1"},
		{append(good, "--topics="+topic, "--output=hdfs://"+web+"/x"), 1, "hdfs://erin@" + web + "/x"},
		{[]string{"--output=/tmp/x", state}, 2, "make up"},
		{[]string{"--kafka=h:1", state}, 2, "make up"},
		{append([]string{"check"}, append(good, "--topics="+topic)...), 0, ""},
		{append([]string{"check"}, append(good, "--topics=nowhere")...), 2, ""},
		{append([]string{"check"}, append(nobody, "--topics="+topic)...), 1, ""},
		{append([]string{"check"}, append(good, "--cascade=missing.xml")...), 2, "missing.xml"},
		{append(good, "check"), 2, "only flags"},
	} {
		var stdout, stderr strings.Builder
		status := program().Main(t.Context(), tc.flags, &stdout, &stderr)
		if status != tc.status || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("%v: exit status %d, want %d and %q in:\n%s", tc.flags, status, tc.status, tc.stderr, stderr.String())
		}
	}
	if testkit.Value(kadm.NewClient(testkit.Kafka(t, addrs.Kafka)).ListTopics(t.Context()))(t).Has("nowhere") {
		t.Error("the topic was created")
	}
	if files := hdfsFiles(t, addrs.HDFS, "/user/erin/x"); len(files) != 0 {
		t.Errorf("files %v, want none", files)
	}
}
