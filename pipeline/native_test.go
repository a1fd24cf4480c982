package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/internal/run"
	"facestream/internal/testkit"
)

// The native reader needs no Java on Prism. While its window lasts, the picture of a frame
// is stored without another frame having to come, and a terminal shows it; a run that is
// interrupted then leaves it, and the next one reads the window again.
func TestNativeStoresAtOnceWithoutJava(t *testing.T) {
	j := newJob(t, "at-once", "erin", "--reader=native", "--min_face=100", "--duration=10m", "--window=10m")
	t.Setenv("JAVA_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	sent := sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 1)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended, o, state, terminal := make(chan error, 1), j.options(t), t.TempDir(), testkit.NewTerminal(t, 200)
	t.Setenv("TERM", "xterm")
	defer func() { t.Log(strings.Join(terminal.Lines(), "\n")) }()
	go func() {
		_, err := run.Run(ctx, o, Build, state, terminal)
		ended <- err
	}()
	stored := func() {
		t.Helper()
		testkit.Await(t, "the picture of the last frame", func() bool {
			return len(recordsIn(j.files(t))) == len(sent) || len(ended) > 0
		})
		progress := regexp.MustCompile(fmt.Sprintf(`^window 1, \d+ s: %d records, %[1]d faces, \d+\.\d frames/s, lag 0, latency p95 \d+\.\d\d s$`, len(sent)))
		testkit.Await(t, progress.String(), func() bool {
			lines := terminal.Lines()
			return progress.MatchString(lines[len(lines)-1]) || len(ended) > 0
		})
	}
	stored()
	for range 3 {
		sent = append(sent, sendDemo(t, j.Kafka, j.topic, feed.JPEG, 0, 1)...)
		stored()
	}
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("it ended with %v before it was interrupted", err)
	}
	if summary := j.run(t, "--drain"); summary.RecordsRead != int64(len(sent)) || summary.FilesWritten != summary.RecordsRead {
		t.Errorf("summary %+v, want %d records with a picture", summary, len(sent))
	}
}
