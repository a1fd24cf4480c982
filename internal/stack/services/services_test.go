package services

import (
	"bytes"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"facestream/internal/rest"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"

	"github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The services do what is told of them, beside what each start tries.
func TestStack(t *testing.T) {
	testkit.NotShort(t, "starts Kafka and HDFS")
	s := testkit.Value(Start(t.Context(), t.TempDir(), Options{Kafka: true, HDFS: true, DataNodes: 2}))(t)
	t.Cleanup(func() { testkit.Must(t, s.Stop()) })
	// First of all: later, a DataNode that Start has not waited for may be there.
	testkit.Equal(t, "DataNodes", len(testkit.Value(dataNodes(t.Context(), s.Addrs))(t)), 2)
	t.Run("kafka", func(t *testing.T) { testKafka(t, s.Kafka) })
	t.Run("hdfs", func(t *testing.T) { testHDFS(t, s) })
	t.Run("pages", func(t *testing.T) { testPages(t, s.Web) })
}

// No topic comes from nowhere, and the start has left none.
func testKafka(t *testing.T, addr string) {
	client := testkit.Kafka(t, addr)
	err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "no-such-topic", Value: []byte("lost")}).FirstErr()
	testkit.Is(t, "sending to a topic that does not exist", err, kerr.UnknownTopicOrPartition)
	topics := testkit.Value(kadm.NewClient(client).ListTopics(t.Context()))(t)
	testkit.Equal(t, "topics", topics.Names(), nil)
}

// Any user can write where all may, owns what he wrote, and is safe from
// others; a browser gets the bytes.
func testHDFS(t *testing.T, s *Stack) {
	const dir, name = "/user/alice/faces", "/user/alice/faces/frames+0+1.jpg"
	dial := func(user string) *hdfs.Client {
		client := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{state.HostPort(s.HDFS)}, User: user}))(t)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	alice, bob, want := dial("alice"), dial("bob"), []byte("a picture")
	testkit.Must(t, alice.MkdirAll(dir, dirMode))
	w := testkit.Value(alice.Create(name))(t)
	testkit.Value(w.Write(want))(t)
	var err error
	testkit.Await(t, "a report of its block to the NameNode", func() bool {
		err = w.Close()
		return !hdfs.IsErrReplicating(err)
	})
	testkit.Must(t, err)
	for what, err := range map[string]error{
		"writing to another's folder":  bob.Mkdir(dir+"/bob", dirMode),
		"removing another's folder":    bob.RemoveAll("/user/alice"),
		"opening a folder to everyone": bob.Chmod("/user", 0o777),
	} {
		testkit.Is(t, what, err, fs.ErrPermission)
	}
	for _, open := range []string{"/for-bob", "/tmp/for-bob", "/user/bob"} {
		testkit.Must(t, bob.Mkdir(open, dirMode))
	}
	got, err := rest.Call(t.Context(), http.DefaultClient, http.MethodGet, s.Web+"/webhdfs/v1"+name+"?op=OPEN", "")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("WebHDFS gave %q (%v), want %q", got, err, want)
	}
	if left, err := alice.ReadDir("/"); err != nil || len(left) != 3 {
		t.Errorf("/ holds %v, %v, want for-bob, tmp and user: the start left something", left, err)
	}
}

// The file browser is served with what it needs.
func testPages(t *testing.T, web string) {
	for path, want := range map[string]string{
		"/explorer.html":                 "</body>",
		"/explorer.js":                   "file-info-download",
		"/static/jquery-3.6.0.min.js":    "jQuery",
		"/webhdfs/v1/?op=LISTSTATUS":     `"permission":"1777"`,
		"/static/dust-full-2.0.0.min.js": "dust",
	} {
		body, err := rest.Call(t.Context(), http.DefaultClient, http.MethodGet, web+path, "")
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v, %d bytes, want them with %q", path, err, len(body), want)
		}
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	testkit.NotShort(t, "starts a NameNode")
	dir := t.TempDir()
	// The NameNode's data folder cannot be made.
	blocked := filepath.Join(dir, "hdfs", "name")
	testkit.WriteFile(t, blocked, nil)
	_, err := Start(t.Context(), dir, Options{HDFS: true})
	testkit.Says(t, "a blocked folder", err, "formatting hdfs", "namenode.log", "ERROR", blocked)
}

// What has no address gets a free one of its own, and one that is taken is refused.
func TestChooseAddrs(t *testing.T) {
	l := testkit.Value(net.Listen("tcp", host+":0"))(t)
	taken := l.Addr().String()
	o := Options{HDFS: true, Spark: true, Addrs: state.Addrs{HDFS: "hdfs://" + taken, Kafka: "10.0.0.1:1"}}
	testkit.Says(t, "a taken address", o.chooseAddrs(), taken)
	testkit.Must(t, l.Close())
	o.Addrs.HDFS = "hdfs://" + taken
	testkit.Must(t, o.chooseAddrs())
	seen := map[string]bool{o.controller: true, o.jobManager: true}
	for _, a := range state.Addresses {
		switch addr := *a.In(&o.Addrs); {
		case !*o.Wants(a.Service):
			if addr != "" {
				t.Errorf("%s is %s, which is not wanted", a.Env, addr)
			}
		case a.Service == state.HDFS && a.Scheme == "hdfs://":
			if addr != a.Scheme+taken {
				t.Errorf("%s is %s, want the one that was given", a.Env, addr)
			}
		case !strings.HasPrefix(addr, a.Scheme+host+":") || seen[state.HostPort(addr)]:
			t.Errorf("%s is %s, want another address of the loopback than %v", a.Env, addr, seen)
		default:
			seen[state.HostPort(addr)] = true
		}
	}
}

// A cluster on Kubernetes has the memory and the patience of the one here.
func TestKubernetesHasTheSettings(t *testing.T) {
	manifest := string(testkit.ReadFile(t, "../../../deploy/kubernetes/flink.yaml"))
	for line := range strings.Lines(flinkSettings) {
		if same := regexp.MustCompile(`^(taskmanager\.memory|restart-strategy|heartbeat)\.`); same.MatchString(line) && !strings.Contains(manifest, "\n    "+line) {
			t.Errorf("deploy/kubernetes/flink.yaml has no %s", line)
		}
	}
}
