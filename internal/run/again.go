package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// again reports whether a window that failed so is to be read again.
func again(err error) bool {
	return errors.As(err, new(*kafka.GapError)) || errors.As(err, new(*store.WrongError))
}

// takeBack removes the files of a window, of which l is the ledger, if err says that it is to
// be read again. Without sampling the same ones would be stored. With it, those that were
// stored in place of one of a record that was passed over must not stay.
func (s *session) takeBack(ctx context.Context, l store.Ledger, err error) error {
	if !again(err) || !s.options.Sampling.LeavesOut() {
		return err
	}
	stored := map[record.TopicPartition][]record.Range{}
	var spans []record.Offsets // one scan is enough for each partition
	at := s.book.Positions()
	for _, p := range l.Partitions {
		ranges := record.Union(slices.Concat(p.Pictures, p.Rejects))
		if i := slices.IndexFunc(at, func(id record.ID) bool { return id.TopicPartition == p.TopicPartition }); i >= 0 && at[i].Offset > 0 {
			ranges = record.Subtract(ranges, []record.Range{{First: 0, Last: at[i].Offset - 1}}) // those are in another ledger
		}
		if len(ranges) > 0 {
			stored[p.TopicPartition] = ranges
			span := record.Range{First: ranges[0].First, Last: record.End(ranges) - 1}
			spans = append(spans, record.Offsets{TopicPartition: p.TopicPartition, Ranges: []record.Range{span}})
		}
	}
	failed := s.offsets.Visit(ctx, spans, func(r kafka.Record) (more bool, err error) {
		id := kafka.ID(&r)
		if !record.Contains(stored[id.TopicPartition], id.Offset) {
			return true, nil
		}
		camera := cmp.Or(kafka.CameraOf(&r), frame.UnknownCamera)
		return true, store.Forget(ctx, s.window.Store, store.Name{ID: id, Camera: camera, TimestampMillis: r.Timestamp})
	})
	if failed != nil {
		return fmt.Errorf("taking back what the window has stored, as %v: %w", err, failed)
	}
	return err
}
