package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files makes a folder with a file that could be a video.
func files(t *testing.T) (dir, video string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "pictures")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	video = filepath.Join(dir, "lobby.mp4")
	if err := os.WriteFile(video, []byte("not really"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, video
}

func TestParseOptions(t *testing.T) {
	dir, video := files(t)
	for _, test := range []struct {
		args       string
		frames     int
		camera     string
		brokers    string
		partitions int32
	}{
		{"", 300, "demo", "local:1", 4},
		{"--frames=0", 0, "demo", "local:1", 4},
		{"--frames=7 --camera=gate --partitions=1", 7, "gate", "local:1", 1},
		{"--kafka=a:1,b:2", 300, "demo", "a:1 b:2", 4},
		{"--source=" + dir, 0, "pictures", "local:1", 4},
		{"--source=" + video, 0, "lobby.mp4", "local:1", 4},
		{"--source=" + video + " --frames=9", 9, "lobby.mp4", "local:1", 4},
	} {
		o, err := parseOptions(strings.Fields(test.args), "local:1", &bytes.Buffer{})
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if f := o.feed; f.Frames != test.frames || f.Camera != test.camera || strings.Join(f.Brokers, " ") != test.brokers || f.Partitions != test.partitions {
			t.Errorf("%q: got %+v, want %+v", test.args, f, test)
		}
		if o.feed.Topic != "frames" || o.feed.Format != "jpeg" || o.feed.FPS != 0 {
			t.Errorf("%q: defaults are topic %s, format %s, fps %v", test.args, o.feed.Topic, o.feed.Format, o.feed.FPS)
		}
	}
}

func TestParseOptionsErrors(t *testing.T) {
	dir, _ := files(t)
	for args, want := range map[string]string{
		"--topic=":                  "1 to 249 letters",
		"--topic=a/b":               "1 to 249 letters",
		"--topic=..":                "1 to 249 letters",
		"--format=png":              "must be jpeg or raw",
		"--frames=-1":               "0 or more",
		"--frames=many":             "frames",
		"--fps=-1":                  "0 or more",
		"--fps=NaN":                 "0 or more",
		"--fps=+Inf":                "0 or more",
		"--partitions=0":            "1 or more",
		"--partitions=3000000000":   "1 or more",
		"--kafka=localhost":         "HOST:PORT",
		"--kafka=:9092":             "HOST:PORT",
		"--kafka=a:1,,b:2":          "HOST:PORT",
		"--source=/missing.mp4":     "must be demo, a video file, or a folder",
		"--source=":                 "must be demo, a video file, or a folder",
		"demo":                      "not a flag",
		"--speed=3":                 "speed",
		"--truth=t --source=" + dir: "only with --source=demo",
	} {
		_, err := parseOptions(strings.Fields(args), "local:1", &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want one with %q", args, err, want)
		}
	}
	if _, err := parseOptions(nil, "", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("without any Kafka: got error %v, want one with make up", err)
	}
}

func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, "", &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got error %v, want %v", err, flag.ErrHelp)
	}
	for _, name := range []string{"kafka", "topic", "source", "format", "frames", "fps", "camera", "partitions", "truth"} {
		if !strings.Contains(help.String(), "  -"+name+" ") {
			t.Errorf("the help has no --%s", name)
		}
	}
}
