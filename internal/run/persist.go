package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"

	"facestream/internal/config"
	"facestream/internal/record"
	"facestream/internal/wait"
	"facestream/runners"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

const (
	firstPause = time.Second // between two attempts
	maxPause   = time.Minute
	// failingLimit is for windows that fail although Kafka and HDFS answer: a runner may
	// need the time to recover, and what does not is no outage.
	failingLimit = 15 * time.Minute
)

// errDrained is why a window under way did not end behind a SIGTERM.
var errDrained = errors.New("the window under way has not ended within --drain_timeout; it is not committed and will be read again")

// endInTime returns a context that ends --drain_timeout after the run was asked to end.
func (s *session) endInTime(ctx context.Context) (ending context.Context, stop func()) {
	ending, end := context.WithCancelCause(ctx)
	context.AfterFunc(s.asked, func() {
		if wait.Sleep(ending, s.options.DrainTimeout) == nil {
			end(errDrained)
		}
	})
	return ending, func() { end(nil) }
}

// persist makes an attempt, and in a run without end further ones with growing pauses,
// while that may help. It says so once.
func (s *session) persist(ctx context.Context, attempt func() error) error {
	pause := firstPause
	for {
		done := s.done
		err := attempt()
		if err == nil {
			s.recovered()
			return nil
		}
		if s.options.Duration != config.Forever || ctx.Err() != nil || s.asked.Err() != nil {
			return err
		}
		if s.done > done {
			pause = firstPause
		}
		if !s.mayPass(err) {
			return err
		}
		if s.away.IsZero() {
			s.away = time.Now()
			s.log.Warn(fmt.Sprintf("waiting, and trying again: %v", err))
		}
		slog.Warn("trying again", "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-s.asked.Done():
			return err
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, maxPause)
	}
}

// mayPass reports whether an error is one of an outage, and not of a wrong setting.
func (s *session) mayPass(err error) bool {
	final := []error{
		kafka.ErrUnknownTopic, kafka.ErrGroupInUse, kafka.ErrUnreachable, record.ErrTopicAnew, store.ErrHeld, store.ErrLost,
		runners.ErrUnknownOption, fs.ErrPermission, syscall.EDQUOT,
	}
	if slices.ContainsFunc(final, func(f error) bool { return errors.Is(err, f) }) {
		return false
	}
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return s.begun // it was known before
	}
	s.outage = errors.Is(err, wait.ErrOutage) || errors.As(err, new(*net.OpError))
	return s.outage || s.begun && (s.away.IsZero() || time.Since(s.away) < failingLimit)
}

// recovered says that the waiting is over.
func (s *session) recovered() {
	if !s.away.IsZero() {
		s.log.Warn(fmt.Sprintf("going on after %s", time.Since(s.away).Round(time.Second)))
		s.away = time.Time{}
	}
}
