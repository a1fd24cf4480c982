package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/transforms/opaque"
)

func init() {
	beam.RegisterType(reflect.TypeFor[packFn]())
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
	return beam.ParDo(s, &eventsFn{Config: cfg, Window: window}, beam.GroupByKey(s, beam.ParDo(s, &packFn{}, written)))
}

// packFn makes one element of many records with events, and compresses it: Prism holds
// what it groups some seven times over.
type packFn struct{ held []Tally }

func (fn *packFn) StartBundle(func(int, []byte)) { fn.held = nil }

func (fn *packFn) ProcessElement(w Written, emit func(int, []byte)) error {
	if len(w.Events) > 0 {
		fn.held = append(fn.held, Tally{ID: w.ID, Events: w.Events})
	}
	if len(fn.held) < sumOf {
		return nil
	}
	return fn.FinishBundle(emit)
}

func (fn *packFn) FinishBundle(emit func(int, []byte)) error {
	if len(fn.held) == 0 {
		return nil
	}
	var data bytes.Buffer
	z, _ := flate.NewWriter(&data, flate.BestSpeed) // fails without such a level only
	if err := errors.Join(gob.NewEncoder(z).Encode(fn.held), z.Close()); err != nil {
		return err
	}
	fn.held = nil
	emit(0, data.Bytes())
	return nil
}

type eventsFn struct {
	Config Config
	Window string
}

func (fn *eventsFn) ProcessElement(ctx context.Context, _ int, packed func(*[]byte) bool) (string, error) {
	var all []Tally
	for data := range opaque.Values(packed) {
		var some []Tally
		if err := gob.NewDecoder(flate.NewReader(bytes.NewReader(data))).Decode(&some); err != nil {
			return "", fmt.Errorf("reading packed events: %w", err)
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b Tally) int { return a.Compare(b.ID) })
	var data bytes.Buffer
	for _, w := range all {
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
