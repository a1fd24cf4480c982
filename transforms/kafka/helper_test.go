package kafka_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
)

// topic is a topic of a test's own. Its consumer group has the same name.
type topic struct {
	name    string
	broker  string
	client  *kgo.Client
	admin   *kadm.Client
	offsets *kafka.Offsets
}

// newTopic makes a topic. base is the beginning of its name.
func newTopic(t *testing.T, base string, partitions int32, configs map[string]*string, opts ...kgo.Opt) *topic {
	t.Helper()
	to := &topic{name: testservices.Name(base), broker: testservices.Start(t, services.Options{Kafka: true}).Kafka}
	to.client = to.connect(t, opts...)
	to.admin = kadm.NewClient(to.client)
	// Some tests send records of long ago, which Kafka would remove.
	all := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
	maps.Copy(all, configs)
	created, err := to.admin.CreateTopic(t.Context(), partitions, 1, all, to.name)
	if err == nil {
		err = created.Err
	}
	testkit.Must(t, err)
	testkit.Await(t, "the topic, of which not all of Kafka knows at once", func() bool {
		to.offsets, err = kafka.Open(t.Context(), to.broker, to.name, []string{to.name})
		return !errors.Is(err, kafka.ErrUnknownTopic)
	})
	testkit.Must(t, err)
	t.Cleanup(to.offsets.Close)
	return to
}

func (to *topic) connect(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return testkit.Kafka(t, to.broker, opts...)
}

// send sends records to the topic.
func (to *topic) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	to.produce(t, to.client, records...)
}

func (to *topic) produce(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r.Topic = to.name
	}
	testkit.Must(t, client.ProduceSync(t.Context(), records...).FirstErr())
}

// begin begins a transaction with records. The client must be for that.
func (to *topic) begin(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	testkit.Must(t, client.BeginTransaction())
	to.produce(t, client, records...)
}

// end ends a transaction, which leaves a control record in each of its partitions: some
// time later, so that a partition's end tells when.
func (to *topic) end(t *testing.T, client *kgo.Client, how kgo.TransactionEndTry, ends ...int64) {
	t.Helper()
	testkit.Must(t, client.EndTransaction(t.Context(), how))
	testkit.Await(t, "the control records", func() bool {
		listed := testkit.Value(to.admin.ListEndOffsets(t.Context(), to.name))(t)
		for partition, end := range ends {
			if listed[to.name][int32(partition)].Offset != end {
				return false
			}
		}
		return true
	})
}

// fill makes a topic with two partitions. In the first are six records, of which
// Kafka has removed the first two, a transaction's control record at 6, and a record
// and a control record behind it. The second has one of each. A value is its offset.
func fill(t *testing.T, base string) *topic {
	t.Helper()
	name := testservices.Name(base)
	to := newTopic(t, base, 2, nil, kgo.TransactionalID(name))
	to.begin(t, to.client, value(0, "0"), value(0, "1"), value(0, "2"), value(0, "3"), value(0, "4"), value(0, "5"))
	to.end(t, to.client, kgo.TryCommit, 7)
	to.begin(t, to.client, value(0, "7"), value(1, "0"))
	to.end(t, to.client, kgo.TryCommit, 9, 2)
	to.remove(t, 0, 2)
	return to
}

// value is a record with a value.
func value(partition int32, text string) *kgo.Record {
	return &kgo.Record{Partition: partition, Value: []byte(text)}
}

// remove removes the records of a partition before an offset, as Kafka does when they
// are old.
func (to *topic) remove(t *testing.T, partition int32, before int64) {
	t.Helper()
	var at kadm.Offsets
	at.AddOffset(to.name, partition, before, -1)
	testkit.Value(to.admin.DeleteRecords(t.Context(), at))(t)
}

// stand makes the group stand at an offset of a partition of a topic.
func (to *topic) stand(t *testing.T, name string, partition int32, offset int64) {
	t.Helper()
	var at kadm.Offsets
	at.AddOffset(name, partition, offset, -1)
	testkit.Must(t, to.admin.CommitAllOffsets(t.Context(), to.name, at))
}

// of gives ranges of a partition; see testkit.Ranges.
func (to *topic) of(partition int32, ranges ...int64) record.Offsets {
	return record.Offsets{TopicPartition: record.In(to.name, partition), Ranges: testkit.Ranges(ranges...)}
}

// commit commits what is done, of which nothing may have been passed over.
func (to *topic) commit(t *testing.T, done ...record.Offsets) {
	t.Helper()
	review, err := to.offsets.Review(t.Context(), done)
	if err == nil {
		err = to.offsets.Commit(t.Context(), review)
	}
	testkit.Must(t, err)
}

// mustLag checks how many records wait.
func (to *topic) mustLag(t *testing.T, want int64) {
	t.Helper()
	testkit.Gives(to.offsets.Lag(t.Context()))(t, "the lag", want)
}

// mustPlan checks how many records the next window may read.
func (to *topic) mustPlan(t *testing.T, maxBytes, want int64) {
	t.Helper()
	testkit.Gives(to.offsets.Plan(t.Context(), maxBytes))(t, fmt.Sprintf("plan for %d bytes", maxBytes), want)
}
