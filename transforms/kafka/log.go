package kafka

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/record"
)

// Log is what Kafka holds of one partition: the offsets [Start, End). End is before
// the first transaction that is still open, unless Uncommitted is set.
type Log struct {
	record.TopicPartition
	Start, End int64
}

// Logs returns what Kafka holds of each partition, in order.
func (o *Offsets) Logs(ctx context.Context) ([]Log, error) {
	starts, err := o.list(ctx, o.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	ends, err := o.ends(ctx, o.Uncommitted)
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

// ends returns the offset behind each partition's last record that is stable, or behind
// all of them.
func (o *Offsets) ends(ctx context.Context, uncommitted bool) (kadm.ListedOffsets, error) {
	if uncommitted {
		return o.list(ctx, o.admin.ListEndOffsets)
	}
	return o.list(ctx, o.admin.ListCommittedOffsets)
}

func (o *Offsets) list(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
	return ask(ctx, o, "its offsets", func(ctx context.Context) (kadm.ListedOffsets, error) {
		offsets, err := list(ctx, o.topics...)
		return offsets, cmp.Or(err, offsets.Error())
	})
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
// it all and is returned as it is. What is no longer in the log is not among them. The
// ranges must end before the log does.
func (o *Offsets) Visit(ctx context.Context, at []record.Offsets, visit func(Record) (more bool, err error)) error {
	// A scan for each range: two may be far apart.
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
		err := o.scan(ctx, open, func(c chunk) (more bool, err error) {
			for _, r := range c.records {
				if more, err = visit(recordOf(r)); !more || err != nil {
					return false, err
				}
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
}
