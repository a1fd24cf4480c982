package store

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/transforms/opaque"
)

func init() {
	beam.RegisterFunction(withEvents)
	beam.RegisterType(reflect.TypeFor[eventsFn]())
}

const (
	// eventsFolder holds what is known of each face, below the root.
	eventsFolder    = "_events"
	eventsExtension = ".jsonl"

	windowDate = "20060102" // how the name of a window begins
)

// eventsPath is the place below the root of events that begin with those of a window:
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

// WriteEvents writes the events of a PCollection<Written> to one file, in the
// order of topic, partition, offset and face, for Book.Keep. A window without
// events has no file. An error fails the bundle. The PCollection<string> has the
// name of the file.
func WriteEvents(s beam.Scope, cfg Config, window string, written beam.PCollection) beam.PCollection {
	s = s.Scope("store.WriteEvents")
	return beam.ParDo(s, &eventsFn{Config: cfg, Window: window}, beam.GroupByKey(s, beam.ParDo(s, withEvents, written)))
}

func withEvents(w Written, emit func(int, Written)) {
	if len(w.Events) > 0 {
		emit(0, w)
	}
}

type eventsFn struct {
	Config Config
	Window string
}

func (fn *eventsFn) ProcessElement(ctx context.Context, _ int, records func(*Written) bool) (string, error) {
	var data bytes.Buffer
	for _, w := range slices.SortedFunc(opaque.Values(records), func(a, b Written) int { return a.Compare(b.ID) }) {
		for _, line := range w.Events {
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
