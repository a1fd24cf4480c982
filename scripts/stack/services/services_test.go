package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestStack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka, HDFS, Flink and Spark")
	}
	s, err := Start(t.Context(), t.TempDir(), Options{Kafka: true, HDFS: true, Flink: true, Spark: true})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = s.Stop()
		}
	}()
	t.Run("kafka", func(t *testing.T) { testKafka(t, s.Kafka) })
	t.Run("hdfs", func(t *testing.T) { testHDFS(t, strings.TrimPrefix(s.HDFS, "hdfs://"), s.Web) })
	t.Run("pages", func(t *testing.T) { testPages(t, s.Web) })
	t.Run("flink", func(t *testing.T) { testFlink(t, s.Flink, s.FlinkWeb) })
	t.Run("spark", func(t *testing.T) { testSpark(t, s.Spark, s.SparkWeb) })
	t.Run("loopback", func(t *testing.T) { testLoopback(t, s.children.all) })

	stopped = true
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, child := range s.children.all {
		if child.Alive() {
			t.Errorf("%s still runs", child.Name)
		}
	}
	for _, addr := range []string{
		s.Kafka, strings.TrimPrefix(s.HDFS, "hdfs://"), strings.TrimPrefix(s.Web, "http://"),
		s.Flink, strings.TrimPrefix(s.FlinkWeb, "http://"), s.Spark, strings.TrimPrefix(s.SparkWeb, "http://"),
	} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("the port is still taken: %v", err)
			continue
		}
		_ = l.Close()
	}
}

// A record above the default limit passes through a topic that allows it, and
// no topic comes from nowhere.
func testKafka(t *testing.T, addr string) {
	const topic, limit, size = "frames", "8388608", 4 << 20
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerBatchMaxBytes(2*size),
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup("viewers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	bytesLimit := limit
	if _, err := admin.CreateTopic(ctx, 2, 1, map[string]*string{"max.message.bytes": &bytesLimit}, topic); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("facestream "), size/len("facestream "))
	sent := &kgo.Record{Topic: topic, Value: value}
	if err := client.ProduceSync(ctx, sent).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	got := fetches.Records()
	if len(got) != 1 || !bytes.Equal(got[0].Value, value) {
		t.Errorf("fetched %d records, want the one that was sent", len(got))
	}
	err = client.ProduceSync(ctx, &kgo.Record{Topic: "no-such-topic", Value: []byte("lost")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("sending to a topic that does not exist: got error %v", err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if names := topics.Names(); len(names) != 1 || names[0] != topic {
		t.Errorf("topics are %q, want only %q", names, topic)
	}
}

// Any user can write where all may, owns what he wrote, and is safe from
// others; a browser gets the bytes.
func testHDFS(t *testing.T, addr, web string) {
	const dir, name = "/user/alice/faces", "/user/alice/faces/frames+0+1.jpg"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	alice, err := dialHDFS(ctx, addr, "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	if err := alice.MkdirAll(dir, dirMode); err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(ctx, alice, name, picture.Bytes()); err != nil {
		t.Fatal(err)
	}
	info, err := alice.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.(interface{ Owner() string }).Owner(); owner != "alice" {
		t.Errorf("the file belongs to %q, want alice", owner)
	}
	bob, err := dialHDFS(ctx, addr, "bob")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
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
	got, err := readWeb(ctx, strings.TrimPrefix(web, "http://"), name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, picture.Bytes()) {
		t.Errorf("WebHDFS gave %d bytes, want the %d that were written", len(got), picture.Len())
	}
	if left, err := alice.ReadDir("/"); err != nil || len(left) != 3 {
		t.Errorf("/ holds %v, %v, want for-bob, tmp and user: the start left something", left, err)
	}
}

// The file browser is served with the preview, and with what both need.
func testPages(t *testing.T, web string) {
	for path, want := range map[string]string{
		"/explorer.html":                 `<script src="preview.js"></script></body>`,
		"/preview.js":                    "picture-preview",
		"/explorer.js":                   "file-info-download",
		"/static/jquery-3.6.0.min.js":    "jQuery",
		"/webhdfs/v1/?op=LISTSTATUS":     `"permission":"1777"`,
		"/static/dust-full-2.0.0.min.js": "dust",
	} {
		resp, err := http.Get(web + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %d bytes, want them with %q", path, resp.Status, len(body), want)
		}
	}
}

// Two TaskManagers of one slot each are free, a failed job is tried again, and
// the job server answers.
func testFlink(t *testing.T, addr, web string) {
	var all struct {
		TaskManagers []struct {
			Slots int `json:"slotsNumber"`
			Free  int `json:"freeSlots"`
		} `json:"taskmanagers"`
	}
	if err := getJSON(t.Context(), web+"/taskmanagers", &all); err != nil {
		t.Fatal(err)
	}
	if len(all.TaskManagers) != 2 {
		t.Errorf("there are %d TaskManagers, want 2", len(all.TaskManagers))
	}
	for _, m := range all.TaskManagers {
		if m.Slots != 1 || m.Free != 1 {
			t.Errorf("a TaskManager has %d slots, %d free, want one free slot", m.Slots, m.Free)
		}
	}
	var config []struct{ Key, Value string }
	if err := getJSON(t.Context(), web+"/jobmanager/config", &config); err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range config {
		settings[s.Key] = s.Value
	}
	if got := settings["restart-strategy.type"]; got != "fixed-delay" {
		t.Errorf("the restart strategy is %q", got)
	}
	if err := tryJobServer(t.Context(), addr); err != nil {
		t.Error(err)
	}
}

// Two Workers of one core each offer the memory of an executor, and the job
// server answers.
func testSpark(t *testing.T, addr, web string) {
	var all struct {
		Workers []struct {
			State  string
			Cores  int
			Memory int // in MB
		}
	}
	if err := getJSON(t.Context(), web+"/json/", &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Workers) != 2 {
		t.Errorf("there are %d Workers, want 2", len(all.Workers))
	}
	for _, w := range all.Workers {
		if w.State != "ALIVE" || w.Cores != 1 || fmt.Sprintf("%dm", w.Memory) != executorHeap {
			t.Errorf("a Worker is %s with %d cores and %d MB, want one core and %s", w.State, w.Cores, w.Memory, executorHeap)
		}
	}
	if err := tryJobServer(t.Context(), addr); err != nil {
		t.Error(err)
	}
}

// Nothing listens on another address than the loopback's.
func testLoopback(t *testing.T, children []*child) {
	for _, c := range children {
		if strings.HasSuffix(c.Name, "-jobserver") {
			continue // Beam listens everywhere
		}
		addrs := listeners(t, c.PID)
		if len(addrs) == 0 {
			t.Errorf("%s listens nowhere", c.Name)
		}
		for _, addr := range addrs {
			if !strings.HasPrefix(addr, "0100007F:") {
				t.Errorf("%s listens on %s, in hexadecimal", c.Name, addr)
			}
		}
	}
}

// listeners returns where a process listens, as /proc writes it (proc(5)).
func listeners(t *testing.T, pid int) []string {
	t.Helper()
	proc := filepath.Join("/proc", fmt.Sprint(pid))
	files, err := filepath.Glob(filepath.Join(proc, "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	sockets := map[string]bool{}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil { // it may have been closed
			sockets[target] = true
		}
	}
	var addrs []string
	for _, table := range []string{"tcp", "tcp6"} {
		lines, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(lines)) {
			const local, state, inode, listening = 1, 3, 9, "0A"
			fields := strings.Fields(line)
			if fields[state] == listening && sockets["socket:["+fields[inode]+"]"] {
				addrs = append(addrs, fields[local])
			}
		}
	}
	return addrs
}

func TestStartSaysWhyItFailed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a NameNode")
	}
	dir := t.TempDir()
	// The NameNode's data folder cannot be made.
	blocked := filepath.Join(dir, "hdfs", "name")
	if err := os.MkdirAll(filepath.Dir(blocked), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blocked, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), dir, Options{HDFS: true})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"formatting HDFS", "namenode.log", "ERROR", blocked} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not hold %q:\n%v", want, err)
		}
	}
}

func TestStartRefusesTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free, taken := "", l.Addr().String()
	err = chooseAddrs(&free, &taken)
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got error %v, want one that names %s", err, l.Addr())
	}
}

func TestChooseAddrs(t *testing.T) {
	addrs := make([]string, 4)
	if err := chooseAddrs(&addrs[0], &addrs[1], &addrs[2], &addrs[3]); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range addrs {
		if !strings.HasPrefix(addr, "127.0.0.1:") || seen[addr] {
			t.Errorf("got %q, want four different addresses of the loopback", addrs)
		}
		seen[addr] = true
	}
}
