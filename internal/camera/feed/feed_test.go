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

	"facestream/internal/camera/video"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

// A broker takes what Send gives it, and gives it back as it was.
func TestSend(t *testing.T) {
	testBroker(t, newCluster(t).ListenAddrs())
}

// The same, with a real broker.
func TestSendToKafka(t *testing.T) {
	testBroker(t, []string{testservices.Start(t, services.Options{Kafka: true}).Kafka})
}

func testBroker(t *testing.T, brokers []string) {
	t.Run("jpeg", func(t *testing.T) { testRoundTrip(t, brokers, JPEG, "image/jpeg", 50) })
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
	sent := testkit.Value(Send(testContext(t), cfg, newDemo(t, frames)))(t)
	after := time.Now().UnixMilli()
	if len(sent) != frames {
		t.Fatalf("%d frames were sent, want %d", len(sent), frames)
	}
	if n := count(t, brokers, topic); n != frames {
		t.Fatalf("the topic has %d records, want %d", n, frames)
	}
	records := readAll(t, brokers, topic, frames)
	demo := newDemo(t, frames)
	for i, s := range sent {
		picture := demo.Frame(i)
		if s.Frame != i || s.Topic != topic || s.Format != format || fmt.Sprint(s.Faces) != fmt.Sprint(picture.Faces) {
			t.Errorf("frame %d came back as %+v", i, s)
		}
		// Round robin: frame 4k+p is number k of partition p.
		if s.Partition != int32(i%4) || s.Offset != int64(i/4) {
			t.Errorf("frame %d is at %d+%d, want %d+%d", i, s.Partition, s.Offset, i%4, i/4)
		}
		r := records[place{s.Partition, s.Offset}]
		if r == nil {
			t.Errorf("frame %d is not where it was said to be", i)
			continue
		}
		if string(r.Key) != "lobby" {
			t.Errorf("frame %d has key %q", i, r.Key)
		}
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if len(r.Headers) != 2 || headers["content-type"] != contentType || headers["camera"] != "lobby" {
			t.Errorf("frame %d has headers %v", i, headers)
		}
		if at := r.Timestamp.UnixMilli(); at != s.TimestampMillis || at < before || at > after {
			t.Errorf("frame %d has the timestamp %d, was said to have %d, and was sent between %d and %d", i, at, s.TimestampMillis, before, after)
		}
		if r.Attrs.CompressionType() != 0 || r.Attrs.TimestampType() != 0 {
			t.Errorf("frame %d: compression %d, timestamp type %d, want none and the sender's", i, r.Attrs.CompressionType(), r.Attrs.TimestampType())
		}
		if len(r.Value) != s.Bytes {
			t.Errorf("frame %d has %d bytes, was said to have %d", i, len(r.Value), s.Bytes)
		}
		if format == Raw {
			if !bytes.Equal(r.Value, picture.BGR) {
				t.Errorf("frame %d: the value is not the picture's bytes", i)
			}
		} else if img, kind, err := image.DecodeConfig(bytes.NewReader(r.Value)); err != nil || kind != format || img.Width != 640 || img.Height != 480 {
			t.Errorf("frame %d: the value is not a %s of 640x480: %s, %v, %v", i, format, kind, img, err)
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
	totals, err := SendAll(testContext(t), cfg, cameras, func(s Sent) {
		if s.Partition != want[s.Camera] || s.Frame != next[s.Camera] {
			t.Errorf("frame %d of %s is in partition %d, want frame %d in %d", s.Frame, s.Camera, s.Partition, next[s.Camera], want[s.Camera])
		}
		next[s.Camera]++
	})
	if err != nil {
		t.Fatal(err)
	}
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
	sent := testkit.Value(Send(testContext(t), cfg, &stub{pictures: plain(3, 1280, 720)}))(t)
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
	sent, err := Send(testContext(t), cfg, newDemo(t, 5))
	checkError(t, err, "frame 0 of the demo", "topic "+topic, "921600 bytes", "max.message.bytes is 100000", "set that to 1048588", "--topic "+topic+" --add-config max.message.bytes=1048588)")
	if len(sent) != 0 || count(t, brokers, topic) != 0 {
		t.Errorf("%d frames are said to be sent, and the topic has %d", len(sent), count(t, brokers, topic))
	}
	cfg.Format = JPEG // these fit
	if sent, err := Send(testContext(t), cfg, newDemo(t, 5)); err != nil || len(sent) != 5 {
		t.Errorf("%d of 5 JPEGs were sent: %v", len(sent), err)
	}
}

func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// A topic that is there keeps its partitions; whoever watches is told so.
func TestSendToExistingTopic(t *testing.T) {
	brokers := newCluster(t).ListenAddrs()
	createTopic(t, brokers, "old", 3, "1048588")
	var progress bytes.Buffer
	cfg := Config{Brokers: brokers, Topic: "old", Partitions: 4, Camera: "lobby", Format: JPEG, Progress: log.New(&progress, "", 0).Printf}
	sent := testkit.Value(Send(testContext(t), cfg, newDemo(t, 7)))(t)
	for i, s := range sent {
		if s.Partition != int32(i%3) {
			t.Errorf("frame %d went to partition %d of 3", i, s.Partition)
		}
	}
	if !strings.Contains(progress.String(), "keeps its 3 partitions") {
		t.Errorf("no note on the partitions: %q", &progress)
	}
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
			ctx, cancel := context.WithCancel(testContext(t))
			defer cancel()
			source := &stub{pictures: plain(100, 64, 48), before: func(i int) error {
				if i == 20 {
					return tt.before(cancel)
				}
				return nil
			}}
			cfg := rawConfig(newCluster(t).ListenAddrs())
			cfg.Frames = tt.frames
			sent, err := Send(ctx, cfg, source)
			if !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
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
	c := newCluster(t)
	requests := 0
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if requests++; requests < 3 {
			return nil, nil, false
		}
		return refusal(req.(*kmsg.ProduceRequest)), nil, true
	})
	cfg := rawConfig(c.ListenAddrs())
	sent, err := Send(testContext(t), cfg, newDemo(t, 0)) // a video without an end
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("got error %v, want %v", err, kerr.TopicAuthorizationFailed)
	}
	checkError(t, err, "of the demo", "of topic frames")
	if n := count(t, cfg.Brokers, "frames"); len(sent) != n {
		t.Errorf("%d frames are said to be sent, the topic has %d", len(sent), n)
	}
}

// refusal answers that nothing of the request was allowed.
func refusal(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
		for _, partition := range topic.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition = partition.Partition
			rp.ErrorCode = kerr.TopicAuthorizationFailed.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// What cannot be sent is refused before anything is made in Kafka.
func TestSendNothingMade(t *testing.T) {
	c := newCluster(t)
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
			_, err := Send(testContext(t), cfg, &stub{pictures: test.pictures})
			checkError(t, err, test.want)
			if c.TopicInfo("frames") != nil {
				t.Error("the topic was made")
			}
		})
	}
}

func TestSendNobodyThere(t *testing.T) {
	c := testkit.Value(kfake.NewCluster(kfake.NumBrokers(1)))(t)
	brokers := c.ListenAddrs()
	c.Close() // its port is free now
	_, err := Send(testContext(t), rawConfig(brokers), newDemo(t, 1))
	checkError(t, err, "reaching Kafka at "+brokers[0], "refused")
}

// No picture is sent before its time, whatever the pictures before it took.
func TestSendPaced(t *testing.T) {
	cfg := rawConfig(newCluster(t).ListenAddrs())
	cfg.FPS = 40
	before := time.Now().UnixMilli()
	sent := testkit.Value(Send(testContext(t), cfg, &stub{pictures: plain(9, 64, 48)}))(t)
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
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	cfg := rawConfig(newCluster(t).ListenAddrs())
	cfg.FPS = 1
	cfg.Progress = func(format string, args ...any) { // while Next waits
		line := fmt.Sprintf(format, args...)
		if strings.Contains(line, "lobby: 3 frames, 0.0 MB") && strings.Contains(line, "7 lost since") {
			cancel()
		}
	}
	n := 0
	_, err := SendAll(ctx, cfg, []Camera{{"lobby", source}}, func(s Sent) {
		if want := source.pictures[s.Frame].Taken.UnixMilli(); s.TimestampMillis != want {
			t.Errorf("frame %d was taken at %d, want %d", s.Frame, s.TimestampMillis, want)
		}
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
	c := newCluster(t)
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
	totals, err := SendAll(testContext(t), cfg, []Camera{{"door", fails}, {"hall", &stub{pictures: plain(30, 64, 48)}}}, nil)
	checkError(t, err, "camera door: the disk is gone")
	if len(totals) != 2 || totals[0].Frames != 2 || totals[1].Frames != 30 {
		t.Errorf("the totals are %+v", totals)
	}
	if !strings.Contains(progress.String(), "camera door has ended: the disk is gone") {
		t.Errorf("nobody was told: %q", &progress)
	}

	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		return refusal(req.(*kmsg.ProduceRequest)), nil, true
	})
	waits := &live{stub: stub{pictures: plain(1, 64, 48)}, closed: make(chan struct{})}
	_, err = SendAll(testContext(t), cfg, []Camera{{"door", waits}, {"hall", newDemo(t, 0)}}, nil)
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("got error %v, want %v", err, kerr.TopicAuthorizationFailed)
	}
}

// A dry run asks no broker, and says what would be sent.
func TestSendDry(t *testing.T) {
	cfg := Config{Topic: "frames", Format: JPEG, Quality: 30, DryRun: true, Frames: 5}
	totals := testkit.Value(SendAll(testContext(t), cfg, []Camera{{"door", newDemo(t, 0)}, {"hall", &stub{pictures: plain(3, 320, 240)}}}, nil))(t)
	if a, b := totals[0], totals[1]; a.Frames != 5 || a.Faces != 5 || a.Width != 640 || a.Most > 25_000 ||
		b.Frames != 3 || b.Width != 320 || b.Least != b.Most || b.Bytes != int64(3*b.Least) {
		t.Errorf("the totals are %+v", totals)
	}
	cfg.Format = "bmp"
	if _, err := SendAll(testContext(t), cfg, []Camera{{"door", newDemo(t, 0)}}, nil); err == nil {
		t.Error("an unknown format was accepted")
	}
}

func TestMaxBytesFor(t *testing.T) {
	for size, want := range map[int]int{
		35_000:    1_048_588, // the broker's default
		921_600:   1_048_588, // 640x480 raw
		2_764_800: 3 << 20,   // 720p raw
		6_220_800: 6 << 20,   // 1080p raw
		3<<20 - 1: 4 << 20,   // never without room for the rest of the record
	} {
		if got := MaxBytesFor(size); got != want {
			t.Errorf("%d bytes: got %d, want %d", size, got, want)
		}
	}
}
