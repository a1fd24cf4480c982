package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"facestream/internal/stack/state"
	"facestream/internal/testkit"

	"github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// In make test, the clusters are those that all packages share.
func TestStack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka, HDFS, Flink and Spark")
	}
	s, err := Start(t.Context(), t.TempDir(), Options{
		Kafka: true, HDFS: true, Flink: testkit.All(), Spark: testkit.All(),
		DataNodes: 2,
		HDFSSettings: map[string]string{
			"dfs.replication":        "2",
			"dfs.heartbeat.interval": "1", // a NameNode that comes back is seen sooner
		},
	})
	testkit.Must(t, err)
	stopped := false
	defer func() {
		if !stopped {
			_ = s.Stop()
		}
	}()
	// First of all: later, a DataNode that Start has not waited for may be there.
	t.Run("datanodes", func(t *testing.T) { testDataNodes(t, s) })
	t.Run("kafka", func(t *testing.T) { testKafka(t, s.Kafka) })
	t.Run("hdfs", func(t *testing.T) { testHDFS(t, s) })
	t.Run("pages", func(t *testing.T) { testPages(t, s.Web) })
	if testkit.All() {
		t.Run("clusters", func(t *testing.T) { testClusters(t, s) })
	}
	t.Run("loopback", func(t *testing.T) { testkit.MustListenOnLoopback(t, s.Processes()) })
	t.Run("restart", func(t *testing.T) { testRestart(t, s) })

	stopped = true
	testkit.Must(t, s.Stop())
	for _, p := range s.Processes() {
		if p.Alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
	for _, a := range state.Addresses {
		l, err := net.Listen("tcp", state.HostPort(*a.In(&s.Addrs)))
		if err != nil {
			t.Errorf("the port is still taken: %v", err)
			continue
		}
		_ = l.Close()
	}
}

// No topic comes from nowhere, and the start has left none.
func testKafka(t *testing.T, addr string) {
	client := testkit.Value(kgo.NewClient(kgo.SeedBrokers(addr)))(t)
	defer client.Close()
	err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "no-such-topic", Value: []byte("lost")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("sending to a topic that does not exist: got error %v", err)
	}
	topics := testkit.Value(kadm.NewClient(client).ListTopics(t.Context()))(t)
	if names := topics.Names(); len(names) != 0 {
		t.Errorf("topics are %q, want none", names)
	}
}

// The NameNode has both DataNodes, each of them one of the stack's processes.
func testDataNodes(t *testing.T, s *Stack) {
	nodes := testkit.Value(dataNodes(t.Context(), s.Addrs))(t)
	if len(nodes) != 2 {
		t.Errorf("the DataNodes are %q, want 2", nodes)
	}
	for _, name := range []string{"datanode", "datanode-2"} {
		isMember(t, s, name, nodes)
	}
}

// Any user can write where all may, owns what he wrote, and is safe from
// others; a browser gets the bytes.
func testHDFS(t *testing.T, s *Stack) {
	const dir, name = "/user/alice/faces", "/user/alice/faces/frames+0+1.jpg"
	alice, bob, want := dialHDFS(t, s, "alice"), dialHDFS(t, s, "bob"), []byte("a picture")
	testkit.Must(t, alice.MkdirAll(dir, dirMode))
	testkit.Must(t, writeFile(t, alice, name, want))
	for what, err := range map[string]error{
		"writing to another's folder":  bob.Mkdir(dir+"/bob", dirMode),
		"removing another's folder":    bob.RemoveAll("/user/alice"),
		"opening a folder to everyone": bob.Chmod("/user", 0o777),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got error %v, want %v", what, err, fs.ErrPermission)
		}
	}
	for _, open := range []string{"/for-bob", "/tmp/for-bob", "/user/bob"} {
		if err := bob.Mkdir(open, dirMode); err != nil {
			t.Error(err)
		}
	}
	got, err := request(t.Context(), http.MethodGet, s.Web+"/webhdfs/v1"+name+"?op=OPEN", "")
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
		body, err := request(t.Context(), http.MethodGet, web+path, "")
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v, %d bytes, want them with %q", path, err, len(body), want)
		}
	}
}

// Two TaskManagers of one slot each are free, and a failed job is tried again. Two
// Workers of one core each offer the memory of an executor.
func testClusters(t *testing.T, s *Stack) {
	type slots struct {
		TaskManagers int
		Total        int `json:"slots-total"`
		Free         int `json:"slots-available"`
	}
	var flink slots
	if err := getJSON(t.Context(), s.FlinkWeb+"/overview", &flink); err != nil || flink != (slots{2, 2, 2}) {
		t.Errorf("Flink: %+v, %v, want two of each", flink, err)
	}
	type setting struct{ Key, Value string }
	var config []setting
	if err := getJSON(t.Context(), s.FlinkWeb+"/jobmanager/config", &config); err != nil || !slices.Contains(config, setting{"restart-strategy.type", "fixed-delay"}) {
		t.Errorf("Flink's settings: %v, %v", config, err)
	}
	type worker struct {
		State         string
		Cores, Memory int // in MB
	}
	var spark struct {
		URL     string
		Workers []worker
	}
	want := worker{"ALIVE", 1, 1536}
	if err := getJSON(t.Context(), s.SparkWeb+"/json/", &spark); err != nil || spark.URL != s.SparkMaster || !slices.Equal(spark.Workers, []worker{want, want}) {
		t.Errorf("Spark: %+v, %v, want a Master at %s and two Workers as %+v", spark, err, s.SparkMaster, want)
	}
}

// What is killed comes back, one service at the same time as another.
func testRestart(t *testing.T, s *Stack) {
	tests := map[string]func(*testing.T, *Stack){"kafka": testRestartKafka, "hdfs": testRestartHDFS}
	if testkit.All() {
		tests["workers"] = testRestartWorkers
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the broker takes long, and does nothing
			test(t, s)
		})
	}
	if err := s.Restart(t.Context(), "datanode-3"); err == nil || !strings.Contains(err.Error(), "datanode-3") {
		t.Errorf("got error %v, want one that names the process", err)
	}
}

// A broker that was killed gives back what it was given. It is let in again
// when the session of the one that was killed has timed out, after 9 s.
func testRestartKafka(t *testing.T, s *Stack) {
	const topic = "kept"
	client := testkit.Value(kgo.NewClient(kgo.SeedBrokers(s.Kafka), kgo.ConsumeTopics(topic)))(t)
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	testkit.Must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("a record")}).FirstErr())
	kill(t, s, "kafka")
	restart(t, s, "kafka")
	fetches := client.PollFetches(t.Context())
	if got := fetches.Records(); len(got) != 1 || string(got[0].Value) != "a record" {
		t.Errorf("fetched %d records, errors %v, want the one that was sent", len(got), fetches.Errors())
	}
}

// Files outlive every process of HDFS.
func testRestartHDFS(t *testing.T, s *Stack) {
	const name = "/tmp/kept"
	all := []string{"namenode", "datanode", "datanode-2"}
	want := []byte("a file")
	client := dialHDFS(t, s, "alice")
	defaults := testkit.Value(client.ServerDefaults())(t)
	if defaults.Replication != 2 {
		t.Errorf("a file has %d replicas, want 2", defaults.Replication)
	}
	testkit.Must(t, writeFile(t, client, name, want))
	for _, test := range []struct{ killed, restarted []string }{
		{all, all},
		{nil, all[2:]}, // it still runs
	} {
		kill(t, s, test.killed...)
		restart(t, s, test.restarted...)
		testDataNodes(t, s)
		got, err := dialHDFS(t, s, "alice").ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("killed %q: the file holds %q, %v, want %q", test.killed, got, err, want)
		}
	}
}

// A TaskManager or a Worker that was killed is there again, and not the dead
// one taken for it.
func testRestartWorkers(t *testing.T, s *Stack) {
	for name, registered := range map[string]func(context.Context, state.Addrs) ([]string, error){
		"taskmanager-2": taskManagers, "spark-worker-2": sparkWorkers,
	} {
		kill(t, s, name)
		restart(t, s, name)
		members := testkit.Value(registered(t.Context(), s.Addrs))(t)
		isMember(t, s, name, members)
	}
}

// dialHDFS returns a client of HDFS that ends with the test.
func dialHDFS(t *testing.T, s *Stack, user string) *hdfs.Client {
	t.Helper()
	client := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{state.HostPort(s.HDFS)}, User: user}))(t)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// writeFile stores a new file.
func writeFile(t *testing.T, client *hdfs.Client, name string, data []byte) error {
	t.Helper()
	w, err := client.Create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return errors.Join(err, w.Close())
	}
	// The NameNode refuses until a DataNode has reported the block.
	testkit.Await(t, "the end of "+name, func() bool {
		err = w.Close()
		return !hdfs.IsErrReplicating(err)
	})
	return err
}

// kill kills processes and waits until they are gone.
func kill(t *testing.T, s *Stack, names ...string) {
	t.Helper()
	for _, name := range names {
		p, ok := s.Process(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		testkit.Must(t, syscall.Kill(p.PID, syscall.SIGKILL))
		testkit.Await(t, "the end of "+name, func() bool { return !p.Alive() })
	}
}

// restart restarts processes and checks that they have taken the old ones'
// places.
func restart(t *testing.T, s *Stack, names ...string) {
	t.Helper()
	before := s.Processes()
	for _, name := range names {
		old, _ := s.Process(name)
		testkit.Must(t, s.Restart(t.Context(), name))
		if old.Alive() {
			t.Errorf("the old %s still runs", name)
		}
	}
	for i, p := range s.Processes() {
		if p.Name != before[i].Name {
			t.Errorf("process %d is %s after %s", i, p.Name, before[i].Name)
		}
		if slices.Contains(names, p.Name) && (p.PID == before[i].PID || !p.Alive()) {
			t.Errorf("%s is process %d, alive: %v; it was %d", p.Name, p.PID, p.Alive(), before[i].PID)
		}
	}
}

// isMember checks that one of the names under which members have registered ends
// with, or has before a path, a port at which the process listens.
func isMember(t *testing.T, s *Stack, name string, members []string) {
	t.Helper()
	p, _ := s.Process(name)
	for _, addr := range testkit.Listeners(t, p.PID) {
		if slices.ContainsFunc(members, regexp.MustCompile(fmt.Sprintf(`[:-]%d(/|$)`, addr.Port())).MatchString) {
			return
		}
	}
	t.Errorf("%s is none of the members %q", name, members)
}

func TestStartSaysWhyItFailed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a NameNode")
	}
	dir := t.TempDir()
	// The NameNode's data folder cannot be made.
	blocked := filepath.Join(dir, "hdfs", "name")
	testkit.Must(t, os.MkdirAll(filepath.Dir(blocked), dirMode))
	testkit.Must(t, os.WriteFile(blocked, nil, fileMode))
	_, err := Start(t.Context(), dir, Options{HDFS: true})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"formatting hdfs", "namenode.log", "ERROR", blocked} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not hold %q:\n%v", want, err)
		}
	}
}

// What has no address gets a free one of its own, and one that is taken is refused.
func TestChooseAddrs(t *testing.T) {
	l := testkit.Value(net.Listen("tcp", host+":0"))(t)
	taken := l.Addr().String()
	o := Options{HDFS: true, Spark: true, Addrs: state.Addrs{HDFS: "hdfs://" + taken, Kafka: "10.0.0.1:1"}}
	if err := o.chooseAddrs(); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("got error %v, want one that names %s", err, taken)
	}
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
