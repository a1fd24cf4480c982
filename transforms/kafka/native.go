package kafka

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/kafkaconf"
	"facestream/internal/record"
	"facestream/transforms/parallel"
)

func init() {
	beam.RegisterType(reflect.TypeFor[readFn]())
}

// The readers' names, as --reader takes them.
const (
	KafkaIO = "kafkaio"
	Native  = "native"
)

// Readers are all readers.
var Readers = []string{KafkaIO, Native}

// ReadNative gives the same records as Read through a client in Go, without Java: a
// bundle for each of the window's shards, which emits records as they come. It holds
// two fetches of a shard at most. A bundle that is done again gives the same records.
func ReadNative(s beam.Scope, w Window) beam.PCollection {
	s = s.Scope("kafka.ReadNative")
	shards := make([]int, len(w.Shards))
	for i := range shards {
		shards[i] = i
	}
	return beam.ParDo(s, &readFn{Window: w}, beam.Reshuffle(s, beam.CreateList(s, shards)))
}

type readFn struct {
	Window Window
}

func (fn *readFn) ProcessElement(ctx context.Context, shard int, emit func(Record)) error {
	w := fn.Window
	opts, fetching, err := nativeSettings(w.Consumer)
	if err != nil {
		return err
	}
	security, err := kafkaconf.Read(w.Security)
	if err != nil {
		return fmt.Errorf("%w; it must be there on every node", err)
	}
	offsets, err := reconnect(ctx, w, append(opts, security.Options()...)...)
	if err != nil {
		return err
	}
	defer offsets.Close()
	offsets.Uncommitted, offsets.fetching = ReadsUncommitted(w.Consumer), fetching
	source := parallel.NewSource(ctx)
	defer source.Close()
	// What is waiting comes before what is followed, and may be of the same partition.
	for _, open := range []bool{false, true} {
		pieces := map[record.TopicPartition]*Piece{}
		for _, p := range w.Shards[shard] {
			if (p.End == openEnd) == open {
				pieces[p.TopicPartition] = &p
			}
		}
		r := reading{window: w, offsets: offsets, source: source, pieces: pieces, emitted: map[record.TopicPartition]int64{}, emit: emit}
		if err := r.read(ctx); err != nil {
			return fmt.Errorf("shard %d of window %s: %w", shard, w.Name, err)
		}
	}
	return nil
}

// turn says which of the shards that share a partition has a record: see Piece.
func (w Window) turn(one *kgo.Record) uint64 {
	if w.TogetherMillis == 0 {
		return uint64(one.Offset)
	}
	r, camera := recordOf(one), fnv.New32a()
	_, _ = camera.Write([]byte(CameraOf(&r))) // never fails
	return uint64(camera.Sum32()) + uint64(r.Timestamp/w.TogetherMillis)
}

// reading is a DoFn's reading of pieces, of which all have an end or none.
type reading struct {
	window  Window
	offsets *Offsets
	source  *parallel.Source
	pieces  map[record.TopicPartition]*Piece // that are not done, from where to read on
	emitted map[record.TopicPartition]int64  // up to which offset
	emit    func(Record)
	heard   atomic.Pointer[news]
}

// read emits all records of the pieces.
func (r *reading) read(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	positions, ends := map[record.TopicPartition]position{}, map[record.TopicPartition]int64{}
	open := false
	for p, piece := range r.pieces {
		positions[p], ends[p] = position{start: piece.Start, end: piece.End}, piece.End
		open = open || piece.End == openEnd
	}
	told := make(chan struct{}, 1)
	if r.heard.Store(&news{ends: ends}); open {
		r.heard.Store(&news{})
		go func() {
			err := r.offsets.follow(ctx, r.window.Name, followSilence, func(n news) (enough bool) {
				r.heard.Store(&n)
				select {
				case told <- struct{}{}:
				default:
				}
				for p := range positions {
					if _, known := n.ends[p]; !known {
						return false
					}
				}
				return true
			})
			if err != nil {
				stop(err)
			}
		}()
	}
	chunks := make(chan chunk) // the next is fetched while this one is worked on
	go func() {
		err := r.offsets.scan(ctx, positions, func(c chunk) (bool, error) {
			select {
			case chunks <- c:
				return true, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})
		if err != nil {
			stop(err)
		}
	}()
	var waiting []*kgo.Record // of one chunk
	for {
		n := r.heard.Load()
		for p, end := range n.ends {
			if at := r.emitted[p]; at > end {
				return fmt.Errorf("%s is read up to offset %d, and said to end at %d", p, at, end)
			}
		}
		if waiting = r.emitSome(waiting, n); len(waiting) == 0 {
			maps.DeleteFunc(r.pieces, func(p record.TopicPartition, piece *Piece) bool {
				end, known := n.ends[p]
				return known && piece.Start >= end
			})
		}
		if len(r.pieces) == 0 {
			return nil
		}
		next := chunks
		if len(waiting) > 0 {
			next = nil
		}
		select {
		case c := <-next:
			if piece := r.pieces[c.TopicPartition]; piece != nil { // else it is behind the end
				waiting, piece.Start = c.records, c.next
			}
		case <-told:
		case <-r.source.Done():
			if err := r.source.Emit(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// emitSome emits of the records of a chunk those that may be by now, and returns the
// others.
func (r *reading) emitSome(records []*kgo.Record, n *news) []*kgo.Record {
	for i, one := range records {
		p := record.In(one.Topic, one.Partition)
		end, known := n.ends[p]
		switch piece := r.pieces[p]; {
		case known && one.Offset >= end:
			return nil
		case !known && time.Since(n.open) >= followLease:
			return records[i:]
		case r.window.turn(one)%uint64(piece.Of) == uint64(piece.Nth):
			r.emit(recordOf(one))
			r.emitted[p] = one.Offset + 1
		}
		n = r.heard.Load()
	}
	return nil
}
