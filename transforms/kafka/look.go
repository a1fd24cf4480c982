package kafka

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Log is what Kafka holds of one partition: the offsets [Start, End).
type Log struct {
	Topic      string
	Partition  int32
	Start, End int64
}

// Committed is where a group stands in one partition.
type Committed struct {
	Topic     string
	Partition int32
	Offset    int64 // of the next record to read
}

// Logs returns what Kafka holds of each partition, in order.
func (o *Offsets) Logs(ctx context.Context) ([]Log, error) {
	starts, ends, err := o.bounds(ctx)
	if err != nil {
		return nil, err
	}
	var logs []Log
	ends.Each(func(e kadm.ListedOffset) {
		l := Log{Topic: e.Topic, Partition: e.Partition, End: e.Offset}
		if s, ok := starts.Lookup(e.Topic, e.Partition); ok {
			l.Start = s.Offset
		}
		logs = append(logs, l)
	})
	slices.SortFunc(logs, func(a, b Log) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return logs, nil
}

// Committed returns what the group has committed, for the partitions of the
// topics in which it has.
func (o *Offsets) Committed(ctx context.Context) ([]Committed, error) {
	offsets, err := o.committed(ctx)
	if err != nil {
		return nil, err
	}
	var committed []Committed
	offsets.Each(func(c kadm.OffsetResponse) {
		if c.At >= 0 && slices.Contains(o.topics, c.Topic) {
			committed = append(committed, Committed{c.Topic, c.Partition, c.At})
		}
	})
	return committed, nil
}

// Look gives visit the records that the log holds at offsets, of which there is
// one Done for each partition. It goes through the ranges of a partition in
// order, and through each until visit wants no more of it; an error of visit
// ends it all and is returned as it is. Control records and what is not in the
// log any more are not among them. The ranges must end before the log does.
func (o *Offsets) Look(ctx context.Context, at []Done, visit func(Record) (more bool, err error)) error {
	// A client of its own for each range: two may be far apart.
	for i := 0; ; i++ {
		open := map[partition]position{}
		for _, d := range at {
			if i < len(d.Offsets) {
				r := d.Offsets[i]
				open[partition{d.Topic, d.Partition}] = position{start: r.First, end: r.Last + 1}
			}
		}
		if len(open) == 0 {
			return nil
		}
		if err := o.look(ctx, open, visit); err != nil {
			return err
		}
	}
}

// look is Look for one range of each partition.
func (o *Offsets) look(ctx context.Context, ranges map[partition]position, visit func(Record) (bool, error)) error {
	var failed error
	open := maps.Clone(ranges)
	err := o.scan(ctx, ranges, func(r *kgo.Record) bool {
		p := partition{r.Topic, r.Partition}
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
		return fmt.Errorf("looking into the log: %w", err)
	}
	return nil
}
