package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/kafka"
)

// fillForLook makes a topic with two partitions. In the first are six records,
// of which Kafka has removed the first two, a transaction's control record at 6
// and a record behind it. The second has one.
func fillForLook(t *testing.T, broker, topic string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 2, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for _, records := range [][]*kgo.Record{
		{{Value: []byte("0")}, {Value: []byte("1")}, {Value: []byte("2")}, {Value: []byte("3")}, {Value: []byte("4")}, {Value: []byte("5")}},
		{{Value: []byte("7")}, {Partition: 1, Value: []byte("0")}},
	} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			r.Topic = topic
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	// The broker writes control records some time after the commit.
	for deadline := time.Now().Add(time.Minute); ; {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if ends[topic][0].Offset == 9 && ends[topic][1].Offset == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the partitions end at %v", ends)
		}
	}
	var removed kadm.Offsets
	removed.AddOffset(topic, 0, 2, -1)
	if _, err := admin.DeleteRecords(t.Context(), removed); err != nil {
		t.Fatal(err)
	}
	return admin
}

func openForLook(t *testing.T, broker, group string, topics ...string) (context.Context, *kafka.Offsets) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	offsets, err := kafka.Open(ctx, broker, group, topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(offsets.Close)
	return ctx, offsets
}

func TestLogsAndCommitted(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("look-logs")
	admin := fillForLook(t, broker, topic)
	ctx, offsets := openForLook(t, broker, topic, topic)
	logs, err := offsets.Logs(ctx)
	if want := []kafka.Log{{TopicPartition: record.In(topic, 0), Start: 2, End: 9}, {TopicPartition: record.In(topic, 1), End: 2}}; err != nil || !reflect.DeepEqual(logs, want) {
		t.Errorf("logs %+v, %v, want %+v", logs, err, want)
	}
	if committed, err := offsets.Committed(ctx); err != nil || len(committed) > 0 {
		t.Errorf("a new group has committed %+v, %v", committed, err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "look-another"); err != nil {
		t.Fatal(err)
	}
	var commit kadm.Offsets
	commit.AddOffset(topic, 1, 5, -1) // beyond the end, which is for others to judge
	commit.AddOffset("look-another", 0, 1, -1)
	if err := admin.CommitAllOffsets(ctx, topic, commit); err != nil {
		t.Fatal(err)
	}
	committed, err := offsets.Committed(ctx)
	if want := []record.ID{record.In(topic, 1).At(5)}; err != nil || !reflect.DeepEqual(committed, want) {
		t.Errorf("committed %+v, %v, want %+v", committed, err, want)
	}
}

func TestLook(t *testing.T) {
	broker := realBroker(t)
	topic := testservices.Name("look")
	fillForLook(t, broker, topic)
	ctx, offsets := openForLook(t, broker, topic, topic)
	look := func(visit func(kafka.Record) (bool, error), ranges ...record.Range) error {
		return offsets.Visit(ctx, []record.Offsets{
			{TopicPartition: record.In(topic, 0), Ranges: ranges},
			{TopicPartition: record.In(topic, 1), Ranges: testkit.Ranges(0, 0)},
		}, visit)
	}
	for name, test := range map[string]struct {
		ranges []record.Range
		most   int // records of a range
		want   []string
	}{
		"none":               {nil, 9, []string{"1+0"}},
		"one":                {testkit.Ranges(3, 3), 9, []string{"0+3", "1+0"}},
		"several":            {testkit.Ranges(3, 4, 7, 7), 9, []string{"0+3", "0+4", "0+7", "1+0"}},
		"removed, then some": {testkit.Ranges(0, 1, 1, 2), 9, []string{"0+2", "1+0"}},
		"control":            {testkit.Ranges(6, 6, 8, 8), 9, []string{"1+0"}},
		"across control":     {testkit.Ranges(5, 7), 9, []string{"0+5", "0+7", "1+0"}},
		"the first of each":  {testkit.Ranges(2, 5, 6, 8), 1, []string{"0+2", "0+7", "1+0"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			var count int
			err := look(func(r kafka.Record) (bool, error) {
				if want := fmt.Sprint(r.Offset); r.Value == nil || string(*r.Value) != want {
					t.Errorf("offset %s has another value", want)
				}
				got[fmt.Sprintf("%d+%d", r.Partition, r.Offset)] = true
				count++
				return test.most > 1, nil
			}, test.ranges...)
			if err != nil {
				t.Fatal(err)
			}
			if count != len(got) || len(got) != len(test.want) {
				t.Errorf("got %v in %d calls, want %v", got, count, test.want)
			}
			for _, one := range test.want {
				if !got[one] {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}
		})
	}
	failed := errors.New("enough")
	calls := 0
	err := look(func(kafka.Record) (bool, error) { calls++; return true, failed }, record.Range{First: 2, Last: 5})
	if err != failed || calls != 1 {
		t.Errorf("an error of visit: %v after %d calls", err, calls)
	}
}
