package kafkaconf

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"facestream/internal/wait"
)

// Ask asks all brokers side by side, as some may swallow what they are asked, and returns the
// connection to the first that answers. It closes those to others; an ask that fails closes its own.
func Ask[T interface{ Close() }](ctx context.Context, brokers []string, ask func(ctx context.Context, broker string) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(brokers))
	answered := make(chan T)
	var asking sync.WaitGroup
	for i, broker := range brokers {
		asking.Go(func() {
			var c T
			if c, errs[i] = ask(ctx, broker); errs[i] != nil {
				return
			}
			select {
			case answered <- c:
			case <-ctx.Done(): // another one was faster
				errs[i] = ctx.Err()
				c.Close()
			}
		})
	}
	go func() { asking.Wait(); close(answered) }()
	if c, ok := <-answered; ok {
		return c, nil
	}
	// What one says that has answered tells more than that another has not.
	said := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, wait.ErrOutage) && !errors.As(err, new(*net.OpError)) })
	var none T
	return none, errs[max(0, said)]
}
