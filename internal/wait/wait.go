// Package wait waits for times and conditions, no longer than a context allows.
package wait

import (
	"context"
	"errors"
	"time"
)

// ErrOutage is wrapped by the error of a call that was tried again as long as anybody waits:
// nobody answers, or what answers is not ready.
var ErrOutage = errors.New("an outage")

// Outage has an error wrap ErrOutage and say nothing of it.
func Outage(err error) error { return outage{err} }

type outage struct{ error }

func (e outage) Unwrap() []error { return []error{e.error, ErrOutage} }

// Sleep returns after d, or with the context's error when that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Until asks whether a condition holds, at once and then at each interval, until it
// does or the context ends, whose error it returns.
func Until(ctx context.Context, every time.Duration, holds func() bool) error {
	for {
		if holds() {
			return nil
		}
		if err := Sleep(ctx, every); err != nil {
			return err
		}
	}
}
