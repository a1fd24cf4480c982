package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"facestream/internal/wait"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const badEvery = 3 * time.Second

// bad are records of which no picture comes: the first two are skipped, the
// others are rejected.
var bad = [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000), append([]byte("\xff\xd8\xff\xe0"), make([]byte, 5000)...)}

// makeTopic makes the topic before anybody asks for it.
func makeTopic(ctx context.Context, broker string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return fmt.Errorf("making topic %s: %w", topic, err)
	}
	return nil
}

// sendBad sends bad records among the camera's, until ctx ends.
func (s *soak) sendBad(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.stack.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	for i := 0; ctx.Err() == nil; i++ {
		r := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: bad[i%len(bad)]}
		// It waits for a broker that is away; one that was killed may make it fail.
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil && !errors.Is(err, ctx.Err()) {
			s.say("sending a bad record: %v", err)
		}
		_ = wait.Sleep(ctx, badEvery)
	}
	return nil
}
