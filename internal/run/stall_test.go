package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A job that stores something again and again is left alone; one that does not
// is ended, with a word on why.
func TestWatch(t *testing.T) {
	const limit = 200 * time.Millisecond
	looks := 0
	moving := make(chan struct{})
	ctx, stop := watch(t.Context(), limit, func(context.Context) (time.Time, error) {
		if looks++; looks < 3*stallPolls {
			return time.Unix(int64(looks), 0), nil
		}
		if looks == 3*stallPolls {
			close(moving)
		}
		return time.Unix(0, 0), errors.New("the name node is busy")
	})
	defer stop()
	select {
	case <-moving:
	case <-ctx.Done():
		t.Fatalf("ended after %d looks while there was progress: %v", looks, context.Cause(ctx))
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !strings.Contains(err.Error(), "no progress") {
		t.Errorf("cause %v, want one that says no progress", err)
	}
}
