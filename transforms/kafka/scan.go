package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"facestream/internal/record"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// chunk is what one fetch brought of a partition.
type chunk struct {
	record.TopicPartition
	records []*kgo.Record // in order of offset
	// next is the offset behind the chunk. What lies before it and is in no chunk is no
	// record: the control record of a transaction, a record of one that was aborted,
	// or one that Kafka has removed.
	next int64
}

// scan gives visit what is at the positions, each partition in order of offset, until
// visit wants no more of it. An error of visit ends it all and is returned as it is.
//
// A consumer would not do: it never says that it has passed over the last offsets
// before the end.
func (o *Offsets) scan(ctx context.Context, positions map[record.TopicPartition]position, visit func(chunk) (more bool, err error)) error {
	open := map[record.TopicPartition]position{}
	for p, at := range positions {
		if at.start < at.end {
			open[p] = at
		}
	}
	moved := time.Now()
	for len(open) > 0 {
		chunks, err := ask(ctx, o, "records", func(ctx context.Context) ([]chunk, error) { return o.fetch(ctx, open) })
		if err != nil {
			return err
		}
		for _, c := range chunks {
			at := open[c.TopicPartition]
			if c.next <= at.start {
				continue
			}
			moved = time.Now()
			if behind := slices.IndexFunc(c.records, func(r *kgo.Record) bool { return r.Offset >= at.end }); behind >= 0 {
				c.records = c.records[:behind]
			}
			c.next = min(c.next, at.end)
			more, err := visit(c)
			if err != nil {
				return err
			}
			at.start = c.next
			open[c.TopicPartition] = at
			if !more || at.start == at.end {
				delete(open, c.TopicPartition)
			}
		}
		for _, at := range open {
			if at.end == openEnd {
				moved = time.Now() // it may well be that none comes
			}
		}
		if time.Since(moved) > outageTimeout {
			return fmt.Errorf("no record from Kafka at %s for %s, although the log is said to hold more", o.brokers, outageTimeout)
		}
	}
	return nil
}

// fetching is what a fetch asks for.
type fetching struct {
	waitMillis, minBytes, bytes, partitionBytes int32
}

var defaultFetching = fetching{fetchWaitMillis, 1, fetchBytes, partitionFetchBytes}

// fetch asks the leaders for the next records of the positions, once.
func (o *Offsets) fetch(ctx context.Context, positions map[record.TopicPartition]position) (chunks []chunk, err error) {
	if o.leaders.Topics == nil {
		if o.leaders, err = o.admin.Metadata(ctx, o.topics...); err != nil {
			return nil, err
		}
	}
	known := o.leaders
	defer func() {
		if err != nil { // such as of a leader that is none any more
			o.leaders = kadm.Metadata{}
		}
	}()
	requests := map[int32]*kmsg.FetchRequest{} // by leader
	names := map[[16]byte]string{}
	// The order differs each time, so that no partition has to wait for another one.
	for p, at := range positions {
		topic := known.Topics[p.Topic]
		partition := topic.Partitions[p.Partition]
		if err := errors.Join(topic.Err, partition.Err); err != nil {
			return nil, err
		}
		request := requests[partition.Leader]
		if request == nil {
			request = kmsg.NewPtrFetchRequest()
			request.MaxWaitMillis, request.MinBytes, request.MaxBytes = o.fetching.waitMillis, o.fetching.minBytes, o.fetching.bytes
			if !o.Uncommitted {
				request.IsolationLevel = 1
			}
			requests[partition.Leader] = request
		}
		from := kmsg.NewFetchRequestTopicPartition()
		from.Partition, from.FetchOffset, from.PartitionMaxBytes = p.Partition, at.start, o.fetching.partitionBytes
		of := kmsg.NewFetchRequestTopic()
		of.Topic, of.TopicID, of.Partitions = p.Topic, topic.ID, []kmsg.FetchRequestTopicPartition{from}
		request.Topics = append(request.Topics, of)
		names[topic.ID] = p.Topic
	}
	// At the same time: one that has nothing new answers late.
	responses := make(chan *kmsg.FetchResponse, len(requests))
	asked, asking := errgroup.WithContext(ctx)
	for leader, request := range requests {
		asked.Go(func() error {
			answer, err := o.client.Broker(int(leader)).RetriableRequest(asking, request)
			if err == nil {
				responses <- answer.(*kmsg.FetchResponse)
			}
			return err
		})
	}
	if err := asked.Wait(); err != nil {
		return nil, err
	}
	close(responses)
	for response := range responses {
		if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
			return nil, err
		}
		for _, topic := range response.Topics {
			if topic.Topic == "" { // newer brokers give the id
				topic.Topic = names[topic.TopicID]
			}
			for i := range topic.Partitions {
				p := record.In(topic.Topic, topic.Partitions[i].Partition)
				c, err := o.chunkOf(ctx, p, positions[p], &topic.Partitions[i])
				if err != nil {
					return nil, fmt.Errorf("%s: %w", p, err)
				}
				chunks = append(chunks, c)
			}
		}
	}
	return chunks, nil
}

// chunkOf reads a leader's answer about one partition.
func (o *Offsets) chunkOf(ctx context.Context, p record.TopicPartition, at position, answer *kmsg.FetchResponseTopicPartition) (chunk, error) {
	c := chunk{TopicPartition: p}
	if answer.ErrorCode == kerr.OffsetOutOfRange.Code {
		// Kafka has removed these records meanwhile.
		starts, err := o.admin.ListStartOffsets(ctx, p.Topic)
		if err != nil {
			return c, err
		}
		if start, ok := starts.Lookup(p.Topic, p.Partition); ok && start.Offset > at.start {
			c.next = start.Offset
			return c, nil
		}
	}
	isolation, stable := kgo.ReadCommitted(), answer.LastStableOffset
	if o.Uncommitted {
		isolation, stable = kgo.ReadUncommitted(), answer.HighWatermark
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: at.start, IsolationLevel: isolation, Topic: p.Topic, Partition: p.Partition,
	}, answer, kgo.DefaultDecompressor(), nil)
	c.records, c.next = got.Records, next
	if next == at.start && next == stable && at.end != openEnd {
		c.next = at.end // a transaction is still open there
	}
	return c, got.Err
}
