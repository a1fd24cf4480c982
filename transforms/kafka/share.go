package kafka

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"facestream/internal/record"
	"facestream/internal/wait"
)

// openEnd is the end of a Piece that goes on until the window's end: see Offsets.End.
const openEnd = math.MaxInt64

// Piece is what a shard reads of a partition: the offsets [Start, End), or of these only
// the ones whose turn leaves the remainder Nth when divided by Of.
type Piece struct {
	record.TopicPartition
	Start, End int64
	Of, Nth    int64
}

// Waiting returns how many offsets the group has still to read. Unlike Lag it fetches no
// records, and counts offsets that hold none.
func (o *Offsets) Waiting(ctx context.Context) (n int64, err error) {
	positions, err := o.positions(ctx)
	for _, at := range positions {
		n += at.end - at.start
	}
	return n, err
}

// Share deals out to n shards what is waiting, at most so many offsets. If that is all
// and follow is set, they then follow the partitions: more than one of them a partition
// if there are more shards. Every shard is as large as the others; but with together, so
// that they can take turns by Window.TogetherMillis, they share what waits of a partition
// as they share what comes.
func (o *Offsets) Share(ctx context.Context, n int, most int64, follow, together bool) (shards [][]Piece, follows bool, err error) {
	positions, err := o.positions(ctx)
	if err != nil {
		return nil, false, err
	}
	var partitions []record.TopicPartition
	for p := range positions {
		partitions = append(partitions, p)
	}
	slices.SortFunc(partitions, record.TopicPartition.Compare)
	var sizes []int64
	var all, total int64
	for _, p := range partitions {
		sizes = append(sizes, positions[p].end-positions[p].start)
		all += positions[p].end - positions[p].start
	}
	taken := evenly(sizes, most)
	for i, p := range partitions {
		at := positions[p]
		at.end = at.start + taken[i]
		positions[p] = at
		total += taken[i]
	}
	shards = make([][]Piece, n)
	if follows = follow && total == all; !together {
		cut(shards, partitions, positions)
	}
	for turn := range max(n, len(partitions)) {
		if !follows && !together {
			break
		}
		i := turn % len(partitions)
		p, sharing := partitions[i], (max(n, len(partitions))-i+len(partitions)-1)/len(partitions)
		piece := Piece{p, positions[p].end, positions[p].end, int64(sharing), int64(turn / len(partitions))}
		if together {
			piece.Start = positions[p].start
		}
		if follows {
			piece.End = openEnd
		}
		shards[turn%n] = append(shards[turn%n], piece)
	}
	for p, at := range positions {
		if follows {
			at.end = openEnd
			positions[p] = at
		}
	}
	o.window = positions
	return shards, follows, nil
}

// cut gives each shard an equal part of each partition, since cameras, and so partitions,
// differ in what their frames cost. The parts of a shard are of about the same time, so that
// it writes few tables: each is of one hour.
func cut(shards [][]Piece, partitions []record.TopicPartition, positions map[record.TopicPartition]position) {
	n := int64(len(shards))
	var first int64 // the shard that the next offset goes to that cannot be shared equally
	for _, p := range partitions {
		at, size := positions[p].start, positions[p].end-positions[p].start
		for shard := range n {
			part := size / n
			if (shard-first+n)%n < size%n {
				part++
			}
			if part > 0 {
				shards[shard] = append(shards[shard], Piece{p, at, at + part, 1, 0})
			}
			at += part
		}
		first = (first + size) % n
	}
}

// A shard that follows partitions must not go beyond the window's end, which nobody knows
// before. So it goes on only for followLease after it has last asked and heard that the
// window is open, and the driver takes the end so long after it has said that it is
// closing. Both use the metadata of the group's offsets: there a retried bundle finds the
// end, too, and one that has lost its driver hears nothing of its window any more.
const (
	followLease = 500 * time.Millisecond
	followPoll  = 100 * time.Millisecond
	// followSilence is how long nothing new may be heard: the driver says something new every
	// few seconds, but for an outage.
	followSilence = outageTimeout + 15*time.Second

	isOpen    = "is open, "
	isClosing = "is closing"
	endsAt    = "ends at "
)

// Say tells the shards that follow partitions that the window of this name is open or, once
// it has ended, where. Say it every few seconds: Kafka may forget it, and from silence they
// conclude that the driver has died.
func (o *Offsets) Say(ctx context.Context, window string) error {
	o.said++
	return o.say(ctx, window, isOpen+strconv.Itoa(o.said))
}

// Grown reports whether the topics have got partitions that the window does not follow.
func (o *Offsets) Grown(ctx context.Context) (bool, error) {
	logs, err := o.Logs(ctx)
	return slices.ContainsFunc(logs, func(l Log) bool { _, followed := o.window[l.TopicPartition]; return !followed }), err
}

// End ends the window: where the partitions that it follows now end.
func (o *Offsets) End(ctx context.Context, window string) error {
	err := o.say(ctx, window, isClosing)
	if err == nil {
		err = wait.Sleep(ctx, followLease)
	}
	if err != nil {
		return err
	}
	logs, err := o.Logs(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs {
		if at, ok := o.window[l.TopicPartition]; ok {
			at.end = max(at.start, l.End)
			o.window[l.TopicPartition] = at
		}
	}
	return o.say(ctx, window, isClosing)
}

// say commits the offsets that the group has committed already, with what is said of the
// window as their metadata: where it ends, or else what it is.
func (o *Offsets) say(ctx context.Context, window, is string) error {
	offsets := kadm.Offsets{}
	for p, at := range o.window {
		text := is
		if at.end != openEnd {
			text = endsAt + strconv.FormatInt(at.end, 10)
		}
		offsets.Add(kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: at.lostFrom, LeaderEpoch: -1, Metadata: aboutWindow(window) + text})
	}
	return o.commit(ctx, offsets)
}

const anyWindow = "window "

func aboutWindow(name string) string { return anyWindow + name + " " }

// news is what was said of a window.
type news struct {
	open time.Time                       // when it was asked for and then heard that the window is
	ends map[record.TopicPartition]int64 // nil until they are known
	said string                          // whatever it was, of this window or another one
}

// hear asks what was said of a window.
func (o *Offsets) hear(ctx context.Context, window string) (n news, err error) {
	asked := time.Now()
	committed, err := o.committed(ctx)
	if err != nil {
		return n, err
	}
	committed.Each(func(c kadm.OffsetResponse) {
		if !slices.Contains(o.topics, c.Topic) { // which another run of the group may read
			return
		}
		text, ours := strings.CutPrefix(c.Metadata, aboutWindow(window))
		if number, ends := strings.CutPrefix(text, endsAt); ours && ends {
			if n.ends == nil {
				n.ends = map[record.TopicPartition]int64{}
			}
			n.ends[record.In(c.Topic, c.Partition)], err = strconv.ParseInt(number, 10, 64)
		}
		if ours && strings.HasPrefix(text, isOpen) {
			n.open = asked
		}
		if strings.HasPrefix(c.Metadata, anyWindow) {
			n.said = max(n.said, c.Metadata)
		}
	})
	return n, err
}

// follow tells what is said of a window until that is enough. It gives up when something
// is said of another one meanwhile, or for so long nothing new at all.
func (o *Offsets) follow(ctx context.Context, window string, silence time.Duration, tell func(news) (enough bool)) error {
	last, since := "", time.Now()
	for {
		n, err := o.hear(ctx, window)
		switch {
		case err != nil:
			return err
		case tell(n):
			return nil
		case n.said != last && last != "" && n.said != "" && !strings.HasPrefix(n.said, aboutWindow(window)):
			return fmt.Errorf("the group reads another window: %s", n.said)
		case n.said != last:
			last, since = n.said, time.Now()
		case time.Since(since) > silence:
			return fmt.Errorf("for %s nothing new was said of it: its driver has ended", silence)
		}
		if err := wait.Sleep(ctx, followPoll); err != nil {
			return err
		}
	}
}
