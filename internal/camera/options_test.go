package camera

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
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
		frames     int // of a demo
		cameras    string
		brokers    string
		partitions int32
	}{
		{"", 300, "demo", "local:1", 4},
		{"--frames=0", 0, "demo", "local:1", 4},
		{"--loop", 0, "demo", "local:1", 4},
		{"--duration=5s", 0, "demo", "local:1", 4},
		{"--frames=7 --camera=gate --partitions=1", 7, "gate", "local:1", 1},
		{"--kafka=a:1,b:2", 300, "demo", "a:1 b:2", 4},
		{"--dry_run", 300, "demo", "", 4},
		{"--source=" + dir, 300, "pictures", "local:1", 4},
		{"--source=" + video + " --real_time", 300, "lobby.mp4", "local:1", 4},
		{"--source=" + video + " --frames=9", 9, "lobby.mp4", "local:1", 4},
		{"--source=/dev/null", 300, "null", "local:1", 4},
		{"--source=rtsp://me:secret@door.example:554/stream", 300, "door.example", "local:1", 4},
		{"--source=demo --camera=a --source=demo --camera=b --source=http://c/ ", 300, "a b c", "local:1", 4},
	} {
		o, err := parseOptions(strings.Fields(test.args), "local:1", &bytes.Buffer{})
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		var names []string
		for _, c := range o.cameras {
			names = append(names, c.name)
		}
		if f := o.feed; o.demo.Frames != test.frames || strings.Join(names, " ") != test.cameras || strings.Join(f.Brokers, " ") != test.brokers || f.Partitions != test.partitions {
			t.Errorf("%q: got %+v, want %+v", test.args, o, test)
		}
		if o.feed.Topic != "frames" || o.feed.Format != "jpeg" || o.feed.FPS != 0 || !o.feed.ByCamera || o.demo.Width != 640 || o.demo.Height != 480 || o.demo.Faces != -1 {
			t.Errorf("%q: the defaults are %+v", test.args, o)
		}
	}
}

func TestParseOptionsErrors(t *testing.T) {
	dir, _ := files(t)
	for args, want := range map[string]string{
		"--topic=":                    "1 to 249 letters",
		"--topic=a/b":                 "1 to 249 letters",
		"--topic=..":                  "1 to 249 letters",
		"--format=bmp":                "must be one of jpeg, png, raw",
		"--quality=101":               "1 to 100",
		"--quality=-1":                "1 to 100",
		"--quality=50 --format=raw":   "only --format=jpeg",
		"--duration=-1s":              "0 or more",
		"--duration=5":                "duration",
		"--fps=5 --real_time":         "only one of them",
		"--real_time":                 "give one with --fps",
		"--real_time --source=" + dir: "give one with --fps",
		"--faces=4":                   "the number must be 0 to 3",
		"--size=640":                  "must be WIDTHxHEIGHT",
		"--size=640x480x3":            "must be WIDTHxHEIGHT",
		"--size=64x48":                "it must have 320x240 or more",
		"--noise=200":                 "must be 0 to 100",
		"--noise=5 --source=" + dir:   "--noise is for --source=demo only",
		"--camera=a --camera=b":       "--camera=b: there is no --source",
		"--source=demo --source=demo": "two cameras would be called demo",
		"--source=rtsp://door/1 --source=rtsp://door/2": "two cameras would be called door",
		"--source=udp://me:secret@door/":                "--source=udp://...: a stream's address must begin with rtsp://",
		"--source=rtsp://me:secret@do\x7for/":           "--source=rtsp://...: net/url: invalid control character",
		"--truth=t --dry_run":                           "sends nothing",
		"--frames=-1":                                   "0 or more",
		"--frames=many":                                 "frames",
		"--fps=-1":                                      "0 or more",
		"--fps=NaN":                                     "0 or more",
		"--fps=+Inf":                                    "0 or more",
		"--partitions=0":                                "1 or more",
		"--partitions=3000000000":                       "1 or more",
		"--kafka=localhost":                             "HOST:PORT",
		"--kafka=:9092":                                 "HOST:PORT",
		"--kafka=a:1,,b:2":                              "HOST:PORT",
		"--source=/dev/video99":                         "/dev/video99: no such file",
		"--source=/missing.mp4":                         "must be demo, a video file, a folder",
		"--source=":                                     "must be demo, a video file, a folder",
		"demo":                                          "not a flag",
		"--speed=3":                                     "speed",
		"--truth=t --source=" + dir:                     "only with --source=demo",
	} {
		_, err := parseOptions(strings.Fields(args), "local:1", &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
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
	for _, name := range []string{"kafka", "topic", "source", "camera", "format", "quality", "frames", "duration", "loop", "fps", "real_time",
		"spread", "partitions", "faces", "size", "noise", "dry_run", "truth"} {
		if !regexp.MustCompile("(?m)^  -" + name + "( |$)").MatchString(help.String()) {
			t.Errorf("the help has no --%s", name)
		}
	}
}
