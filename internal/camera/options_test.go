package camera

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

// parse reads a command line of a machine whose local Kafka is local:1.
func parse(t *testing.T, line string) (options, error) {
	t.Helper()
	dir := t.TempDir()
	stack := state.Stack{state.Kafka: {Addrs: state.Addrs{Kafka: "local:1"}, Ready: true}}
	testkit.Must(t, stack.Save(state.Dir(dir)))
	f := flag.NewFlagSet("camera", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	v := newFlags(f)
	if err := f.Parse(append([]string{"--state_dir=" + dir}, strings.Split(strings.ReplaceAll(line, " --", "\n--"), "\n")...)); err != nil {
		return options{}, err
	}
	return v.options()
}

// files makes a folder with a file that could be a video.
func files(t *testing.T) (dir, video string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "pictures")
	testkit.Must(t, os.Mkdir(dir, 0o755))
	video = filepath.Join(dir, "lobby.mp4")
	testkit.WriteFile(t, video, []byte("not really"))
	return dir, video
}

func TestOptions(t *testing.T) {
	dir, video := files(t)
	for _, tt := range []struct {
		line       string
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
		{"--kafka=a:1 , b:2", 300, "demo", "a:1 b:2", 4},
		{"--dry_run", 300, "demo", "", 4},
		{"--source=" + dir, 300, "pictures", "local:1", 4},
		{"--source=" + video + " --real_time", 300, "lobby.mp4", "local:1", 4},
		{"--source=" + video + " --frames=9", 9, "lobby.mp4", "local:1", 4},
		{"--source=/dev/null", 300, "null", "local:1", 4},
		{"--source=rtsp://me:secret@door.example:554/stream", 300, "door.example", "local:1", 4},
		{"--source=demo --camera=a --source=demo --camera=b --source=http://c/", 300, "a b c", "local:1", 4},
	} {
		o, err := parse(t, tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		var names []string
		for _, c := range o.cameras {
			names = append(names, c.name)
		}
		if f := o.feed; o.demo.Frames != tt.frames || strings.Join(names, " ") != tt.cameras || strings.Join(f.Brokers, " ") != tt.brokers || f.Partitions != tt.partitions {
			t.Errorf("%q: got %+v, want %+v", tt.line, o, tt)
		}
		if f := o.feed; f.Topic != "frames" || f.Format != "jpeg" || f.FPS != 0 || !f.ByCamera || o.demo.Width != 640 || o.demo.Height != 480 || o.demo.Faces != -1 {
			t.Errorf("%q: the defaults are %+v", tt.line, o)
		}
	}
}

func TestOptionsErrors(t *testing.T) {
	dir, _ := files(t)
	for line, want := range map[string]string{
		"--topic=":                    "1 to 249 of the characters",
		"--topic=..":                  "1 to 249 of the characters",
		"--format=bmp":                "must be one of jpeg, png, raw",
		"--quality=101":               "1 to 100",
		"--quality=-1":                "1 to 100",
		"--quality=50 --format=raw":   "only --format=jpeg",
		"--duration=-1s":              "0 or more",
		"--give_up=-1s":               "0 or more",
		"--fps=5 --real_time":         "only one of them",
		"--real_time":                 "give one with --fps",
		"--real_time --source=" + dir: "give one with --fps",
		"--faces=4":                   "the number must be 0 to 3",
		"--size=640":                  "must be WIDTHxHEIGHT",
		"--size=640x480x3":            "must be WIDTHxHEIGHT",
		"--size=64x48":                "it must have 320x240 or more",
		"--size=20000x480":            "each side must be 1 to 16384",
		"--noise=200":                 "must be 0 to 100",
		"--noise=5 --source=" + dir:   "--noise is for --source=demo only",
		"--camera=a --camera=b":       "--camera=b: there is no --source",
		"--source=demo --source=demo": "two cameras would be called demo",
		"--source=rtsp://door/1 --source=rtsp://door/2": "two cameras would be called door",
		"--source=udp://me:secret@door/":                "--source=udp://door: a stream's address must begin with rtsp://",
		"--source=rtsp://me:secret@do\x7for/":           "--source=rtsp://...: it must be SCHEME://USER",
		"--truth=t --dry_run":                           "sends nothing",
		"--frames=-1":                                   "0 or more",
		"--fps=-1":                                      "0 or more",
		"--fps=NaN":                                     "0 or more",
		"--fps=+Inf":                                    "0 or more",
		"--partitions=0":                                "1 or more",
		"--partitions=3000000000":                       "1 or more",
		"--kafka=localhost":                             "HOST:PORT",
		"--kafka=127.0.0.1:1, ":                         "broker 2 is empty",
		"--source=/dev/video99":                         "/dev/video99: it must be demo, a video file, a folder of pictures, a URL, or a camera such as /dev/video0: no such file",
		"--source=/missing.mp4":                         "must be demo, a video file, a folder",
		"--source=":                                     "must be demo, a video file, a folder",
		"--truth=t --source=" + dir:                     "only with --source=demo",
		"--state_dir=/missing":                          "make up",
	} {
		_, err := parse(t, line)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got error %v, want one with %q", line, err, want)
		}
	}
}
