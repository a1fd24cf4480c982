package run

import (
	"context"
	"fmt"
	"time"

	"facestream/internal/wait"
)

// stallPolls is how often within the limit of a watch the progress is looked at.
const stallPolls = 20

// watch returns a context that ends when progress has given the same value for
// so long. An error of progress is none: nobody knows then. The caller must call
// stop.
func watch(ctx context.Context, limit time.Duration, progress func(context.Context) (time.Time, error)) (watched context.Context, stop func()) {
	watched, end := context.WithCancelCause(ctx)
	go func() {
		var last time.Time
		since := time.Now()
		for wait.Sleep(watched, limit/stallPolls) == nil {
			switch at, err := progress(watched); {
			case err == nil && !at.Equal(last):
				last, since = at, time.Now()
			case time.Since(since) > limit:
				end(fmt.Errorf("no progress: nothing was stored for %s, and the window has not ended; see --stall_timeout", limit))
			}
		}
	}()
	return watched, func() { end(nil) }
}
