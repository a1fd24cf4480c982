package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
)

// What is told of a topic, and of one that is not there. A few records stand for
// it: the last ones, of every partition.
func TestProbe(t *testing.T) {
	ctx := t.Context()
	limit := "2000000"
	// Small values are compressed, others not.
	to := newTopic(t, "probed", 3, map[string]*string{"max.message.bytes": &limit}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	topic, nowhere := to.name, testservices.Name("nowhere")
	plain, small := to.client, to.connect(t, kgo.ProducerBatchCompression(kgo.GzipCompression()))
	send := func(client *kgo.Client, partition int32, key string, bytes int) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: make([]byte, bytes)}
		testkit.Must(t, client.ProduceSync(ctx, r).FirstErr())
	}
	for i := range 12 {
		send(plain, 0, fmt.Sprintf("a%02d", i), 97)
	}
	send(plain, 1, "b00", 997)
	send(small, 1, "b01", 4997)

	offsets, err := kafka.Connect(ctx, to.broker, topic, []string{topic, nowhere})
	testkit.Must(t, err)
	defer offsets.Close()
	if err := offsets.Exists(topic); err != nil {
		t.Error(err)
	}
	_, opening := kafka.Open(ctx, to.broker, topic, []string{topic, nowhere})
	for _, err := range []error{offsets.Exists(nowhere), opening} {
		if !errors.Is(err, kafka.ErrUnknownTopic) || !strings.Contains(err.Error(), nowhere) {
			t.Errorf("error %v, want one that names the topic that does not exist", err)
		}
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
	to.stand(t, topic, 0, 2)
	to.remove(t, 0, 5)
	want.Records, want.Waiting, want.Lost = 9, 9, 3
	if got, err := offsets.Topic(ctx, topic); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	to.stand(t, topic, 0, 13)
	if _, err := offsets.Topic(ctx, topic); err == nil || !strings.Contains(err.Error(), "use another group") {
		t.Errorf("error %v, want one about a group beyond the end", err)
	}
}
