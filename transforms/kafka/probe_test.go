package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/stack/services/testservices"
	"facestream/transforms/kafka"
)

// What is told of a topic, and of one that is not there. A few records stand for
// it: the last ones, of every partition.
func TestSniff(t *testing.T) {
	broker := realBroker(t)
	ctx := t.Context()
	const limit = "2000000"
	topic := testservices.Name("sniffed")
	// Small values are compressed, others not.
	plain, admin := sniffClient(t, broker, kgo.ProducerBatchCompression(kgo.NoCompression()))
	small, _ := sniffClient(t, broker, kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if _, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"max.message.bytes": kadm.StringPtr(limit)}, topic); err != nil {
		t.Fatal(err)
	}
	send := func(client *kgo.Client, partition int32, key string, bytes int) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: make([]byte, bytes)}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		send(plain, 0, fmt.Sprintf("a%02d", i), 97)
	}
	send(plain, 1, "b00", 997)
	send(small, 1, "b01", 4997)

	offsets, err := kafka.Connect(ctx, broker, "sniffers", []string{topic, "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	if err := offsets.Exists(topic); err != nil {
		t.Error(err)
	}
	if err := offsets.Exists("nowhere"); !errors.Is(err, kafka.ErrUnknownTopic) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v, want one that names the topic that does not exist", err)
	}
	c, err := offsets.Cluster(ctx)
	if err != nil || c.Brokers != 1 || !strings.HasPrefix(c.Version, "v") || c.MaxMessageBytes != 1048588 {
		t.Errorf("%+v, %v, want one broker with a version and Kafka's own limit", c, err)
	}

	for _, tc := range []struct {
		n       int
		records []string
		sample  kafka.Sample
	}{
		{100, []string{"a00", "a01", "a02", "a03", "a04", "a05", "a06", "a07", "a08", "a09", "a10", "a11", "b00", "b01"}, kafka.Sample{Records: 14, Bytes: 7200, Largest: 5000, LargestPlain: 1000}},
		{6, []string{"a08", "a09", "a10", "a11", "b00", "b01"}, kafka.Sample{Records: 6, Bytes: 6400, Largest: 5000, LargestPlain: 1000}},
		{2, []string{"a11", "b01"}, kafka.Sample{Records: 2, Bytes: 5100, Largest: 5000, LargestPlain: 100}},
		{0, nil, kafka.Sample{}},
	} {
		var records []string
		sample, err := offsets.Probe(ctx, topic, tc.n, func(r kafka.Record) { records = append(records, string(*r.Key)) })
		slices.Sort(records)
		if err != nil || !slices.Equal(records, tc.records) || sample != tc.sample {
			t.Errorf("the last %d are %v, %+v, %v, want %v, %+v", tc.n, records, sample, err, tc.records, tc.sample)
		}
	}

	want := kafka.Topic{Partitions: 3, Records: 14, Waiting: 14, MaxMessageBytes: 2000000, OwnLimit: true}
	if got, err := offsets.Topic(ctx, topic); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	// A group that has read some, of which Kafka has removed more.
	commit := func(offset int64) {
		t.Helper()
		at := kadm.Offsets{}
		at.AddOffset(topic, 0, offset, -1)
		if err := admin.CommitAllOffsets(ctx, "sniffers", at); err != nil {
			t.Fatal(err)
		}
	}
	commit(2)
	before := kadm.Offsets{}
	before.AddOffset(topic, 0, 5, -1)
	if _, err := admin.DeleteRecords(ctx, before); err != nil {
		t.Fatal(err)
	}
	want.Records, want.Waiting, want.Lost = 9, 9, 3
	if got, err := offsets.Topic(ctx, topic); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	commit(13)
	if _, err := offsets.Topic(ctx, topic); err == nil || !strings.Contains(err.Error(), "use another group") {
		t.Errorf("error %v, want one about a group beyond the end", err)
	}
}

func sniffClient(t *testing.T, broker string, opts ...kgo.Opt) (*kgo.Client, *kadm.Client) {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, kadm.NewClient(c)
}
