package wait

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for name, test := range map[string]struct {
		ctx   context.Context
		every time.Duration
		holds int // at which question
		asked int
		err   error
	}{
		"at once":            {t.Context(), time.Nanosecond, 1, 1, nil},
		"later":              {t.Context(), time.Nanosecond, 3, 3, nil},
		"at once, when late": {ended, time.Hour, 1, 1, nil},
		"never":              {ended, time.Hour, 2, 1, context.Canceled},
	} {
		asked := 0
		err := Until(test.ctx, test.every, func() bool { asked++; return asked == test.holds })
		if !errors.Is(err, test.err) || asked != test.asked {
			t.Errorf("%s: asked %d times, error %v, want %d, %v", name, asked, err, test.asked, test.err)
		}
	}
}

func TestSleep(t *testing.T) {
	const d = 10 * time.Millisecond
	begin := time.Now()
	if err := Sleep(t.Context(), d); err != nil || time.Since(begin) < d {
		t.Errorf("slept %v, error %v, want at least %v", time.Since(begin), err, d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want the context's", err)
	}
}
