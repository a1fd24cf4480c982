package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"facestream/scripts/camera/video"
	"facestream/scripts/stack/services"
)

// A broker takes what Send gives it, and gives it back as it was.
func TestSend(t *testing.T) {
	testBroker(t, newCluster(t).ListenAddrs())
}

// The same, with a real broker.
func TestSendToKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kafka broker")
	}
	stack, err := services.Start(t.Context(), t.TempDir(), services.Options{Kafka: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	testBroker(t, []string{stack.Kafka})
}

func testBroker(t *testing.T, brokers []string) {
	t.Run("jpeg", func(t *testing.T) { testRoundTrip(t, brokers, JPEG, "image/jpeg", 50) })
	t.Run("raw", func(t *testing.T) {
		testRoundTrip(t, brokers, Raw, "video/x-raw;format=BGR;width=640;height=480", 14)
	})
	t.Run("raw 720p", func(t *testing.T) { testLarge(t, brokers) })
	t.Run("too large", func(t *testing.T) { testTooLarge(t, brokers) })
}

// testRoundTrip sends the demo and compares the topic with it.
func testRoundTrip(t *testing.T, brokers []string, format, contentType string, frames int) {
	topic := "frames-" + format
	cfg := Config{Brokers: brokers, Topic: topic, Partitions: 4, Camera: "lobby", Format: format}
	before := time.Now().UnixMilli()
	sent, err := Send(testContext(t), cfg, newDemo(t, frames))
	if err != nil {
		t.Fatal(err)
	}
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
		} else if img, err := jpeg.DecodeConfig(bytes.NewReader(r.Value)); err != nil || img.Width != 640 || img.Height != 480 {
			t.Errorf("frame %d: the value is not a JPEG of 640x480: %v, %v", i, img, err)
		}
	}
}

// testLarge sends pictures that do not fit the broker's default.
func testLarge(t *testing.T, brokers []string) {
	cfg := Config{Brokers: brokers, Topic: "frames-720p", Partitions: 1, Camera: "lobby", Format: Raw}
	sent, err := Send(testContext(t), cfg, &stub{pictures: plain(3, 1280, 720)})
	if err != nil {
		t.Fatal(err)
	}
	records := readAll(t, brokers, cfg.Topic, 3)
	for _, s := range sent {
		if r := records[place{s.Partition, s.Offset}]; r == nil || len(r.Value) != 2_764_800 {
			t.Errorf("frame %d did not arrive whole", s.Frame)
		}
	}
}

// testTooLarge sends to a topic that is there and takes no raw frames.
func testTooLarge(t *testing.T, brokers []string) {
	createTopic(t, brokers, "small", 2, "100000")
	cfg := Config{Brokers: brokers, Topic: "small", Partitions: 2, Camera: "lobby", Format: Raw}
	sent, err := Send(testContext(t), cfg, newDemo(t, 5))
	checkError(t, err, "frame 0 of the demo", "topic small", "921600 bytes", "max.message.bytes is 100000", "set that to 1048588")
	if len(sent) != 0 || count(t, brokers, "small") != 0 {
		t.Errorf("%d frames are said to be sent, and the topic has %d", len(sent), count(t, brokers, "small"))
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
	cfg := Config{Brokers: brokers, Topic: "old", Partitions: 4, Camera: "lobby", Format: JPEG, Progress: &progress}
	sent, err := Send(testContext(t), cfg, newDemo(t, 7))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sent {
		if s.Partition != int32(i%3) {
			t.Errorf("frame %d went to partition %d of 3", i, s.Partition)
		}
	}
	if !strings.Contains(progress.String(), "keeps its 3 partitions") {
		t.Errorf("no note on the partitions: %q", &progress)
	}
}

func TestSendStopsAtFrames(t *testing.T) {
	cfg := Config{Brokers: newCluster(t).ListenAddrs(), Topic: "frames", Partitions: 2, Camera: "lobby", Format: JPEG, Frames: 3}
	source := &stub{pictures: plain(10, 640, 480)}
	sent, err := Send(testContext(t), cfg, source)
	if err != nil || len(sent) != 3 || source.next != 3 {
		t.Errorf("%d frames were sent and %d read, want 3 and 3: %v", len(sent), source.next, err)
	}
}

// Cancelling is no failure of what was sent before: it is counted, and it is there.
func TestSendCancelled(t *testing.T) {
	brokers := newCluster(t).ListenAddrs()
	ctx, cancel := context.WithCancel(testContext(t))
	source := &stub{pictures: plain(100, 64, 48), before: func(i int) error {
		if i == 20 {
			cancel()
		}
		return nil
	}}
	cfg := Config{Brokers: brokers, Topic: "frames", Partitions: 2, Camera: "lobby", Format: Raw}
	sent, err := Send(ctx, cfg, source)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if n := count(t, brokers, "frames"); len(sent) != 20 || n != 20 {
		t.Errorf("%d frames are said to be sent, the topic has %d, want 20", len(sent), n)
	}
}

func TestSendSourceFails(t *testing.T) {
	brokers := newCluster(t).ListenAddrs()
	broken := errors.New("the disk is gone")
	source := &stub{pictures: plain(100, 64, 48), before: func(i int) error {
		if i == 5 {
			return broken
		}
		return nil
	}}
	cfg := Config{Brokers: brokers, Topic: "frames", Partitions: 2, Camera: "lobby", Format: Raw}
	sent, err := Send(testContext(t), cfg, source)
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
	if n := count(t, brokers, "frames"); len(sent) != 5 || n != 5 {
		t.Errorf("%d frames are said to be sent, the topic has %d, want 5", len(sent), n)
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
	cfg := Config{Brokers: c.ListenAddrs(), Topic: "frames", Partitions: 2, Camera: "lobby", Format: Raw}
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
		{"unknown format", "bmp", plain(1, 64, 48), `"bmp" is neither jpeg nor raw`},
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
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	brokers := c.ListenAddrs()
	c.Close() // its port is free now
	start := time.Now()
	_, err = Send(testContext(t), Config{Brokers: brokers, Topic: "frames", Partitions: 1, Camera: "lobby", Format: JPEG}, newDemo(t, 1))
	checkError(t, err, "reaching Kafka at "+brokers[0], "refused")
	if took := time.Since(start); took > connectTimeout {
		t.Errorf("it took %v", took)
	}
}

// No picture is sent before its time, whatever the pictures before it took.
func TestSendPaced(t *testing.T) {
	cfg := Config{Brokers: newCluster(t).ListenAddrs(), Topic: "frames", Partitions: 2, Camera: "lobby", Format: Raw, FPS: 40}
	before := time.Now().UnixMilli()
	sent, err := Send(testContext(t), cfg, &stub{pictures: plain(9, 64, 48)})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sent {
		if got, want := s.TimestampMillis-before, int64(25*i); got < want {
			t.Errorf("frame %d was sent after %d ms, want %d or more", i, got, want)
		}
	}
}

func TestDue(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		i    int
		fps  float64
		want time.Duration
	}{
		{0, 0, 0}, {1000, 0, 0},
		{0, 25, 0}, {1, 25, 40 * time.Millisecond}, {1_000_000, 25, 40_000 * time.Second},
		{3, 0.5, 6 * time.Second}, {30_000, 30, 1000 * time.Second},
	} {
		if got := due(start, test.i, test.fps).Sub(start); got != test.want {
			t.Errorf("frame %d at %v frames/s is due after %v, want %v", test.i, test.fps, got, test.want)
		}
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
		if got := maxBytesFor(size); got != want {
			t.Errorf("%d bytes: got %d, want %d", size, got, want)
		}
	}
}
