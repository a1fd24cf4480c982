package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"facestream/internal/record"
	"facestream/transforms/opaque"
)

func init() {
	register.Function2x0(eventsOf)
	register.DoFn3x2[context.Context, int, func(*recordEvents) bool, string, error](&eventsFn{})
	register.Emitter2[int, recordEvents]()
	register.Iter1[recordEvents]()
	beam.RegisterCoder(reflect.TypeFor[recordEvents](), encodeRecordEvents, decodeRecordEvents)
}

const (
	// eventsFolder holds what is known of each face, below the root.
	eventsFolder    = "_events"
	eventsExtension = ".jsonl"

	windowDate = "20060102" // how the name of a window begins
)

// eventsPath is the place below the root of a window's events:
//
//	_events/<yyyy-mm-dd>/<window>.jsonl
//
// The day is that on which the window began, which is in its name.
func eventsPath(window string) string {
	day := "unknown"
	if t, err := time.Parse(windowDate, window[:min(len(window), len(windowDate))]); err == nil {
		day = t.Format(time.DateOnly)
	}
	return eventsFolder + "/" + day + "/" + window + eventsExtension
}

// recordEvents are the events of one record.
type recordEvents struct {
	record.ID
	Lines []string
}

func encodeRecordEvents(e recordEvents) ([]byte, error) { return opaque.Encode(e) }

func decodeRecordEvents(data []byte) (recordEvents, error) { return opaque.Decode[recordEvents](data) }

// WriteEvents writes the events of a PCollection<Written> to one file, in the
// order of topic, partition, offset and face, for KeepEvents. A window without
// events has no file. An error fails the bundle. The PCollection<string> has the
// name of the file.
func WriteEvents(s beam.Scope, cfg Config, window string, written beam.PCollection) beam.PCollection {
	s = s.Scope("store.WriteEvents")
	return beam.ParDo(s, &eventsFn{Config: cfg, Window: window}, beam.GroupByKey(s, beam.ParDo(s, eventsOf, written)))
}

func eventsOf(w Written, emit func(int, recordEvents)) {
	if len(w.Events) > 0 {
		emit(0, recordEvents{w.ID, w.Events})
	}
}

type eventsFn struct {
	Config Config
	Window string
}

func (fn *eventsFn) ProcessElement(ctx context.Context, _ int, records func(*recordEvents) bool) (string, error) {
	var all []recordEvents
	var r recordEvents
	for records(&r) {
		all = append(all, r)
		r = recordEvents{}
	}
	slices.SortFunc(all, func(a, b recordEvents) int { return a.Compare(b.ID) })
	var data bytes.Buffer
	for _, r := range all {
		for _, line := range r.Lines {
			data.WriteString(line)
			data.WriteByte('\n')
		}
	}
	name := pending(fn.Config, fn.Window+eventsExtension)
	if err := fn.Config.put(ctx, name, data.Bytes()); err != nil {
		return "", fmt.Errorf("writing the window's events: %w", err)
	}
	return name, nil
}

// KeepEvents gives the events that WriteEvents wrote their final name,
// <root>/_events/<yyyy-mm-dd>/<window>.jsonl. Call it after KeepLedger, so that
// there are no events without a ledger, and before anything is committed.
func KeepEvents(ctx context.Context, cfg Config, window string) error {
	from, to := join(cfg.Root, pending(cfg, window+eventsExtension)), join(cfg.Root, eventsPath(window))
	err := cfg.with(ctx, func(fsys filesystem.Interface) error {
		return inFolder(ctx, fsys, to, func() error { return filesystem.Rename(ctx, fsys, from, to) })
	})
	if err != nil {
		return fmt.Errorf("keeping the window's events: %w", err)
	}
	return nil
}

// SetEventBytes sets the bytes of events in the window's ledger to those of the file
// that WriteEvents wrote. Spark may do a bundle again between counting and writing, and
// the time that detection took differs each time.
func SetEventBytes(ctx context.Context, cfg Config, window string, l *Ledger) error {
	lines, err := readLines(ctx, cfg, pending(cfg, window+eventsExtension))
	if err != nil {
		return fmt.Errorf("reading the events that window %s wrote: %w", window, err)
	}
	size := map[record.TopicPartition]int64{}
	for _, line := range lines {
		var of record.ID
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			return fmt.Errorf("reading the events that window %s wrote: %w", window, err)
		}
		size[of.TopicPartition] += int64(len(line) + len("\n"))
	}
	for i := range l.Partitions {
		l.Partitions[i].EventBytes = size[l.Partitions[i].TopicPartition]
	}
	return nil
}

// ReadEvents returns the lines of a window's events, without their ends.
// Without a file there are none.
func ReadEvents(ctx context.Context, cfg Config, window string) ([]string, error) {
	lines, err := readLines(ctx, cfg, eventsPath(window))
	if err != nil {
		return nil, fmt.Errorf("reading the events of window %s: %w", window, err)
	}
	return lines, nil
}

// readLines returns the lines of a file; none if there is no file.
func readLines(ctx context.Context, cfg Config, name string) ([]string, error) {
	data, err := cfg.read(ctx, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"), nil
}

// Retract removes from the events of the group's windows those of records that
// the group is about to read again: a run was killed after it kept a ledger and
// before it committed, or somebody has set the group back. Pictures need no such
// thing, because a record's picture replaces its former one. Call it before the
// first window. A partition of the topics without a position is read from its
// first record.
func Retract(ctx context.Context, cfg Config, group string, topics []string, positions []record.ID) error {
	windows, err := Windows(ctx, cfg)
	if err != nil {
		return err
	}
	next, open := map[record.TopicPartition]int64{}, map[record.TopicPartition]bool{} // open: an older window may have what is read again
	for _, p := range positions {
		id := p.TopicPartition
		next[id] = p.Offset
		if p.Offset > 0 {
			open[id] = true
		}
	}
	for _, window := range slices.Backward(windows) {
		l, err := ReadLedger(ctx, cfg, window)
		if errors.As(err, new(*json.SyntaxError)) { // verify reports it
			continue
		}
		if err != nil {
			return err
		}
		if l.Run.Group != group {
			continue
		}
		again, before := false, false
		for _, p := range l.Partitions {
			id := p.TopicPartition
			switch {
			case p.Read == 0 || !slices.Contains(topics, p.Topic):
			case p.LastOffset >= next[id]:
				again = true
			default:
				before = true
				delete(open, id) // older windows have lower offsets
			}
		}
		if again {
			if err := retract(ctx, cfg, window, topics, next); err != nil {
				return err
			}
		} else if before && len(open) == 0 {
			break
		}
	}
	return nil
}

// retract leaves the events of offsets below next, and of other topics.
func retract(ctx context.Context, cfg Config, window string, topics []string, next map[record.TopicPartition]int64) error {
	lines, err := ReadEvents(ctx, cfg, window)
	if err != nil || len(lines) == 0 {
		return err
	}
	var kept bytes.Buffer
	for _, line := range lines {
		var of record.ID
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			return fmt.Errorf("reading the events of window %s: %w", window, err)
		}
		if of.Offset < next[of.TopicPartition] || !slices.Contains(topics, of.Topic) {
			kept.WriteString(line + "\n")
		}
	}
	if kept.Len() > 0 {
		return cfg.put(ctx, eventsPath(window), kept.Bytes())
	}
	return cfg.with(ctx, func(fsys filesystem.Interface) error {
		return ignoreGone(remove(ctx, fsys, join(cfg.Root, eventsPath(window))))
	})
}
