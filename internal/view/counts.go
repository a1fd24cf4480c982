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
)

// counts is what the pages say of the whole output.
type counts struct {
	tally
	Lag, Latency string
	Reading      int // percent of the events that were read; 100 at the end
}

func (s *server) counts(ctx context.Context) counts {
	c := counts{tally: s.index.total(), Reading: 100}
	if all, unread := s.index.progress(); unread > 0 {
		c.Reading = 100 * (all - unread) / all
	}
	c.Lag, _ = s.lag.Load().(string)
	if c.Latest.Picture != "" {
		at, err := s.index.cfg.Modified(ctx, c.Latest.Picture)
		if took := at.Sub(time.UnixMilli(c.Latest.TimestampMillis)); err == nil && took >= 0 {
			c.Latency = took.Round(100 * time.Millisecond).String()
		}
	}
	return c
}

// followLag keeps how many records wait for the groups of the output, until ctx is over. The
// connection is kept until it fails, or until other topics are read.
func (s *server) followLag(ctx context.Context, brokers string, security []kgo.Opt) {
	var offsets *kafka.Offsets
	var topics []string // of offsets
	ask := func() (lag int64, err error) {
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
	for ; ctx.Err() == nil; _ = wait.Sleep(ctx, lagEvery) {
		text := "unknown"
		if n, err := ask(); err == nil {
			text = strconv.FormatInt(n, 10)
		}
		s.lag.Store(text)
	}
}
