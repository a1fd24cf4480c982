package feed

import (
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/video"
	"facestream/internal/testkit"
)

func newDemo(t *testing.T, frames int) *video.Demo {
	t.Helper()
	return testkit.Value(video.NewDemo(frames))(t)
}

func newAdmin(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	return kadm.NewClient(testkit.Kafka(t, brokers[0]))
}

// createTopic makes a topic with a max.message.bytes.
func createTopic(t *testing.T, brokers []string, name string, partitions int32, limit string) {
	t.Helper()
	configs := map[string]*string{"max.message.bytes": &limit}
	testkit.Value(newAdmin(t, brokers).CreateTopic(t.Context(), partitions, 1, configs, name))(t)
}

// count returns how many records the topic's partitions have.
func count(t *testing.T, brokers []string, topic string) int {
	t.Helper()
	ends := testkit.Value(newAdmin(t, brokers).ListEndOffsets(t.Context(), topic))(t)
	n := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n += int(o.Offset)
	})
	return n
}

// place is where a record is in a topic.
type place struct {
	partition int32
	offset    int64
}

// readAll reads so many records of the topic from its beginning.
func readAll(t *testing.T, brokers []string, topic string, n int) map[place]*kgo.Record {
	t.Helper()
	records := map[place]*kgo.Record{}
	for _, r := range testkit.ReadKafka(t, brokers[0], topic, n) {
		records[place{r.Partition, r.Offset}] = r
	}
	return records
}

// stub is a source of given pictures. Before picture i is given, it calls
// before(i), if that is set; its error is Next's, and with skips stands for the picture.
type stub struct {
	pictures []video.Picture
	before   func(i int) error
	skips    bool
	next     int
}

func (s *stub) Next() (video.Picture, error) {
	if s.before != nil {
		if err := s.before(s.next); err != nil {
			if s.skips && s.next < len(s.pictures) {
				s.next++
			}
			return video.Picture{}, err
		}
	}
	if s.next == len(s.pictures) {
		return video.Picture{}, io.EOF
	}
	s.next++
	return s.pictures[s.next-1], nil
}

func (s *stub) Close() error { return nil }

// plain returns so many black pictures.
func plain(n, width, height int) []video.Picture {
	pictures := make([]video.Picture, n)
	for i := range pictures {
		pictures[i] = video.Picture{Name: fmt.Sprintf("picture %d", i), Width: width, Height: height, BGR: make([]byte, width*height*3)}
	}
	return pictures
}

// rawConfig sends raw frames to a new topic.
func rawConfig(brokers []string) Config {
	return Config{Brokers: brokers, Topic: "frames", Partitions: 2, Camera: "lobby", Format: Raw}
}
