package testkit

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
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
