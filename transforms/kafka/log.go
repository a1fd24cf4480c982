package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/record"
)

// Log is what Kafka holds of one partition: the offsets [Start, End).
type Log struct {
	record.TopicPartition
	Start, End int64
}

// Logs returns what Kafka holds of each partition, in order.
func (o *Offsets) Logs(ctx context.Context) ([]Log, error) {
	var starts, ends kadm.ListedOffsets
	err := o.ask(ctx, "its offsets", func(ctx context.Context) (err error) {
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
	var logs []Log
	ends.Each(func(e kadm.ListedOffset) {
		l := Log{TopicPartition: record.In(e.Topic, e.Partition), End: e.Offset}
		if s, ok := starts.Lookup(e.Topic, e.Partition); ok {
			l.Start = s.Offset
		}
		logs = append(logs, l)
	})
	slices.SortFunc(logs, func(a, b Log) int { return a.Compare(b.TopicPartition) })
	return logs, nil
}

// Committed returns where the group stands: the offset of the next record to read of
// each partition of the topics in which it has committed one.
func (o *Offsets) Committed(ctx context.Context) ([]record.ID, error) {
	offsets, err := o.committed(ctx)
	if err != nil {
		return nil, err
	}
	var committed []record.ID
	offsets.Each(func(c kadm.OffsetResponse) {
		if c.At >= 0 && slices.Contains(o.topics, c.Topic) {
			committed = append(committed, record.In(c.Topic, c.Partition).At(c.At))
		}
	})
	return committed, nil
}

// Visit calls visit with the records that the log holds at some offsets, of which
// there is one element for each partition. It goes through the ranges of a partition
// in order, and through each until visit wants no more of it. An error of visit ends
// it all and is returned as it is. Control records, and what is no longer in the log,
// are not among them. The ranges must end before the log does.
func (o *Offsets) Visit(ctx context.Context, at []record.Offsets, visit func(Record) (more bool, err error)) error {
	// A client of its own for each range: two may be far apart.
	for i := 0; ; i++ {
		open := map[record.TopicPartition]position{}
		for _, d := range at {
			if i < len(d.Ranges) {
				r := d.Ranges[i]
				open[d.TopicPartition] = position{start: r.First, end: r.Last + 1}
			}
		}
		if len(open) == 0 {
			return nil
		}
		if err := o.visit(ctx, open, visit); err != nil {
			return err
		}
	}
}

// visit is Visit for one range of each partition.
func (o *Offsets) visit(ctx context.Context, ranges map[record.TopicPartition]position, visit func(Record) (bool, error)) error {
	var failed error
	open := maps.Clone(ranges)
	err := o.scan(ctx, ranges, func(r *kgo.Record) bool {
		p := record.In(r.Topic, r.Partition)
		if _, ok := open[p]; !ok {
			return true
		}
		more := r.Offset+1 < ranges[p].end
		if !r.Attrs.IsControl() {
			var wants bool
			wants, failed = visit(recordOf(r))
			more = more && wants
		}
		if !more {
			delete(open, p)
		}
		return failed == nil && len(open) > 0
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("reading single records: %w", err)
	}
	return nil
}
