package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"facestream/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	dialTimeout = 5 * time.Second
	// openTimeout bounds Open, which a person waits for.
	openTimeout = 20 * time.Second
	// outageTimeout bounds one request to the brokers, retries included, and
	// how long a scan waits for the next record that the log is known to hold.
	// A shorter outage does not end a run.
	outageTimeout = 45 * time.Second
	askAgain      = 100 * time.Millisecond
)

// ErrUnknownTopic is wrapped by the errors of Open and Exists when a topic does
// not exist.
var ErrUnknownTopic = errors.New("topic does not exist")

// Offsets reads and commits the offsets of a consumer group. It is the driver's
// side of Kafka and never joins the group.
type Offsets struct {
	brokers string // host:port, comma-separated
	group   string
	topics  []string
	client  *kgo.Client
	admin   *kadm.Client
	// answered is set once the brokers have answered. From then on, a failing
	// connection is an outage and no wrong address.
	answered bool
	first    kadm.Metadata // the first answer
	ahead    lookahead     // what Plan has seen
}

// Open connects to the brokers (host:port, comma-separated) and makes sure that
// every topic exists. It creates nothing.
func Open(ctx context.Context, brokers, group string, topics []string) (*Offsets, error) {
	o, err := Connect(ctx, brokers, group, topics)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		if err := o.Exists(topic); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// Connect is Open for topics that may not exist: see Exists.
func Connect(ctx context.Context, brokers, group string, topics []string) (*Offsets, error) {
	o := &Offsets{brokers: brokers, group: group, topics: topics}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(outageTimeout),
		kgo.RequestRetries(math.MaxInt), // the time decides
	)
	if err != nil {
		return nil, fmt.Errorf("connecting to Kafka at %s: %w", brokers, err)
	}
	o.client, o.admin = client, kadm.NewClient(client)
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = o.ask(opening, "its topics", func(ctx context.Context) (err error) {
		o.first, err = o.admin.Metadata(ctx, o.topics...)
		return err
	})
	if err != nil {
		o.Close()
		return nil, err
	}
	o.answered = true
	return o, nil
}

// Close ends the connections.
func (o *Offsets) Close() { o.client.Close() }

// Exists returns an error if one of the topics did not exist when o was connected.
// The error then wraps ErrUnknownTopic.
func (o *Offsets) Exists(topic string) error {
	switch err := o.first.Topics[topic].Err; {
	case errors.Is(err, kerr.UnknownTopicOrPartition), !o.first.Topics.Has(topic):
		return fmt.Errorf("topic %q at %s: %w", topic, o.brokers, ErrUnknownTopic)
	case err != nil:
		return fmt.Errorf("topic %q at %s: %w", topic, o.brokers, err)
	}
	return nil
}

// ask sends a request to the brokers. It tries again while they answer that it
// should, as a new cluster does that has no group coordinator yet, and during an
// outage.
func (o *Offsets) ask(ctx context.Context, what string, request func(context.Context) error) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, outageTimeout)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	var last error // but the context's own
	for {
		err := request(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if o.passing(err) && ctx.Err() == nil {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			last = fmt.Errorf("giving up after %s: %w", time.Since(start).Round(time.Second), last)
		}
		return fmt.Errorf("asking Kafka at %s for %s: %w", o.brokers, what, last)
	}
}

// passing reports whether the same request may succeed a little later.
func (o *Offsets) passing(err error) bool {
	var answer *kerr.Error
	if errors.As(err, &answer) {
		return answer.Retriable
	}
	return o.answered
}

// position is what a group has still to read of one partition: [start, end). It
// should have read [lostFrom, start), too, but Kafka has removed these.
type position struct{ start, end, lostFrom int64 }

// positions starts at the committed offset, or at the first record of a
// partition that has none or whose committed one is gone, as the consumer in the
// pipeline does. A committed offset beyond the end is an error: from there
// KafkaIO would read nothing for ever.
func (o *Offsets) positions(ctx context.Context) (map[record.TopicPartition]position, error) {
	// Before the ends: another run of the group may be committing.
	committed, err := o.committed(ctx)
	if err != nil {
		return nil, err
	}
	logs, err := o.Logs(ctx)
	if err != nil {
		return nil, err
	}
	out := map[record.TopicPartition]position{}
	for _, l := range logs {
		at := position{start: l.Start, end: l.End, lostFrom: l.Start}
		if c, ok := committed.Lookup(l.Topic, l.Partition); ok {
			at.lostFrom, at.start = c.At, max(l.Start, c.At)
		}
		if at.start > at.end {
			return nil, fmt.Errorf("group %s stands at %s, which ends at %d: the topic was made anew; use another group, or remove this one's offsets",
				o.group, l.At(at.start), at.end)
		}
		out[l.TopicPartition] = at
	}
	return out, nil
}

// committed returns what the group has committed: nothing, if it is new.
func (o *Offsets) committed(ctx context.Context) (kadm.OffsetResponses, error) {
	var committed kadm.OffsetResponses
	err := o.ask(ctx, "the offsets of group "+o.group, func(ctx context.Context) (err error) {
		if committed, err = o.admin.FetchOffsets(ctx, o.group); err == nil {
			err = committed.Error()
		}
		return err
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return committed, err
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

// GapError says that a record is not among those that are done, although later
// ones of its partition are.
type GapError struct{ record.ID }

func (e *GapError) Error() string { return e.ID.String() + " was passed over" }

// Review is what a window has come to.
type Review struct {
	// Lost are offsets from where the group stood on that Kafka had removed
	// before they could be read.
	Lost []record.Offsets
	// From is where the group stood in each partition.
	From []record.ID

	next kadm.Offsets // to commit
}

// Review checks that everything from where the group stands up to the last of
// done is done. If a record in between is not, the error is a *GapError.
// Offsets without a record, such as those of transactions or of what was
// compacted away, are no gap, and neither are those that Kafka has removed.
func (o *Offsets) Review(ctx context.Context, done []record.Offsets) (Review, error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return Review{}, err
	}
	ranges := map[record.TopicPartition][]record.Range{}
	for _, d := range done {
		ranges[d.TopicPartition] = d.Ranges
	}
	review := Review{next: kadm.Offsets{}}
	gaps := map[record.TopicPartition]position{}
	for p, at := range positions {
		review.From = append(review.From, p.At(at.lostFrom))
		next := at.lostFrom
		var lost []record.Range
		for _, r := range slices.Concat(ranges[p], []record.Range{{First: at.start, Last: at.start - 1}}) {
			if first := min(r.First, at.start); first > next {
				lost = append(lost, record.Range{First: next, Last: first - 1})
				next = first
			}
			if r.First > next {
				// One scan covers all gaps of a partition: a second one is rare.
				gap, open := gaps[p]
				if !open {
					gap.start = next
				}
				gap.end = r.First
				gaps[p] = gap
			}
			next = max(next, r.Last+1)
		}
		if len(lost) > 0 {
			review.Lost = append(review.Lost, record.Offsets{TopicPartition: p, Ranges: lost})
		}
		if len(ranges[p]) > 0 || len(lost) > 0 {
			review.next.AddOffset(p.Topic, p.Partition, next, -1)
		}
	}
	slices.SortFunc(review.Lost, func(a, b record.Offsets) int { return a.Compare(b.TopicPartition) })
	return review, o.findGap(ctx, gaps, ranges)
}

// Commit stores for the group that everything that was reviewed is done.
func (o *Offsets) Commit(ctx context.Context, review Review) error {
	if len(review.next) == 0 {
		return nil
	}
	return o.ask(ctx, "a commit of group "+o.group, func(ctx context.Context) error {
		return o.admin.CommitAllOffsets(ctx, o.group, review.next)
	})
}

// findGap returns a *GapError if the log holds a record in the gaps that is not done.
func (o *Offsets) findGap(ctx context.Context, gaps map[record.TopicPartition]position, done map[record.TopicPartition][]record.Range) error {
	var gap error
	err := o.scan(ctx, gaps, func(r *kgo.Record) bool {
		p := record.In(r.Topic, r.Partition)
		if !r.Attrs.IsControl() && !record.Contains(done[p], r.Offset) {
			gap = &GapError{p.At(r.Offset)}
		}
		return gap == nil
	})
	if err != nil {
		return fmt.Errorf("looking for records that were passed over: %w", err)
	}
	return gap
}

// scan gives every record of the positions to visit, each partition in order of
// offset, until visit returns false. Control records are among them.
func (o *Offsets) scan(ctx context.Context, positions map[record.TopicPartition]position, visit func(*kgo.Record) bool) error {
	left := map[record.TopicPartition]int64{} // first offset beyond the range
	assignment := map[string]map[int32]kgo.Offset{}
	for p, at := range positions {
		if at.start >= at.end {
			continue
		}
		left[p] = at.end
		if assignment[p.Topic] == nil {
			assignment[p.Topic] = map[int32]kgo.Offset{}
		}
		assignment[p.Topic][p.Partition] = kgo.NewOffset().At(at.start)
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(o.brokers, ",")...),
		kgo.DialTimeout(dialTimeout),
		kgo.ConsumePartitions(assignment),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(partitionFetchBytes),
		kgo.KeepControlRecords(), // so that a range ending in one is seen to end
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		wait, cancel := context.WithTimeout(ctx, outageTimeout)
		fetches := client.PollFetches(wait)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no record for %s, although the log is said to hold more", outageTimeout)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("%s: %w", record.In(e.Topic, e.Partition), e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			p := record.In(r.Topic, r.Partition)
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
