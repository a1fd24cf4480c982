package view

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/wait"
	"facestream/transforms/kafka"
)

const (
	lagEvery   = 2 * time.Second
	lagTimeout = 2 * time.Second
	lagKept    = 10 * time.Second // while nobody looks
)

// counts is what the pages say of the whole output.
type counts struct {
	tally
	Lag, Latency string
	Reading      int // percent of the events that were read; 100 at the end
}

func (s *server) counts() counts {
	select {
	case s.looked <- struct{}{}:
	default:
	}
	c := counts{tally: s.index.total(), Reading: 100}
	if all, unread := s.index.progress(); unread > 0 {
		c.Reading = 100 * (all - unread) / all
	}
	c.Lag, _ = s.lag.Load().(string)
	if took := c.written.Sub(time.UnixMilli(c.Latest.TimestampMillis)); c.Latest.Picture != "" && took >= 0 {
		c.Latency = took.Round(100 * time.Millisecond).String()
	}
	return c
}

// followLag keeps how many records wait, as far as pages are asked for, until ctx is over.
func (s *server) followLag(ctx context.Context, ask func(context.Context) (int64, error)) {
	for ; ctx.Err() == nil; _ = wait.Sleep(ctx, lagEvery) {
		select {
		case <-ctx.Done():
		case <-time.After(lagKept):
			s.lag.Store("")
		case <-s.looked:
			text := "unknown"
			if n, err := ask(ctx); err == nil {
				text = strconv.FormatInt(n, 10)
			}
			s.lag.Store(text)
		}
	}
}

// lagAt returns what asks brokers how many records wait for the groups of the output. The
// connection is kept until it fails, or until other topics are read.
func (s *server) lagAt(brokers string, security []kgo.Opt) func(context.Context) (int64, error) {
	var offsets *kafka.Offsets
	var topics []string // of offsets
	return func(ctx context.Context) (lag int64, err error) {
		at := s.index.total().at
		var names []string
		for p := range at {
			names = append(names, p.Topic)
		}
		slices.Sort(names)
		if names = slices.Compact(names); len(names) == 0 {
			return 0, nil
		}
		if offsets != nil && !slices.Equal(names, topics) {
			offsets.Close()
			offsets = nil
		}
		ctx, stop := context.WithTimeout(ctx, lagTimeout)
		defer stop()
		if offsets == nil {
			if offsets, err = kafka.Open(ctx, brokers, "", names, security...); err != nil {
				return 0, err
			}
			topics = names
		}
		logs, err := offsets.Logs(ctx)
		if err != nil {
			offsets.Close()
			offsets = nil
		}
		for _, l := range logs {
			lag += max(0, l.End-max(at[l.TopicPartition], l.Start))
		}
		return lag, err
	}
}
