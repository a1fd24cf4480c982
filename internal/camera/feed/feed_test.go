package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // to know one
	_ "image/png"  // to know one
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"facestream/internal/camera/mjpegtest"
	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// A broker takes what Send gives it, and gives it back as it was. With -short it is a fake.
func TestSend(t *testing.T) {
	var brokers []string
	if testing.Short() {
		brokers = testkit.FakeKafka(t).ListenAddrs()
	} else {
		brokers = []string{testservices.Start(t, services.Options{Kafka: true}).Kafka}
	}
	t.Run("jpeg", func(t *testing.T) { testRoundTrip(t, brokers, JPEG, "image/jpeg", 14) })
	t.Run("raw", func(t *testing.T) {
		testRoundTrip(t, brokers, Raw, "video/x-raw;format=BGR;width=640;height=480", 14)
	})
	t.Run("png", func(t *testing.T) { testRoundTrip(t, brokers, PNG, "image/png", 9) })
	t.Run("several cameras", func(t *testing.T) { testSeveral(t, brokers) })
	t.Run("raw 720p", func(t *testing.T) { testLarge(t, brokers) })
	t.Run("too large", func(t *testing.T) { testTooLarge(t, brokers) })
}

// testRoundTrip sends the demo and compares the topic with it.
func testRoundTrip(t *testing.T, brokers []string, format, contentType string, frames int) {
	topic := testservices.Name("frames-" + format)
	cfg := Config{Brokers: brokers, Topic: topic, Partitions: 4, Camera: "lobby", Format: format}
	before := time.Now().UnixMilli()
	sent := testkit.Value(Send(t.Context(), cfg, newDemo(t, frames)))(t)
	after := time.Now().UnixMilli()
	if n := count(t, brokers, topic); len(sent) != frames || n != frames {
		t.Fatalf("%d frames were sent, and the topic has %d, want %d", len(sent), n, frames)
	}
	records := readAll(t, brokers, topic, frames)
	demo := newDemo(t, frames)
	for i, s := range sent {
		about, picture := fmt.Sprint("frame ", i), demo.Frame(i)
		r := records[place{int32(i % 4), int64(i / 4)}] // round robin
		if r == nil {
			t.Errorf("%s is not where it should be", about)
			continue
		}
		testkit.Equal(t, about, s, Sent{
			Camera: "lobby", Frame: i, Faces: picture.Faces, ID: record.In(topic, r.Partition).At(r.Offset),
			TimestampMillis: r.Timestamp.UnixMilli(), Format: format, Bytes: len(r.Value),
		})
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		testkit.Equal(t, about+": the headers", headers, map[string]string{"content-type": contentType, "camera": "lobby"})
		if string(r.Key) != "lobby" || len(r.Headers) != 2 || s.TimestampMillis < before || s.TimestampMillis > after {
			t.Errorf("%s has the key %q, %d headers, and the time %d, and was sent between %d and %d", about, r.Key, len(r.Headers), s.TimestampMillis, before, after)
		}
		if r.Attrs.CompressionType() != 0 || r.Attrs.TimestampType() != 0 {
			t.Errorf("%s: compression %d, timestamp type %d, want none and the sender's", about, r.Attrs.CompressionType(), r.Attrs.TimestampType())
		}
		if format == Raw {
			if !bytes.Equal(r.Value, picture.BGR) {
				t.Errorf("%s: the value is not the picture's bytes", about)
			}
		} else if img, kind, err := image.DecodeConfig(bytes.NewReader(r.Value)); err != nil || kind != format || img.Width != 640 || img.Height != 480 {
			t.Errorf("%s: the value is not a %s of 640x480: %s, %v, %v", about, format, kind, img, err)
		}
	}
}

// testSeveral sends several cameras at once. The pictures of one are all in the
// partition that Kafka's own producers would choose, in its order.
func testSeveral(t *testing.T, brokers []string) {
	const frames = 20
	topic := testservices.Name("several")
	want := map[string]int32{"lobby": 0, "door": 2, "hall": 2} // murmur2 of the name, modulo 5
	var cameras []Camera
	for name := range want {
		cameras = append(cameras, Camera{Name: name, Source: newDemo(t, frames)})
	}
	next := map[string]int{}
	cfg := Config{Brokers: brokers, Topic: topic, Partitions: 5, ByCamera: true, Format: JPEG}
	totals := testkit.Value(SendAll(t.Context(), cfg, cameras, func(s Sent) {
		if s.Partition != want[s.Camera] || s.Frame != next[s.Camera] {
			t.Errorf("frame %d of %s is in partition %d, want frame %d in %d", s.Frame, s.Camera, s.Partition, next[s.Camera], want[s.Camera])
		}
		next[s.Camera]++
	}))(t)
	var bytes int64
	for i, total := range totals {
		if total.Camera != cameras[i].Name || total.Frames != frames || total.Faces != 16 || total.WithFaces != 14 ||
			total.Width != 640 || total.Height != 480 || total.Least < 20_000 || total.Most < total.Least {
			t.Errorf("camera %d: the total is %+v", i, total)
		}
		bytes += total.Bytes
	}
	last := map[string]int64{}
	records := readAll(t, brokers, topic, frames*len(cameras))
	for partition := range int32(5) {
		for offset := int64(0); records[place{partition, offset}] != nil; offset++ {
			r := records[place{partition, offset}]
			bytes -= int64(len(r.Value))
			if at := r.Timestamp.UnixMilli(); at < last[string(r.Key)] {
				t.Errorf("%s: offset %d of partition %d is not in order", r.Key, offset, partition)
			}
			last[string(r.Key)] = r.Timestamp.UnixMilli()
		}
	}
	if len(last) != len(cameras) || bytes != 0 {
		t.Errorf("the topic has %d cameras, and the totals differ from it by %d bytes", len(last), bytes)
	}
}

// testLarge sends pictures that do not fit the broker's default.
func testLarge(t *testing.T, brokers []string) {
	cfg := Config{Brokers: brokers, Topic: testservices.Name("large"), Partitions: 1, Camera: "lobby", Format: Raw}
	sent := testkit.Value(Send(t.Context(), cfg, &stub{pictures: plain(3, 1280, 720)}))(t)
	records := readAll(t, brokers, cfg.Topic, 3)
	for _, s := range sent {
		if r := records[place{s.Partition, s.Offset}]; r == nil || len(r.Value) != 2_764_800 {
			t.Errorf("frame %d did not arrive whole", s.Frame)
		}
	}
}

// testTooLarge sends to a topic that is there and takes no raw frames.
func testTooLarge(t *testing.T, brokers []string) {
	topic := testservices.Name("small")
	createTopic(t, brokers, topic, 2, "100000")
	cfg := Config{Brokers: brokers, Topic: topic, Partitions: 2, Camera: "lobby", Format: Raw}
	sent, err := Send(t.Context(), cfg, newDemo(t, 5))
	testkit.Says(t, "raw frames", err, "frame 0 of the demo", "topic "+topic, "921600 bytes", "max.message.bytes is 100000", "set that to 1048588", "--topic "+topic+" --add-config max.message.bytes=1048588)")
	if len(sent) != 0 || count(t, brokers, topic) != 0 {
		t.Errorf("%d frames are said to be sent, and the topic has %d", len(sent), count(t, brokers, topic))
	}
	cfg.Format = JPEG // these fit
	testkit.Equal(t, "JPEGs that were sent", len(testkit.Value(Send(t.Context(), cfg, newDemo(t, 5)))(t)), 5)
}

// What ends a video early is no failure of what was sent before: it is counted, and it
// is there.
func TestSendEndsEarly(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, tt := range []struct {
		name   string
		frames int // limit
		before func(cancel func()) error
		want   int
		err    error
	}{
		{"the limit is reached", 3, nil, 3, nil},
		{"cancelled", 0, func(cancel func()) error { cancel(); return nil }, 20, context.Canceled},
		{"the source fails", 0, func(func()) error { return broken }, 20, broken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			source := &stub{pictures: plain(100, 64, 48), before: func(i int) error {
				if i == 20 {
					return tt.before(cancel)
				}
				return nil
			}}
			cfg := rawConfig(testkit.FakeKafka(t).ListenAddrs())
			cfg.Frames = tt.frames
			sent, err := Send(ctx, cfg, source)
			testkit.Is(t, "sending", err, tt.err)
			if n := count(t, cfg.Brokers, cfg.Topic); len(sent) != tt.want || n != tt.want {
				t.Errorf("%d frames are said to be sent, the topic has %d, want %d", len(sent), n, tt.want)
			}
			if tt.frames > 0 && source.next != tt.frames {
				t.Errorf("%d frames were read", source.next)
			}
		})
	}
}

// One refused record ends the sending, whose count is that of the broker.
func TestSendRefused(t *testing.T) {
	c := testkit.FakeKafka(t)
	requests := c.Fault(produces(nil))
	refused := produces(kerr.TopicAuthorizationFailed)
	refused.When = func(kmsg.Request) bool { return requests.Hits() >= 3 }
	c.Fault(refused)
	cfg := rawConfig(c.ListenAddrs())
	sent, err := Send(t.Context(), cfg, newDemo(t, 0)) // a video without an end
	testkit.Is(t, "a refused record", err, kerr.TopicAuthorizationFailed)
	testkit.Says(t, "a refused record", err, "of the demo", "of topic frames", "TOPIC_AUTHORIZATION_FAILED", "kafka-acls.sh --add --producer")
	testkit.Equal(t, "what is said to be sent, and what the topic has", len(sent), count(t, cfg.Brokers, "frames"))
}

// produces has a broker answer requests to store records with an error, or count them if
// there is none.
func produces(err *kerr.Error) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Observe: err == nil, Count: -1}
}

// A broker that takes nothing is waited for, and the reason is said. A file is sent whole
// and in order; of a live camera the newest pictures are sent, and those that are dropped
// are counted.
func TestSendWaits(t *testing.T) {
	c := testkit.FakeKafka(t)
	away := patience
	if testkit.All() {
		away = 31 * time.Second // which was once too long
	}
	refused := c.Fault(produces(kerr.NotEnoughReplicas))
	var jpegs [][]byte
	for i := range 10 {
		jpegs = append(jpegs, testkit.Value(video.EncodeJPEG(newDemo(t, 0).Frame(i), 0))(t))
	}
	url := mjpegtest.Serve(t, jpegs, 1_000_000, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gate := testkit.Value(video.OpenURL(ctx, url, 0, func(string) {}))(t)
	cfg := rawConfig(c.ListenAddrs())
	cfg.Format, cfg.ByCamera = JPEG, true
	reason := ": NOT_ENOUGH_REPLICAS: Messages are rejected since there are fewer in-sync replicas than required.: start the brokers that are down"
	cfg.Progress = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		_, rest, waits := strings.Cut(line, ", waiting for Kafka for ")
		duration, said, _ := strings.Cut(rest, ":")
		if waited, err := time.ParseDuration(duration); waits && (err != nil || !strings.HasPrefix(":"+said, reason)) {
			t.Errorf("no reason in %q", line)
		} else if waited >= away {
			refused.Remove()
		}
	}
	file := plain(2000, 640, 480)
	for i := range file {
		file[i].BGR, file[i].JPEG = nil, jpegs[0]
	}
	frames := map[string]int{}
	var last, pause int64
	gap := 0 // the first picture after the longest pause
	totals, err := SendAll(ctx, cfg, []Camera{{"file", &stub{pictures: file}}, {"gate", gate}}, func(s Sent) {
		testkit.Equal(t, s.Camera+": the frame", s.Frame, frames[s.Camera])
		if frames[s.Camera]++; s.Camera == "gate" {
			if since := s.TimestampMillis - last; last > 0 && since > pause {
				gap, pause = s.Frame, since
			}
			last = s.TimestampMillis
		}
		if frames["gate"] > 3*liveRecords && frames["file"] == 2000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if file, gate := totals[0], totals[1]; file.Frames != 2000 || file.Dropped != 0 || gate.Dropped < 100 || gap == 0 || gap > liveRecords+2 || pause < away.Milliseconds()/2 {
		t.Errorf("the longest pause is %d ms before picture %d, the totals are %+v", pause, gap, totals)
	}
}

// Who wants an end gives a time.
func TestSendGivesUp(t *testing.T) {
	c := testkit.FakeKafka(t)
	cfg := rawConfig(c.ListenAddrs())
	cfg.FPS, cfg.GiveUp = 20, 3*time.Second
	sent, err := Send(t.Context(), cfg, &stub{pictures: plain(100, 64, 48), before: func(i int) error {
		if i == 10 {
			c.Close()
		}
		return nil
	}})
	testkit.Says(t, "a broker that is gone", err, "no acknowledgement of Kafka for ", "(--give_up): ", "connection refused", "is the broker up?")
	if len(sent) == 0 || len(sent) > 10 {
		t.Errorf("%d frames are said to be sent", len(sent))
	}
}

// Pictures that nobody can use are passed over and counted, but not if all are so. One
// that is too large for the topic ends a file, and is a picture less of a live camera.
func TestSendPassesOver(t *testing.T) {
	c := testkit.FakeKafka(t)
	var progress bytes.Buffer
	cfg := rawConfig(c.ListenAddrs())
	cfg.Progress = log.New(&progress, "", 0).Printf
	bad := func(i int) error {
		if i%3 == 0 {
			return video.Unusable{Err: fmt.Errorf("picture %d is torn", i)}
		}
		return nil
	}
	source := &stub{pictures: plain(40, 64, 48), before: bad, skips: true}
	source.pictures[1].Width, source.pictures[1].Height, source.pictures[1].BGR = 10, 10, make([]byte, 300)
	totals := testkit.Value(SendAll(t.Context(), cfg, []Camera{{"lobby", source}}, nil))(t)
	if n := count(t, cfg.Brokers, cfg.Topic); totals[0].Frames != 25 || totals[0].Passed != 15 || n != 25 {
		t.Errorf("the totals are %+v, the topic has %d records", totals, n)
	}
	testkit.Contains(t, "what is said", progress.String(), "lobby: passed over: picture 0 is torn\n", "picture 1: 300 bytes as raw", "lobby: passed over: picture 24 is torn; more are only counted\n")
	testkit.Equal(t, "how often picture 27 is named", strings.Count(progress.String(), "picture 27"), 0)
	_, err := Send(t.Context(), cfg, &stub{pictures: plain(2, 10, 10)})
	testkit.Says(t, "small pictures", err, "none of 2 pictures can be sent; the first: picture 0: 300 bytes as raw")
	_, err = SendAll(t.Context(), cfg, []Camera{{"lobby", &stub{before: func(int) error { return bad(0) }, skips: true, pictures: plain(1000, 10, 10)}}}, nil)
	testkit.Says(t, "torn pictures", err, "none of 100 pictures can be sent")

	requests := c.Fault(produces(nil))
	second := produces(kerr.MessageTooLarge)
	second.When = func(kmsg.Request) bool { return requests.Hits() == 2 }
	c.Fault(second)
	camera := &live{stub: stub{pictures: plain(3, 64, 48)}, closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.FPS, cfg.Partitions = 0, 1
	for i := range camera.pictures {
		camera.pictures[i].Taken = time.UnixMilli(1_700_000_000_000 + int64(i))
	}
	camera.before = func(i int) error { // one record in each request
		testkit.Await(t, "the pictures before it", func() bool { return requests.Hits() >= i })
		return nil
	}
	n := 0
	totals, err = SendAll(ctx, cfg, []Camera{{"gate", camera}}, func(Sent) {
		if n++; n == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || totals[0].Frames != 2 || totals[0].Dropped != 7+1 {
		t.Errorf("%v, the totals are %+v", err, totals)
	}
	testkit.Contains(t, "what is said", progress.String(), "gate: dropped picture 1: the frame has 9216 bytes, and the topic's max.message.bytes is ")
}

// One broker that answers is enough to begin.
func TestCameraNeedsOneBroker(t *testing.T) {
	var brokers []string
	for range 3 {
		brokers = append(brokers, testkit.Strangers(t)["says nothing"])
	}
	cfg := rawConfig(append(brokers, testkit.FakeKafka(t).ListenAddrs()...))
	testkit.Value(prepareTopic(t.Context(), cfg, 1, t.Logf))(t)
}

// Who may not make a topic may send to one that is there, whose settings he need not see. It
// keeps its partitions; whoever watches is told so.
func TestSendWithFewRights(t *testing.T) {
	c := testkit.FakeKafka(t)
	createTopic(t, c.ListenAddrs(), "old", 3, "1048588")
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics, kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	cfg := rawConfig(c.ListenAddrs())
	var progress bytes.Buffer
	cfg.Topic, cfg.Progress = "old", log.New(&progress, "", 0).Printf
	for i, s := range testkit.Value(Send(t.Context(), cfg, newDemo(t, 7)))(t) {
		if s.Frame != i || s.Partition != int32(i%3) {
			t.Errorf("frame %d is %+v", i, s)
		}
	}
	testkit.Contains(t, "what is said", progress.String(), "keeps its 3 partitions")
	cfg.Topic = "new"
	_, err := Send(t.Context(), cfg, newDemo(t, 3))
	testkit.Says(t, "a new topic", err, "making topic new: TOPIC_AUTHORIZATION_FAILED", "an administrator can allow it")
}

// What cannot be sent is refused before anything is made in Kafka.
func TestSendNothingMade(t *testing.T) {
	c := testkit.FakeKafka(t)
	cfg := Config{Brokers: c.ListenAddrs(), Topic: "frames", Partitions: 2, Camera: "lobby", Format: JPEG}
	for _, test := range []struct {
		name     string
		format   string
		pictures []video.Picture
		want     string
	}{
		{"no picture", JPEG, nil, "no picture"},
		{"unknown format", "bmp", plain(1, 64, 48), `"bmp" is none of jpeg, png, raw`},
		{"too small for the job", Raw, plain(1, 10, 10), "under 1000 bytes"},
		{"no size", Raw, plain(1, 0, 0), "0x0"},
		{"wrong size", Raw, []video.Picture{{Name: "odd", Width: 640, Height: 480, BGR: make([]byte, 5000)}}, "640x480"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg.Format = test.format
			_, err := Send(t.Context(), cfg, &stub{pictures: test.pictures})
			testkit.Says(t, test.name, err, test.want)
			testkit.Equal(t, "the topic", c.TopicInfo("frames"), nil)
		})
	}
}

func TestSendNobodyThere(t *testing.T) {
	c := testkit.FakeKafka(t)
	brokers := c.ListenAddrs()
	c.Close() // its port is free now
	_, err := Send(t.Context(), rawConfig(brokers), newDemo(t, 1))
	testkit.Says(t, "nobody there", err, "reaching Kafka at "+brokers[0], "refused", "--kafka?")
}

// No picture is sent before its time, whatever the pictures before it took.
func TestSendPaced(t *testing.T) {
	cfg := rawConfig(testkit.FakeKafka(t).ListenAddrs())
	cfg.FPS = 40
	before := time.Now().UnixMilli()
	sent := testkit.Value(Send(t.Context(), cfg, &stub{pictures: plain(9, 64, 48)}))(t)
	for i, s := range sent {
		if got, want := s.TimestampMillis-before, int64(25*i); got < want {
			t.Errorf("frame %d was sent after %d ms, want %d or more", i, got, want)
		}
	}
}

// A file's pictures are taken when its own time says so, others at the pace asked for.
// Small delays do not add up.
func TestPacer(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		cfg  Config
		i    int
		at   time.Duration // of the file
		want time.Duration
	}{
		{Config{FPS: 25}, 0, 0, 0},
		{Config{FPS: 25}, 1, 0, 40 * time.Millisecond},
		{Config{FPS: 25}, 1_000_000, 0, 40_000 * time.Second},
		{Config{FPS: 0.5}, 3, 0, 6 * time.Second},
		{Config{FPS: 30}, 30_000, 0, 1000 * time.Second},
		{Config{RealTime: true}, 7, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		p := pacer{cfg: test.cfg, start: start}
		if got, wanted := p.next(test.i, video.Picture{At: test.at}); !wanted || got.Sub(start) != test.want {
			t.Errorf("%+v: frame %d at %v is taken after %v, want %v", test.cfg, test.i, test.at, got.Sub(start), test.want)
		}
	}
}

// live makes a stub a source that gives pictures for ever, until it is closed.
type live struct {
	stub
	closed chan struct{}
}

func (l *live) Next() (video.Picture, error) {
	if l.next == len(l.pictures) {
		<-l.closed
		return video.Picture{}, context.Canceled
	}
	return l.stub.Next()
}

func (l *live) Close() error {
	close(l.closed)
	return nil
}

func (l *live) Dropped() int64 { return 7 }

// A live picture was taken when the source says so.
func TestSendLive(t *testing.T) {
	source := &live{stub: stub{pictures: plain(3, 64, 48)}, closed: make(chan struct{})}
	taken := time.UnixMilli(1_700_000_000_000)
	for i := range source.pictures {
		source.pictures[i].Taken = taken.Add(time.Duration(i) * time.Second)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := rawConfig(testkit.FakeKafka(t).ListenAddrs())
	cfg.FPS = 1
	cfg.Progress = func(format string, args ...any) { // while Next waits
		line := fmt.Sprintf(format, args...)
		if strings.Contains(line, "lobby: 3 frames, 0.0 MB") && strings.Contains(line, "7 lost since") {
			cancel()
		}
	}
	n := 0
	_, err := SendAll(ctx, cfg, []Camera{{"lobby", source}}, func(s Sent) {
		testkit.Equal(t, fmt.Sprintf("the time of frame %d", s.Frame), s.TimestampMillis, source.pictures[s.Frame].Taken.UnixMilli())
		n++
	})
	if !errors.Is(err, context.Canceled) || n != len(source.pictures) {
		t.Errorf("%d frames were sent: %v", n, err)
	}
}

// Too many live pictures are thinned out evenly, and a pause is not made up for.
func TestThin(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		name        string
		camera, fps float64
		jitter      time.Duration
		want        int // of the 300 before a pause, and again of those after it
	}{
		{"as they come", 30, 0, 0, 300},
		{"its own pace", 25, 25, 0, 300},
		{"its own pace, unevenly", 25, 25, 15 * time.Millisecond, 300},
		{"faster than it", 25, 100, 0, 300},
		{"a sixth too many", 30, 25, 0, 250},
		{"every tenth", 50, 5, 3 * time.Millisecond, 30},
	} {
		p := pacer{cfg: Config{FPS: test.fps}, due: start}
		for run := range 2 {
			got := 0
			for i := range 300 {
				taken := start.Add(time.Duration(run) * time.Hour).Add(time.Duration(float64(i) / test.camera * float64(time.Second)))
				if i%2 == 1 {
					taken = taken.Add(test.jitter)
				}
				if _, wanted := p.next(got, video.Picture{Taken: taken}); wanted {
					got++
				}
			}
			if got < test.want-1 || got > test.want+1 {
				t.Errorf("%s, run %d: %d pictures, want %d", test.name, run, got, test.want)
			}
		}
	}
}

// A camera whose source fails ends alone; a record that fails ends all of them,
// also one that waits for a picture.
func TestSendAllFailures(t *testing.T) {
	c := testkit.FakeKafka(t)
	broken := errors.New("the disk is gone")
	fails := &stub{pictures: plain(9, 64, 48), before: func(i int) error {
		if i == 2 {
			return broken
		}
		return nil
	}}
	var progress bytes.Buffer
	cfg := rawConfig(c.ListenAddrs())
	cfg.ByCamera, cfg.Progress = true, log.New(&progress, "", 0).Printf
	totals, err := SendAll(t.Context(), cfg, []Camera{{"door", fails}, {"hall", &stub{pictures: plain(30, 64, 48)}}}, nil)
	testkit.Says(t, "a source that fails", err, "camera door: the disk is gone")
	if len(totals) != 2 || totals[0].Frames != 2 || totals[1].Frames != 30 {
		t.Errorf("the totals are %+v", totals)
	}
	testkit.Contains(t, "what is said", progress.String(), "camera door has ended: the disk is gone")

	c.Fault(produces(kerr.TopicAuthorizationFailed))
	waits := &live{stub: stub{pictures: plain(1, 64, 48)}, closed: make(chan struct{})}
	_, err = SendAll(t.Context(), cfg, []Camera{{"door", waits}, {"hall", newDemo(t, 0)}}, nil)
	testkit.Is(t, "a refused record", err, kerr.TopicAuthorizationFailed)
}
