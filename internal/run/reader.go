package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"facestream/transforms/kafka"
)

const (
	// firstRecordBytes is the size of records assumed for the first window of the native
	// reader: what a topic takes by default.
	firstRecordBytes = 1 << 20
	// sayAgain is how often Kafka is told of a window again, which it may forget.
	sayAgain = 5 * time.Second
)

// plan returns how many records the next window may read; 0 if none is waiting. For the
// native reader, which holds a few of them at a time, nothing is read for it.
func (s *session) plan(ctx context.Context) (records int64, err error) {
	if s.options.Reader == kafka.KafkaIO {
		return s.offsets.Plan(ctx, s.options.WindowBytes)
	}
	if waiting, err := s.offsets.Waiting(ctx); err != nil || waiting == 0 {
		return 0, err
	}
	return max(1, s.options.WindowBytes/s.recordBytes), nil
}

// lag returns how many records are waiting.
func (s *session) lag(ctx context.Context) (int64, error) {
	if s.options.Reader == kafka.KafkaIO {
		return s.offsets.Lag(ctx)
	}
	return s.offsets.Waiting(ctx)
}

// prepare sets what a window reads: so many records and, if it is followed, also what comes.
func (s *session) prepare(ctx context.Context, w *Window, records int64) error {
	w.Read.MaxRecords, w.Read.Name = records, w.Name
	err := s.offsets.Restore(ctx)
	switch {
	case err != nil:
	case s.options.Reader == kafka.Native:
		var slots int
		if slots, err = s.runner.Slots(ctx); err != nil {
			break
		}
		w.Read.Shards, s.followed, err = s.offsets.Share(ctx, slots, records, s.options.Follows(), w.Read.TogetherMillis != 0)
	case s.expansion != nil:
		w.Expansion, err = s.expansion.Next(ctx)
	}
	return err
}

// follow says that a window is open, and after a time, or when a topic has got more
// partitions, that it ends, again and again until stop is called. The context that it
// returns ends if that cannot be said.
func (s *session) follow(ctx context.Context, window string, limit time.Duration) (following context.Context, stop func()) {
	following, end := context.WithCancelCause(ctx)
	saying, stopSaying := context.WithCancel(ctx)
	asked := s.asked.Done()
	var done sync.WaitGroup
	done.Go(func() {
		deadline, ended := time.Now().Add(limit), false
		for saying.Err() == nil {
			say, pause := s.offsets.Say, sayAgain
			if left := time.Until(deadline); !ended && left > 0 {
				pause = min(pause, left)
			} else if !ended {
				say, ended = s.offsets.End, true
			}
			if err := say(saying, window); err != nil && saying.Err() == nil {
				end(fmt.Errorf("telling the workers of the window: %w", err))
				return
			}
			if grown, err := s.offsets.Grown(saying); err == nil && grown { // the next window follows them, too
				deadline = time.Now()
			}
			select {
			case <-saying.Done():
			case <-time.After(pause):
			case <-asked: // to end
				deadline, asked = time.Now(), nil
			}
		}
	})
	return following, func() {
		stopSaying()
		done.Wait()
		end(nil)
	}
}
