package run

import (
	"context"
	"errors"
	"fmt"
	"math"
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
// stored in place of one of a record that was passed over must not stay, unless it cannot be
// told whether a ledger has them: a run that ends would leave them, too.
func (s *session) takeBack(ctx context.Context, l store.Ledger, err error) error {
	if !again(err) || !s.options.Sampling.LeavesOut() {
		return err
	}
	switch failed := s.forget(ctx, l); {
	case failed == nil:
	case errors.Is(failed, store.ErrLost), ctx.Err() != nil:
		return failed
	default:
		s.log.Warn(fmt.Sprintf("warning: what a window has stored that is read again stays: %v; verify tells of pictures that no ledger has", failed))
	}
	return err
}

// forget removes the files of a ledger but those that are in one that counts: in that of an
// earlier window, of another group, or of a run that has taken over meanwhile.
func (s *session) forget(ctx context.Context, l store.Ledger) error {
	if err := s.lease.Check(ctx); err != nil {
		return err
	}
	files := func(p store.Partition) []record.Range { return record.Union(slices.Concat(p.Pictures, p.Rejects)) }
	stored := map[record.TopicPartition][]record.Range{}
	for _, p := range l.Partitions {
		stored[p.TopicPartition] = files(p)
	}
	read := true // all of the group's own
	err := store.Books(ctx, s.window.Store, func(f store.BookFile) error {
		if f.Err != nil && !s.book.Has(f) {
			return fmt.Errorf("the ledger %s cannot be read, which may have some of it: %w", f.Name, f.Err)
		}
		read = read && f.Err == nil
		for _, kept := range f.Ledgers {
			for _, p := range kept.Partitions {
				stored[p.TopicPartition] = record.Subtract(stored[p.TopicPartition], files(p))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !read { // these are of what was read before
		for _, at := range s.book.Positions() {
			stored[at.TopicPartition] = record.Between(stored[at.TopicPartition], at.Offset, math.MaxInt64)
		}
	}
	var spans []record.Offsets // one scan is enough for each partition
	for p, ranges := range stored {
		if len(ranges) > 0 {
			spans = append(spans, record.Offsets{TopicPartition: p, Ranges: []record.Range{{First: ranges[0].First, Last: record.End(ranges) - 1}}})
		}
	}
	return s.offsets.Visit(ctx, spans, func(r kafka.Record) (more bool, err error) {
		id := kafka.ID(&r)
		if !record.Contains(stored[id.TopicPartition], id.Offset) {
			return true, nil
		}
		return true, store.Forget(ctx, s.window.Store, store.Name{ID: id, Camera: frame.CameraOf(&r), TimestampMillis: r.Timestamp})
	})
}
