package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"facestream/transforms/store"
)

const (
	retainEvery = 24 * time.Hour
	// retainAgain is when to try again after another purge was at work.
	retainAgain = 10 * time.Minute
)

// retain removes what is too old, once a day for each output.
func (s *session) retain(ctx context.Context) error {
	now := time.Now()
	if s.options.Retain == 0 || now.Before(s.retainAt) {
		return nil
	}
	purged, err := store.ReadPurged(ctx, s.window.Store)
	if err != nil {
		return err
	}
	if s.retainAt = purged.Retained.Add(retainEvery); now.Before(s.retainAt) {
		return nil
	}
	if err := s.lease.Check(ctx); err != nil {
		return err
	}
	selection := store.Selection{To: now.Add(-s.options.Retain).UTC(), Aged: true}
	freed, err := store.Purge(ctx, s.window.Store, selection, s.book, false, func(store.Freed) {})
	switch {
	case errors.Is(err, store.ErrHeld):
		s.retainAt = now.Add(retainAgain)
		return nil
	case err != nil:
		return err
	}
	s.retainAt = now.Add(retainEvery)
	s.log.Info(fmt.Sprintf("removed what is from before %s: %s", selection.To.Format(time.DateTime), freed))
	for _, text := range freed.Left {
		s.log.Warn(text)
	}
	return nil
}
