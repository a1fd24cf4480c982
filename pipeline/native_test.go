package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/testkit"
)

// The native reader needs no Java on Prism. While its window lasts, the picture of a frame
// is stored without another frame having to come, and a terminal shows it. When the topic
// gets another partition, the next window begins. A run that is interrupted leaves its
// window, and the next one reads it again.
func TestNativeStoresAtOnceWithoutJava(t *testing.T) {
	j := newJob(t, "at-once", "erin", "--reader=native", "--duration=10m", "--window=10m")
	t.Setenv("JAVA_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 1)
	t.Setenv("TERM", "xterm")
	terminal := testkit.NewTerminal(t, 200)
	defer func() { t.Log(strings.Join(terminal.Lines(), "\n")) }()
	ended, interrupt := j.begin(t, terminal)
	stored := func(sent, window int) {
		t.Helper()
		testkit.Await(t, "the picture of the last frame", func() bool {
			return len(recordsIn(j.files(t))) == sent || len(ended) > 0
		})
		progress := regexp.MustCompile(fmt.Sprintf(`^window %d, \d+ s: %d records, %[2]d faces, \d+\.\d frames/s, lag 0, latency p95 \d+\.\d\d s$`, window, sent))
		testkit.Await(t, progress.String(), func() bool {
			lines := terminal.Lines()
			return progress.MatchString(lines[len(lines)-1]) || len(ended) > 0
		})
	}
	stored(1, 1)
	c := testkit.Kafka(t, j.Kafka, kgo.DefaultProduceTopic(j.topic))
	testkit.Value(kadm.NewClient(c).CreatePartitions(t.Context(), 1, j.topic))(t)
	testkit.AwaitTopic(t, c, j.topic, 5)
	send(t, c, &kgo.Record{Partition: 4, Value: frames(t, feed.JPEG, 1)[0]})
	stored(2, 2)
	for sent := range 3 {
		sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 1)
		stored(3+sent, 2)
	}
	interrupt()
	if summary := j.run(t, "--drain"); summary.RecordsRead != 4 || summary.FilesWritten != summary.RecordsRead {
		t.Errorf("summary %+v, want the 4 records of the last window with a picture", summary)
	}
}
