package kafka

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"facestream/internal/kafkaconf"
	"facestream/internal/record"
	"facestream/internal/wait"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// othersAfter is how long the broker that has answered before may take alone. Tests set it.
var othersAfter = dialTimeout

const (
	dialTimeout = 3 * time.Second
	// openTimeout bounds Open, which a person waits for.
	openTimeout = 8 * time.Second
	// outageTimeout bounds one request to the brokers, retries included, and how long
	// a scan waits for the next record. A shorter outage does not end a run.
	outageTimeout = 45 * time.Second
	askAgain      = 100 * time.Millisecond
)

// What errors of this package wrap.
var (
	ErrUnknownTopic = errors.New("topic does not exist")
	ErrUnreachable  = errors.New("cannot be reached from here")
	ErrGroupInUse   = errors.New("is in use")
)

// Offsets reads and commits the offsets of a consumer group. It is the driver's
// side of Kafka and never joins the group.
type Offsets struct {
	// Uncommitted is whether to take the records of transactions that were aborted or are
	// still open. Set it before the first use; see ReadsUncommitted.
	Uncommitted bool

	brokers string // host:port, comma-separated
	group   string
	topics  []string
	client  *kgo.Client
	admin   *kadm.Client
	// answered is set once the brokers have answered. From then on, a failing
	// connection is an outage and no wrong address.
	answered bool
	first    kadm.Metadata // the first answer
	// unreachable has an error for each broker in it that cannot be reached.
	unreachable []error
	ahead       lookahead // what Plan has seen
	// done is where the group stands by what it has stored. Kafka forgets what a group has
	// committed: all of it a week after its last run, and that of an idle partition earlier.
	done map[record.TopicPartition]int64
	// window is what ReadNative reads in the window under way: see Share.
	window   map[record.TopicPartition]position
	said     int           // how often Say was called
	leaders  kadm.Metadata // until a fetch fails
	fetching fetching
}

// Open connects to the brokers (host:port, comma-separated) and makes sure that
// every topic exists. It creates nothing.
func Open(ctx context.Context, brokers, group string, topics []string, opts ...kgo.Opt) (*Offsets, error) {
	o, err := Connect(ctx, brokers, group, topics, opts...)
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

// Advance has the group stand at least at the given offsets, whatever it has committed.
func (o *Offsets) Advance(to []record.ID) {
	if o.done == nil {
		o.done = map[record.TopicPartition]int64{}
	}
	for _, id := range to {
		o.done[id.TopicPartition] = max(o.done[id.TopicPartition], id.Offset)
	}
}

// Restore commits where the group stands, if it has committed something else. KafkaIO
// begins there.
func (o *Offsets) Restore(ctx context.Context) error {
	committed, err := o.committed(ctx)
	if err != nil {
		return err
	}
	restore := kadm.Offsets{}
	for p, offset := range o.done {
		if c, ok := committed.Lookup(p.Topic, p.Partition); !ok || c.At < offset {
			restore.AddOffset(p.Topic, p.Partition, offset, -1)
		}
	}
	return o.commit(ctx, restore)
}

// Connect is Open for topics that may not exist: see Exists.
func Connect(ctx context.Context, brokers, group string, topics []string, opts ...kgo.Opt) (*Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return connect(ctx, Offsets{brokers: brokers, group: group, topics: topics}, opts)
}

// reconnect is Connect for a worker: the driver has had an answer at this address, so that
// a failing connection is an outage.
func reconnect(ctx context.Context, w Window, opts ...kgo.Opt) (*Offsets, error) {
	return connect(ctx, Offsets{brokers: w.Brokers, group: w.Group, topics: w.Topics, answered: true}, opts)
}

// connect goes on with the broker that answers first. See othersSoon.
func connect(ctx context.Context, like Offsets, opts []kgo.Opt) (*Offsets, error) {
	return kafkaconf.Ask(ctx, strings.Split(like.brokers, ","), func(ctx context.Context, broker string) (*Offsets, error) {
		o := like
		return &o, o.connect(ctx, broker, opts)
	})
}

func (o *Offsets) connect(ctx context.Context, broker string, opts []kgo.Opt) error {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(broker),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(outageTimeout),
		kgo.RequestRetries(math.MaxInt), // the time decides
	}, opts...)...)
	if err != nil {
		return fmt.Errorf("connecting to Kafka at %s: %w", o.brokers, err)
	}
	o.client, o.admin, o.fetching = client, kadm.NewClient(client), defaultFetching
	o.first, err = ask(ctx, o, "its topics", func(ctx context.Context) (kadm.Metadata, error) { return o.admin.Metadata(ctx, o.topics...) })
	if err != nil {
		o.Close()
		if !o.answered {
			err = kafkaconf.Unanswered(err)
		}
		return err
	}
	o.answered = true
	o.unreachable = unreachable(ctx, o.brokers, o.first.Brokers)
	if len(o.unreachable) > 0 && len(o.unreachable) == len(o.first.Brokers) {
		o.Close()
		return o.unreachable[0]
	}
	return nil
}

// othersSoon has the client ask every broker that was given, and not only the one that has
// answered and those that it knows of, unless stop is called soon.
func (o *Offsets) othersSoon() (stop func() bool) {
	return time.AfterFunc(othersAfter, func() { _ = o.client.UpdateSeedBrokers(strings.Split(o.brokers, ",")...) }).Stop
}

// unreachable returns an error for each broker that cannot be reached where it says
// that it is. A client asks the addresses that it was given for no more than these.
func unreachable(ctx context.Context, asked string, brokers kadm.BrokerDetails) (all []error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	failed := make([]error, len(brokers))
	var wg sync.WaitGroup
	for i, b := range brokers {
		wg.Go(func() {
			addr := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				failed[i] = fmt.Errorf("the broker at %s says that broker %d is at %s (advertised.listeners), which %w: %w; let it name an address that this machine knows", asked, b.NodeID, addr, ErrUnreachable, err)
				return
			}
			c.Close()
		})
	}
	wg.Wait()
	return slices.DeleteFunc(failed, func(err error) bool { return err == nil })
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
func ask[T any](ctx context.Context, o *Offsets, what string, request func(context.Context) (T, error)) (T, error) {
	start, caller := time.Now(), ctx
	ctx, cancel := context.WithTimeout(ctx, outageTimeout)
	defer cancel()
	if o.answered {
		defer o.othersSoon()()
	}
	var last error // but the context's own
	for {
		answer, err := request(ctx)
		if err == nil {
			return answer, nil
		}
		if last == nil || ctx.Err() == nil {
			last = kafkaconf.Explain(err)
		}
		if o.passing(err) && wait.Sleep(ctx, askAgain) == nil {
			continue
		}
		if ctx.Err() != nil {
			gone := errors.Is(last, kerr.UnknownTopicOrPartition)
			last = fmt.Errorf("giving up after %s: %w", time.Since(start).Round(time.Second), last)
			switch {
			case gone: // brokers answer, and not only while one of them starts
				last = fmt.Errorf("of %s, one %w any more: %w", strings.Join(o.topics, ", "), ErrUnknownTopic, last)
			case !errors.Is(caller.Err(), context.Canceled):
				last = wait.Outage(last)
			}
		}
		return answer, fmt.Errorf("asking Kafka at %s for %s: %w", o.brokers, what, last)
	}
}

// TopicIDs returns the ids of the topics as they are known since o was connected. A topic
// that was made anew has another one (KIP-516); Kafka before 2.8 has none.
func (o *Offsets) TopicIDs() map[string]string {
	ids := map[string]string{}
	for _, topic := range o.topics {
		if id := o.first.Topics[topic].ID; id != (kadm.TopicID{}) {
			ids[topic] = base64.RawURLEncoding.EncodeToString(id[:]) // as kafka-topics prints it
		}
	}
	return ids
}

// checkTopics returns an error that wraps record.ErrTopicAnew if a topic was made anew since o
// was connected: its offsets then count other records.
func (o *Offsets) checkTopics(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	for _, topic := range o.topics {
		request.Topics = append(request.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	}
	// The client's own answer may be seconds old.
	now, err := ask(ctx, o, "its topics", func(ctx context.Context) (*kmsg.MetadataResponse, error) { return request.RequestWith(ctx, o.client) })
	if err != nil {
		return err
	}
	for _, topic := range now.Topics {
		if before := o.first.Topics[*topic.Topic].ID; before != (kadm.TopicID{}) && topic.ErrorCode == 0 && before != topic.TopicID {
			return fmt.Errorf("topic %s %w while it was read; use another group and another output", *topic.Topic, record.ErrTopicAnew)
		}
	}
	return nil
}

// passing reports whether the same request may succeed a little later.
func (o *Offsets) passing(err error) bool {
	if answer, ok := errors.AsType[*kerr.Error](err); ok {
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
	if err == nil {
		err = o.checkTopics(ctx)
	}
	if err != nil {
		return nil, err
	}
	out := map[record.TopicPartition]position{}
	for _, l := range logs {
		at := position{start: l.Start, end: l.End, lostFrom: l.Start}
		c, ok := committed.Lookup(l.Topic, l.Partition)
		if done, known := o.done[l.TopicPartition]; known && (!ok || c.At < done) {
			c.At, ok = done, true
		}
		if ok {
			at.lostFrom, at.start = c.At, max(l.Start, c.At)
		}
		if at.start > at.end { // in a transaction that is open, or beyond everything
			ends, err := o.ends(ctx, true)
			if err != nil {
				return nil, err
			}
			if end, _ := ends.Lookup(l.Topic, l.Partition); at.start <= end.Offset {
				at.end = at.start
			}
		}
		if at.start > at.end {
			return nil, fmt.Errorf("group %s stands at %s, which ends at %d: the topic %w; use another group and another output",
				o.group, l.At(at.start), at.end, record.ErrTopicAnew)
		}
		out[l.TopicPartition] = at
	}
	return out, nil
}

// committed returns what the group has committed: nothing, if it is new.
func (o *Offsets) committed(ctx context.Context) (kadm.OffsetResponses, error) {
	committed, err := ask(ctx, o, "the offsets of group "+o.group, func(ctx context.Context) (kadm.OffsetResponses, error) {
		offsets, err := o.admin.FetchOffsets(ctx, o.group)
		return offsets, cmp.Or(err, offsets.Error())
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	return committed, err
}

// Idle returns an error that wraps ErrGroupInUse if consumers are members of the group:
// Kafka then takes offsets from none but these.
func (o *Offsets) Idle(ctx context.Context) error {
	members, err := ask(ctx, o, "the members of group "+o.group, func(ctx context.Context) (members []string, err error) {
		member := func(client, host string) {
			members = append(members, fmt.Sprintf("client %q at %s", client, strings.TrimPrefix(host, "/")))
		}
		groups, err := o.admin.DescribeGroups(ctx, o.group)
		for _, m := range groups[o.group].Members {
			member(m.ClientID, m.ClientHost)
		}
		if err != nil || len(members) > 0 {
			return members, err
		}
		// Those of the newer protocol, which not every broker knows.
		newer, _ := o.admin.DescribeConsumerGroups(ctx, o.group)
		for _, m := range newer[o.group].Members {
			member(m.ClientID, m.ClientHost)
		}
		return members, nil
	})
	if err == nil && len(members) > 0 {
		err = fmt.Errorf("group %s %w: its members are %s, and Kafka takes offsets from none but these; end them, or choose another --group", o.group, ErrGroupInUse, strings.Join(members, ", "))
	}
	return err
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
	// From is where the group stood in each partition, and Next where it will stand: behind
	// what is done, and behind what no longer or never was a record after that.
	From, Next []record.ID
}

// Review checks that everything from where the group stands up to the last of done is
// done, and after ReadNative up to the end of its window. If a record in between is not,
// the error is a *GapError.
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
	var review Review
	gaps := map[record.TopicPartition]position{}
	for p, at := range positions {
		review.From = append(review.From, p.At(at.lostFrom))
		next := at.lostFrom
		var lost []record.Range
		reviewed := append(slices.Clone(ranges[p]), record.Range{First: at.start, Last: at.start - 1})
		if w, ok := o.window[p]; ok && w.end != openEnd {
			reviewed = append(reviewed, record.Range{First: w.end, Last: w.end - 1})
		}
		for _, r := range reviewed {
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
		review.Next = append(review.Next, p.At(o.ahead.skip(p, next)))
	}
	slices.SortFunc(review.Lost, func(a, b record.Offsets) int { return a.Compare(b.TopicPartition) })
	for _, ids := range [][]record.ID{review.From, review.Next} {
		slices.SortFunc(ids, record.ID.Compare)
	}
	return review, o.findGap(ctx, gaps, ranges)
}

// Commit stores for the group that everything that was reviewed is done, in every
// partition: Kafka forgets an offset some days after its last commit.
func (o *Offsets) Commit(ctx context.Context, review Review) error {
	next := kadm.Offsets{}
	for _, id := range review.Next {
		next.AddOffset(id.Topic, id.Partition, id.Offset, -1)
	}
	o.Advance(review.Next)
	o.window = nil
	return o.commit(ctx, next)
}

func (o *Offsets) commit(ctx context.Context, offsets kadm.Offsets) error {
	if len(offsets) == 0 {
		return nil
	}
	_, err := ask(ctx, o, "a commit of group "+o.group, func(ctx context.Context) (any, error) {
		return nil, o.admin.CommitAllOffsets(ctx, o.group, offsets)
	})
	if errors.Is(err, kerr.UnknownMemberID) {
		// A consumer has come meanwhile; one that still joins is not described yet.
		return cmp.Or(o.Idle(ctx), fmt.Errorf("group %s %w by a consumer that joins or has just left: %w", o.group, ErrGroupInUse, err))
	}
	return err
}

// findGap returns a *GapError if the log holds a record in the gaps that is not done.
func (o *Offsets) findGap(ctx context.Context, gaps map[record.TopicPartition]position, done map[record.TopicPartition][]record.Range) error {
	return o.scan(ctx, gaps, func(c chunk) (bool, error) {
		for _, r := range c.records {
			if !record.Contains(done[c.TopicPartition], r.Offset) {
				return false, &GapError{c.At(r.Offset)}
			}
		}
		return true, nil
	})
}
