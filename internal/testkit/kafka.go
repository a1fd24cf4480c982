package testkit

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka returns a client that ends with the test. It sends records to the partitions that
// they name.
func Kafka(t testing.TB, broker string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c := Value(kgo.NewClient(append(opts, kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))...))(t)
	t.Cleanup(c.Close)
	return c
}

// FakeKafka starts a broker inside of this process, which ends with the test.
func FakeKafka(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster := Value(kfake.NewCluster(append(opts, kfake.NumBrokers(1))...))(t)
	t.Cleanup(cluster.Close)
	return cluster
}

// AwaitTopic waits until a broker knows of so many partitions of a topic: it does so some time
// after it has said that they are made.
func AwaitTopic(t testing.TB, c *kgo.Client, topic string, partitions int) {
	t.Helper()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
	Await(t, "topic "+topic, func() bool {
		known := Value(request.RequestWith(t.Context(), c))(t)
		return len(known.Topics[0].Partitions) == partitions
	})
}

// ReadKafka returns so many records of a topic from its beginning, or some more.
func ReadKafka(t testing.TB, broker, topic string, n int) (records []*kgo.Record) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for c := Kafka(t, broker, kgo.ConsumeTopics(topic)); len(records) < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
