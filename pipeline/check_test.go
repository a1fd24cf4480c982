package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/preflight"
	"facestream/internal/rest"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/runners"
)

// checked runs the checks and returns their lines.
func checked(t *testing.T, flags ...string) (lines []string, err error) {
	t.Helper()
	var out strings.Builder
	err = preflight.Check(t.Context(), optionsFor(t, flags...), &out)
	t.Log("\n" + out.String())
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), err
}

// columns are between those of a line, which are as wide as the longest topic needs.
var columns = regexp.MustCompile("  +")

func lineOf(pattern string) *regexp.Regexp {
	return regexp.MustCompile("^" + columns.ReplaceAllString(pattern, " +") + "$")
}

// mustMatch fails the test unless each line matches the pattern at its place.
func mustMatch(t *testing.T, lines []string, patterns ...string) {
	t.Helper()
	for i, pattern := range patterns {
		if i >= len(lines) || !lineOf(pattern).MatchString(lines[i]) {
			t.Errorf("line %d is not %s", i+1, pattern)
		}
	}
	if len(lines) > len(patterns) {
		t.Errorf("%d lines, want %d", len(lines), len(patterns))
	}
}

// mixedTopic is a topic with JPEGs, raw frames, and records that are neither.
func mixedTopic(t *testing.T, addrs state.Addrs, topic string) {
	t.Helper()
	sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, 4)
	sendDemo(t, addrs.Kafka, topic, feed.Raw, 4, 7)
	c := testkit.Kafka(t, addrs.Kafka, kgo.DefaultProduceTopic(topic))
	send(t, c, &kgo.Record{Value: random(5000), Key: []byte("hall")}, &kgo.Record{Value: random(999), Key: []byte("door"), Partition: 1}, &kgo.Record{Key: []byte("\x1b[2J"), Partition: 2})
}

// All is as it should be, on real parts. Nothing is left of the look.
func TestCheck(t *testing.T) {
	t.Parallel()
	addrs, topic, home := realServices(t), testservices.Name("checked"), "/"+testservices.Name("check-alice")
	mixedTopic(t, addrs, topic)
	flags := []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--user=alice", "--output=" + addrs.HDFS + home + "/not/yet"}
	lines, err := checked(t, flags...)
	if err != nil {
		t.Error(err)
	}
	reject := `warn  topic ` + topic + `  1 of the last 10 records would be rejected, such as offset \d+ of partition 0: 5000 bytes without a content-type header .* \(send a content-type header, or give --frame_size=WIDTHxHEIGHT\)`
	want := []string{
		`ok    kafka          127\.0\.0\.1:\d+ answers, 1 broker, Kafka \d\.\d.*, messages of up to \d+ bytes`,
		`ok    group          no consumer is a member of facestream`,
		`ok    topic ` + topic + `  4 partitions, 10 records, 10 waiting for group facestream; messages of up to \d+ bytes; the last 10: \d+ bytes on average, the largest 92\d{4}; ` +
			`bgr 3, jpeg 4, skipped_null 1, skipped_small 1, wrong_size 1; from camera \\x1b\[2J, demo, door and 1 more`,
		reject,
		`ok    output         hdfs://alice@127\.0\.0\.1:\d+` + home + `/not/yet can be written as alice`,
		`ok    space          \d+\.\d [GT]B of \d+\.\d [GT]B free; / belongs to hdfs`,
		`ok    detector       /.*/haarcascade_frontalface_alt\.xml loads in OpenCV \d+\.\d+\.\d+, SHA-256 [0-9a-f]{64}`,
		`ok    java           /.*/java is Java 17\..*`,
		`ok    java parts     Beam's Java parts: beam 2\.62\.0`,
		`ok    network        servers of a run listen on 127\.0\.0\.1, but for Prism`,
	}
	if _, others, err := runners.Exposed(runners.Config{Name: runners.Prism}); err != nil || len(others) > 0 {
		want = append(want, `warn  network        Prism listens on all addresses, also on .*: who reaches it can run programs here, .* firewall`)
	}
	mustMatch(t, lines, append(want, `ok    lease          no other run of group facestream is at work`, `ok    ledgers        of no other topics than these`)...)
	if _, err := testservices.DialHDFS(t, addrs.HDFS, "hdfs").Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist: the check left a folder", err)
	}

	// A run says no more than the warning.
	_, said := runBuilt(t, Build, optionsFor(t, append(flags, "--runner=direct", "--drain")...))
	said, _, _ = strings.Cut(said, "reading ")
	mustMatch(t, strings.Split(strings.TrimSpace(said), "\n"), reject)

	// A folder of this machine, and no Java.
	dir := filepath.Join(t.TempDir(), "faces")
	lines, err = checked(t, "--kafka="+addrs.Kafka, "--topics="+topic, "--runner=direct", "--output="+dir, "--group=other")
	if err != nil {
		t.Error(err)
	}
	mustMatch(t, lines,
		`ok    kafka          .*`,
		`ok    group          .*`,
		`ok    topic `+topic+`  .* 10 waiting for group other; .*`,
		`warn  topic `+topic+`  .*`,
		`ok    output         `+dir+` can be written`,
		`ok    space          \d.* of \d.* free`,
		`ok    detector       .*`,
		`ok    lease          .*`,
		`ok    ledgers        of no other topics than these`,
	)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist: the check left a folder", err)
	}
}

// Each thing that is missing has its line, which says what to do; the others are
// checked all the same.
func TestCheckFails(t *testing.T) {
	t.Parallel()
	addrs, topic := realServices(t), testservices.Name("check-empty")
	newTopic(t, addrs.Kafka, topic, 2)
	root := testservices.DialHDFS(t, addrs.HDFS, "hdfs")
	for dir, mode := range map[string]os.FileMode{"/check-private": 0o700, "/check-quota": 0o777, "/check-full": 0o777} {
		testkit.Must(t, root.MkdirAll(dir, mode))
		testkit.Must(t, root.Chmod(dir, mode)) // whatever the umask
	}
	setQuota(t, addrs, "/check-quota", "namespacequota=100&storagespacequota=1000000000")
	setQuota(t, addrs, "/check-full", "namespacequota=1")
	const nobody = "127.0.0.1:1"
	file := filepath.Join(t.TempDir(), "file")
	testkit.WriteFile(t, file, nil)
	for _, tc := range []struct {
		about string
		flags string
		lines []string // that are wanted among others
	}{
		{"no broker", "--kafka=" + nobody, []string{
			`FAIL  kafka              .*127\.0\.0\.1:1.* \(does Kafka run, and is this the address for --kafka\?\)`,
			`skip  topic ` + topic + `  not checked, as kafka failed`,
			`skip  ledgers            not checked, as kafka failed`,
			`ok    output .*`,
			`ok    space .*`,
		}},
		{"no topic", "--topics=nowhere," + topic, []string{
			`ok    kafka .*`,
			`FAIL  topic nowhere      topic "nowhere" .*: topic does not exist \(make it, or name one that exists with --topics\)`,
			`ok    topic ` + topic + `  2 partitions, 0 records, 0 waiting for group facestream`,
			`ok    output .*`,
		}},
		{"no permission", "--output=" + addrs.HDFS + "/check-private/faces", []string{
			`FAIL  output .*hdfs://bob@.*/check-private/faces.* \(choose a folder this user may write to.*`,
			`skip  ledgers .*not checked, as output failed`,
		}},
		{"full quota", "--output=" + addrs.HDFS + "/check-full", []string{
			`FAIL  output .*hdfs://bob@.*/check-full.*quota of files and folders is used up: remove some.*`,
		}},
		{"small quota", "--output=" + addrs.HDFS + "/check-quota", []string{
			`ok    output .*`,
			`ok    space .*; /check-quota belongs to hdfs; quota of /check-quota: 99 of 100 names left; quota of /check-quota: 1\.0 GB of 1\.0 GB left`,
			`warn  space              /check-quota may hold 99 files more: remove some.*`,
			`warn  space              /check-quota may hold 1\.0 GB more, replicas included, and each file takes 134\.2 MB while it is written: remove files.*`,
		}},
		{"file as a folder", "--output=" + file, []string{`FAIL  output .*` + file + `.* \(choose a folder, this is a file or is below one\)`}},
		{"no expansion service", "--expansion_addr=" + nobody, []string{`FAIL  expansion .*127\.0\.0\.1:1.* \(start it, or leave --expansion_addr out\)`}},
		{"no job server", "--runner=spark --endpoint=" + nobody, []string{`FAIL  job server .*127\.0\.0\.1:1.* \(start it, or give its address with --endpoint\)`}},
		{"no Flink", "--runner=flink --parallelism=2 --master=" + nobody, []string{`FAIL  flink .*127\.0\.0\.1:1.* \(start it, or give the address of its REST API with --master\)`}},
		{"no Spark", "--runner=spark --master=spark://" + nobody, []string{`FAIL  spark .*127\.0\.0\.1:1.* \(start Spark's Master, or give its address with --master\)`}},
		{"local output of a cluster", "--runner=spark --master=spark://" + nobody + " --output=" + t.TempDir(), []string{`warn  output .* nodes of the cluster .*; give an hdfs:// name`}},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			flags := append([]string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--user=bob", "--output=" + addrs.HDFS + "/user/bob/x"}, strings.Split(tc.flags, " ")...)
			lines, err := checked(t, flags...)
			fails := slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "FAIL") })
			if fails != (err != nil) {
				t.Errorf("error %v, with a line of a failure: %t", err, fails)
			}
			for _, want := range tc.lines {
				if !slices.ContainsFunc(lines, lineOf(want).MatchString) {
					t.Errorf("no line %s", want)
				}
			}
		})
	}
}

// setQuota sets a folder's quotas through WebHDFS: Hadoop's own program for it
// takes a second to start.
func setQuota(t *testing.T, addrs state.Addrs, dir, quotas string) {
	t.Helper()
	testkit.Value(rest.Call(t.Context(), http.DefaultClient, http.MethodPut, addrs.Web+"/webhdfs/v1"+dir+"?user.name=hdfs&op=SETQUOTA&"+quotas, ""))(t)
}
