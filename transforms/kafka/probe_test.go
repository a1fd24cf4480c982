package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"facestream/internal/record"
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

	offsets := testkit.Value(kafka.Connect(ctx, to.broker, topic, []string{topic, nowhere}))(t)
	defer offsets.Close()
	testkit.Must(t, offsets.Exists(topic))
	_, opening := kafka.Open(ctx, to.broker, topic, []string{topic, nowhere})
	for _, err := range []error{offsets.Exists(nowhere), opening} {
		testkit.Is(t, "a topic that does not exist", err, kafka.ErrUnknownTopic)
		testkit.Says(t, "a topic that does not exist", err, nowhere)
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
	testkit.Gives(offsets.Topic(ctx, topic))(t, "the topic", want)
	// A group that has read some, of which Kafka has removed more.
	to.stand(t, topic, 0, 2)
	to.remove(t, 0, 5)
	want.Records, want.Waiting, want.Lost = 9, 9, 3
	testkit.Gives(offsets.Topic(ctx, topic))(t, "the topic, of which some is removed", want)
	// One beyond the end, as of a topic that was made anew: KafkaIO would wait there in silence.
	to.stand(t, topic, 0, 13)
	_, err = offsets.Topic(ctx, topic)
	testkit.Says(t, "a group beyond the end", err, fmt.Sprintf("group %s stands at offset 13 of partition 0 of topic %[1]s, which ends at 12", topic), "use another group")
}

// A group with a member takes no offsets from others: that is said beforehand, and when
// one comes in mid run.
func TestGroupInUse(t *testing.T) {
	to := newTopic(t, "in-use", 1, nil)
	to.send(t, value(0, "x"))
	testkit.Must(t, to.offsets.Idle(t.Context()))
	review := testkit.Value(to.offsets.Review(t.Context(), []record.Offsets{to.of(0, 0, 0)}))(t)
	for protocol, join := range map[string]func(*testing.T, *topic) func(){"classic": joinClassic, "consumer": joinNewer} {
		leave := join(t, to)
		for what, err := range map[string]error{"asked": to.offsets.Idle(t.Context()), "commit": to.offsets.Commit(t.Context(), review)} {
			testkit.Is(t, protocol+", "+what, err, kafka.ErrGroupInUse)
			testkit.Says(t, protocol+", "+what, err, `client "an-app" at 127.0.0.1`, "--group")
		}
		leave()
		testkit.Await(t, "the end of the member", func() bool { return to.offsets.Idle(t.Context()) == nil })
		testkit.Must(t, to.offsets.Commit(t.Context(), review))
	}
}

func joinClassic(t *testing.T, to *topic) (leave func()) {
	// Kafka describes a new group when its members have their partitions, and none before.
	assigned := make(chan struct{})
	member := to.connect(t, kgo.ConsumerGroup(to.name), kgo.ConsumeTopics(to.name), kgo.ClientID("an-app"),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(assigned) }))
	<-assigned
	return member.Close
}

// joinNewer joins by the protocol of Kafka 4 (KIP-848).
func joinNewer(t *testing.T, to *topic) (leave func()) {
	client := to.connect(t, kgo.ClientID("an-app"))
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.RebalanceTimeoutMillis = to.name, 60_000
	beat.SubscribedTopicNames, beat.Topics = []string{to.name}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	send := func() string {
		answer := testkit.Value(beat.RequestWith(t.Context(), client))(t)
		testkit.Must(t, kerr.ErrorForCode(answer.ErrorCode))
		return *answer.MemberID
	}
	beat.MemberID = send()
	return func() {
		beat.MemberEpoch = -1
		send()
	}
}

// Brokers that say that they are where nobody is are named. If another one can be
// reached, they may just be down.
func TestAdvertisedListeners(t *testing.T) {
	cluster := testkit.FakeKafka(t, kfake.SeedTopics(1, "t"))
	at := cluster.ListenAddrs()[0]
	host, port, err := net.SplitHostPort(at)
	testkit.Must(t, err)
	good := testkit.Value(strconv.ParseInt(port, 10, 32))(t)
	var ports []int32
	cluster.ControlKey(int16(kmsg.Metadata), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.MetadataResponse)
		for id, port := range ports {
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port = int32(id), host, port
			response.Brokers = append(response.Brokers, b)
		}
		return response, nil, true
	})
	for _, ports = range [][]int32{{1}, {int32(good), 1}} {
		offsets, err := kafka.Connect(t.Context(), at, "g", nil)
		if err == nil {
			c, _ := offsets.Cluster(t.Context())
			err = errors.Join(c.Unreachable...)
			offsets.Close()
		} else if len(ports) > 1 {
			t.Errorf("one of two brokers can be reached, and the error is %v", err)
		}
		id := len(ports) - 1
		testkit.Is(t, ports, err, kafka.ErrUnreachable)
		testkit.Says(t, "a broker", err, fmt.Sprintf("the broker at %s says that broker %d is at %s:1 (advertised.listeners), which cannot be reached from here", at, id, host))
	}
}
