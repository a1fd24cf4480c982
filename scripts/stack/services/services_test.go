package services

import (
	"bytes"
	"context"
	"errors"
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
		t.Skip("starts Kafka and HDFS")
	}
	s, err := Start(t.Context(), t.TempDir(), Options{Kafka: true, HDFS: true})
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

	stopped = true
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, child := range s.children.all {
		if child.Alive() {
			t.Errorf("%s still runs", child.Name)
		}
	}
	for _, addr := range []string{s.Kafka, strings.TrimPrefix(s.HDFS, "hdfs://"), strings.TrimPrefix(s.Web, "http://")} {
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
	_, err = chooseAddrs("", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got error %v, want one that names %s", err, l.Addr())
	}
}

func TestChooseAddrs(t *testing.T) {
	addrs, err := chooseAddrs("", "", "", "")
	if err != nil {
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
