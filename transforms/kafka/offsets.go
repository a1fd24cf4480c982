package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	dialTimeout = 5 * time.Second
	// requestTimeout bounds one question to the brokers, retries included.
	requestTimeout = 20 * time.Second
	askAgain       = 100 * time.Millisecond
	// idleTimeout is how long a scan waits for the next record that the log is
	// known to hold.
	idleTimeout = 30 * time.Second
)

// ErrUnknownTopic is wrapped by the error of Open when a topic does not exist.
var ErrUnknownTopic = errors.New("topic does not exist")

// Offsets knows where a consumer group stands in its topics. It is the
// driver's side of Kafka: it reads and commits offsets, and never joins the
// group.
type Offsets struct {
	brokers string // host:port, comma-separated
	group   string
	topics  []string
	client  *kgo.Client
	admin   *kadm.Client
}

// Open connects to the brokers (host:port, comma-separated) and makes sure that
// every topic exists. It creates nothing.
func Open(ctx context.Context, brokers, group string, topics []string) (*Offsets, error) {
	o := &Offsets{brokers: brokers, group: group, topics: topics}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(requestTimeout),
	)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka at %s: %w", brokers, err)
	}
	o.client, o.admin = client, kadm.NewClient(client)
	if err := o.check(ctx); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Close ends the connections.
func (o *Offsets) Close() { o.client.Close() }

func (o *Offsets) check(ctx context.Context) error {
	var details kadm.TopicDetails
	err := o.ask(ctx, "its topics", func(ctx context.Context) (err error) {
		details, err = o.admin.ListTopics(ctx, o.topics...)
		return err
	})
	if err != nil {
		return err
	}
	for _, topic := range o.topics {
		switch err := details[topic].Err; {
		case errors.Is(err, kerr.UnknownTopicOrPartition), !details.Has(topic):
			return fmt.Errorf("topic %q at %s: %w", topic, o.brokers, ErrUnknownTopic)
		case err != nil:
			return fmt.Errorf("topic %q at %s: %w", topic, o.brokers, err)
		}
	}
	return nil
}

// ask puts a question to the brokers, again while the answer is that it should
// be asked again: a new cluster has no group coordinator at first.
func (o *Offsets) ask(ctx context.Context, what string, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		err := question(ctx)
		if err == nil {
			return nil
		}
		if kerr.IsRetriable(err) {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("asking Kafka at %s for %s: %w", o.brokers, what, err)
	}
}

// position is what a group has still to read of one partition: [start, end).
type position struct{ start, end int64 }

type partition struct {
	topic string
	id    int32
}

// positions starts at the committed offset, or at the first record of a
// partition that has none, as the consumer in the pipeline does. A committed
// offset beyond the end is an error: from there KafkaIO would read nothing for
// ever.
func (o *Offsets) positions(ctx context.Context) (map[partition]position, error) {
	// Before the ends: another run of the group may be committing.
	var committed kadm.OffsetResponses
	err := o.ask(ctx, "the offsets of group "+o.group, func(ctx context.Context) (err error) {
		if committed, err = o.admin.FetchOffsets(ctx, o.group); err == nil {
			err = committed.Error()
		}
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, err
	}
	var starts, ends kadm.ListedOffsets
	err = o.ask(ctx, "its offsets", func(ctx context.Context) (err error) {
		if starts, err = o.admin.ListStartOffsets(ctx, o.topics...); err == nil {
			err = starts.Error()
		}
		if err != nil {
			return err
		}
		if ends, err = o.admin.ListEndOffsets(ctx, o.topics...); err == nil {
			err = ends.Error()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[partition]position{}
	ends.Each(func(e kadm.ListedOffset) {
		start := int64(0)
		if s, ok := starts.Lookup(e.Topic, e.Partition); ok {
			start = s.Offset
		}
		if c, ok := committed.Lookup(e.Topic, e.Partition); ok && c.At > start {
			start = c.At
		}
		if start > e.Offset {
			err = fmt.Errorf("group %s stands at offset %d of partition %d of topic %s, which ends at %d: the topic was made anew; use another group, or remove this one's offsets",
				o.group, start, e.Partition, e.Topic, e.Offset)
		}
		out[partition{e.Topic, e.Partition}] = position{start, e.Offset}
	})
	return out, err
}

// Lag returns how many records the group has still to read, by offsets.
func (o *Offsets) Lag(ctx context.Context) (int64, error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return 0, err
	}
	var lag int64
	for _, p := range positions {
		lag += p.end - p.start
	}
	return lag, nil
}

// Done says which records of a partition are done.
type Done struct {
	Topic     string
	Partition int32
	Offsets   []Range // in order
}

// Range is consecutive offsets, the last one included.
type Range struct{ First, Last int64 }

// GapError says that a record is not among those that are done, although later
// ones of its partition are.
type GapError struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("offset %d of partition %d of topic %s was passed over", e.Offset, e.Partition, e.Topic)
}

// Commit stores for the group that all records up to the last of done are done.
// If one before it is not, between the group's offset and there, the error is a
// *GapError and nothing is stored. Offsets without a record, such as those of
// transactions or of what was compacted away, are no gap.
func (o *Offsets) Commit(ctx context.Context, done []Done) error {
	if len(done) == 0 {
		return nil
	}
	positions, err := o.positions(ctx)
	if err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	gaps := map[partition]position{}
	for _, d := range done {
		p := partition{d.Topic, d.Partition}
		next := positions[p].start
		for _, r := range d.Offsets {
			if r.First > next {
				// One question for each partition: a gap is rare, two are rarer.
				gap, open := gaps[p]
				if !open {
					gap.start = next
				}
				gap.end = r.First
				gaps[p] = gap
			}
			next = max(next, r.Last+1)
		}
		offsets.AddOffset(d.Topic, d.Partition, next, -1)
	}
	if err := o.findGap(ctx, gaps, done); err != nil {
		return err
	}
	return o.ask(ctx, "a commit of group "+o.group, func(ctx context.Context) error {
		return o.admin.CommitAllOffsets(ctx, o.group, offsets)
	})
}

// findGap looks into the log for records in gaps that are not done.
func (o *Offsets) findGap(ctx context.Context, gaps map[partition]position, done []Done) error {
	var gap *GapError
	err := o.scan(ctx, gaps, func(r *kgo.Record) bool {
		if !r.Attrs.IsControl() && !contains(done, r) {
			gap = &GapError{r.Topic, r.Partition, r.Offset}
		}
		return gap == nil
	})
	if err != nil {
		return fmt.Errorf("looking for records that were passed over: %w", err)
	}
	if gap != nil {
		return gap
	}
	return nil
}

func contains(done []Done, r *kgo.Record) bool {
	for _, d := range done {
		if d.Topic == r.Topic && d.Partition == r.Partition {
			return slices.ContainsFunc(d.Offsets, func(o Range) bool { return o.First <= r.Offset && r.Offset <= o.Last })
		}
	}
	return false
}

// scan gives every record of the positions to visit, each partition in order of
// offset, until visit returns false. Control records are among them.
func (o *Offsets) scan(ctx context.Context, positions map[partition]position, visit func(*kgo.Record) bool) error {
	left := map[partition]int64{} // first offset beyond the range
	assignment := map[string]map[int32]kgo.Offset{}
	for p, at := range positions {
		if at.start >= at.end {
			continue
		}
		left[p] = at.end
		if assignment[p.topic] == nil {
			assignment[p.topic] = map[int32]kgo.Offset{}
		}
		assignment[p.topic][p.id] = kgo.NewOffset().At(at.start)
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.DialTimeout(dialTimeout),
		kgo.ConsumePartitions(assignment),
		kgo.FetchMaxBytes(2*fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.KeepControlRecords(), // so that a range ending in one is seen to end
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		wait, cancel := context.WithTimeout(ctx, idleTimeout)
		fetches := client.PollFetches(wait)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no record for %s, although the log is said to hold more", idleTimeout)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("partition %d of %s: %w", e.Partition, e.Topic, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			p := partition{r.Topic, r.Partition}
			end, open := left[p]
			if open && r.Offset < end && !visit(r) {
				return nil
			}
			if r.Offset+1 >= end {
				delete(left, p)
			}
		}
	}
	return nil
}
