package kafka

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"facestream/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// maxSampleBytes ends a sample before it has all of its records.
const maxSampleBytes = 64 << 20

// The settings that limit a message.
const (
	topicLimit  = "max.message.bytes"
	brokerLimit = "message.max.bytes"
)

// Cluster describes the brokers.
type Cluster struct {
	Brokers         int
	Addrs           []string // where the brokers say that they are, host:port
	Version         string   // a guess from the requests that they know, such as "v3.9"
	MaxMessageBytes int64    // of a topic that has no limit of its own; 0 if it is unknown
	Unreachable     []error  // one for each broker that cannot be reached where it says that it is
}

// Cluster describes the brokers. Together with an error it has what was known
// before.
func (o *Offsets) Cluster(ctx context.Context) (Cluster, error) {
	c := Cluster{Brokers: len(o.first.Brokers), Unreachable: o.unreachable}
	for _, b := range o.first.Brokers {
		c.Addrs = append(c.Addrs, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
	}
	// One is enough: another one may be down.
	known, err := ask(ctx, o, "its version", func(ctx context.Context) (*kmsg.ApiVersionsResponse, error) {
		known, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, o.client)
		if err == nil {
			err = kerr.ErrorForCode(known.ErrorCode)
		}
		return known, err
	})
	if err != nil {
		return c, err
	}
	c.Version = kversion.FromApiVersionsResponse(known).VersionGuess()
	c.MaxMessageBytes, _ = o.limit(ctx, brokerLimit, func(ctx context.Context) (kadm.ResourceConfigs, error) {
		return o.admin.DescribeBrokerConfigs(ctx, o.first.Controller)
	})
	return c, nil
}

// limit reads a setting that is a number of bytes, and reports whether it is the
// topic's own. It is 0 if the brokers refuse to describe settings, for which a user
// needs a permission that a run does without.
func (o *Offsets) limit(ctx context.Context, key string, describe func(context.Context) (kadm.ResourceConfigs, error)) (bytes int64, own bool) {
	configs, err := ask(ctx, o, "its settings", describe)
	if err != nil || len(configs) != 1 || configs[0].Err != nil {
		return 0, false
	}
	for _, c := range configs[0].Configs {
		if c.Key == key {
			bytes, _ = strconv.ParseInt(c.MaybeValue(), 10, 64) // 0 if it is none
			own = c.Source == kmsg.ConfigSourceDynamicTopicConfig
		}
	}
	return bytes, own
}

// Topic is what Kafka holds of a topic.
type Topic struct {
	Partitions      int
	Records         int64 // by offsets
	Waiting         int64 // for the group; see Lag
	Lost            int64 // offsets that the group had still to read when Kafka removed them
	MaxMessageBytes int64 // 0 if it is unknown
	OwnLimit        bool  // whether that is set on the topic itself
}

// Topic returns what Kafka holds of one of the topics. A group that stands beyond
// the end of a partition is an error.
func (o *Offsets) Topic(ctx context.Context, topic string) (Topic, error) {
	o = o.only(topic)
	logs, err := o.Logs(ctx)
	if err != nil {
		return Topic{}, err
	}
	positions, err := o.positions(ctx)
	if err != nil {
		return Topic{}, err
	}
	t := Topic{Partitions: len(logs)}
	for _, l := range logs {
		t.Records += l.End - l.Start
	}
	if t.Waiting, err = o.Lag(ctx); err != nil {
		return Topic{}, err
	}
	for _, p := range positions {
		t.Lost += max(0, p.start-p.lostFrom)
	}
	t.MaxMessageBytes, t.OwnLimit = o.limit(ctx, topicLimit, func(ctx context.Context) (kadm.ResourceConfigs, error) {
		return o.admin.DescribeTopicConfigs(ctx, topic)
	})
	return t, nil
}

// Sample is the size of some records: of their keys, values and headers.
type Sample struct {
	Records int
	Bytes   int64
	Largest int64
	// LargestPlain is the largest of those that came without compression.
	LargestPlain int64
}

// Probe calls visit with the last records of one of the topics: at most n, spread over
// the partitions, and fewer if they are large.
func (o *Offsets) Probe(ctx context.Context, topic string, n int, visit func(Record)) (Sample, error) {
	logs, err := o.only(topic).Logs(ctx)
	if err != nil {
		return Sample{}, err
	}
	var s Sample
	err = o.scan(ctx, last(logs, int64(n)), func(c chunk) (bool, error) {
		for _, r := range c.records {
			size := recordBytes(r) - recordOverhead
			s.Records++
			s.Bytes += size
			s.Largest = max(s.Largest, size)
			if r.Attrs.CompressionType() == 0 {
				s.LargestPlain = max(s.LargestPlain, size)
			}
			visit(recordOf(r))
		}
		return s.Bytes < maxSampleBytes, nil
	})
	if err != nil {
		return Sample{}, fmt.Errorf("looking at the last records of topic %s: %w", topic, err)
	}
	return s, nil
}

// last returns where the last n offsets are: the same number in each partition, but
// where one has fewer.
func last(logs []Log, n int64) map[record.TopicPartition]position {
	var sizes []int64
	for _, l := range logs {
		sizes = append(sizes, l.End-l.Start)
	}
	out := map[record.TopicPartition]position{}
	for i, take := range evenly(sizes, n) {
		out[logs[i].TopicPartition] = position{start: logs[i].End - take, end: logs[i].End}
	}
	return out
}

// evenly takes n in all from several: the same from each, but where one has less.
func evenly(sizes []int64, n int64) []int64 {
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(sizes[a], sizes[b]) })
	out := make([]int64, len(sizes))
	for i, at := range order {
		left := int64(len(order) - i)
		out[at] = min(sizes[at], n/left+min(1, n%left))
		n -= out[at]
	}
	return out
}

// only returns an Offsets for one of the topics, which shares the connections.
func (o *Offsets) only(topic string) *Offsets {
	return &Offsets{
		Uncommitted: o.Uncommitted, brokers: o.brokers, group: o.group, topics: []string{topic},
		client: o.client, admin: o.admin, answered: o.answered, first: o.first, fetching: o.fetching,
	}
}
