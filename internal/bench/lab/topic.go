package lab

import (
	"context"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/bench/bare"
	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
)

// Partitions is how many a topic has where nothing else is asked for.
const Partitions = 4

// Fill makes a topic with so many frames of the demo, spread over its
// partitions.
func (l *Lab) Fill(ctx context.Context, topic, format string, partitions, frames int) error {
	pictures, err := bare.Pictures(format, min(frames, bare.Distinct))
	if err != nil {
		return err
	}
	sent, err := feed.Send(ctx, feed.Config{
		Brokers: []string{l.stack.Kafka}, Topic: topic, Partitions: int32(partitions), Camera: "demo", Format: format,
	}, &repeated{pictures: pictures, left: frames})
	if err != nil {
		return err
	}
	l.totals[topic] = len(sent)
	l.say("topic %s holds %d frames in %d partitions", topic, len(sent), partitions)
	return nil
}

// repeated plays the same pictures again and again.
type repeated struct {
	pictures []video.Picture
	next     int
	left     int
}

func (r *repeated) Next() (video.Picture, error) {
	if r.left == 0 {
		return video.Picture{}, io.EOF
	}
	p := r.pictures[r.next%len(r.pictures)]
	r.next++
	r.left--
	return p, nil
}

func (r *repeated) Close() error { return nil }

// leave has a consumer group find only the last n frames of a topic.
func (l *Lab) leave(ctx context.Context, group, topic string, n int) error {
	total := l.totals[topic]
	if n > total {
		return fmt.Errorf("topic %s holds %d frames, not %d", topic, total, n)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.stack.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("asking for the end of topic %s: %w", topic, err)
	}
	left := last(n, total, len(ends[topic]))
	offsets := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) {
		offsets.AddOffset(topic, o.Partition, o.Offset-int64(left[o.Partition]), -1)
	})
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("committing offsets of group %s: %w", group, err)
	}
	return nil
}

// last returns how many of the last n of all frames are in each partition, where
// frame i is in partition i modulo their number.
func last(n, total, partitions int) []int {
	out := make([]int, partitions)
	for i := total - n; i < total; i++ {
		out[i%partitions]++
	}
	return out
}
