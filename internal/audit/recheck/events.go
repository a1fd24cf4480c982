package recheck

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"facestream/internal/audit"
	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/store"
)

// windowEvents are the events of one window.
type windowEvents map[record.ID][]face.Event

// compareEvents compares the events that a record gives with those that the
// group's windows hold. How long detection took is not compared.
func (c *Checker) compareEvents(ctx context.Context, id record.ID, group string, lines []string) ([]audit.Problem, error) {
	var want, got []face.Event
	for _, line := range lines {
		e, err := parseEvent(line)
		if err != nil {
			return nil, err
		}
		want = append(want, e)
	}
	for _, w := range c.windows {
		if w.Ledger.Run.Group != group || !w.Covers(id) || w.Ledger.Sum().Events == 0 {
			continue
		}
		events, err := c.eventsOf(ctx, w.Name)
		if err != nil {
			return nil, err
		}
		got = append(got, events[id]...)
	}
	if reflect.DeepEqual(got, want) {
		return nil, nil
	}
	return []audit.Problem{differs(id, "", "there are %d events, which are not the %d that the record gives", len(got), len(want))}, nil
}

// eventsOf reads a window's events, once.
func (c *Checker) eventsOf(ctx context.Context, window string) (windowEvents, error) {
	if events, ok := c.events[window]; ok {
		return events, nil
	}
	lines, err := store.ReadEvents(ctx, c.config, window)
	if err != nil {
		return nil, err
	}
	events := windowEvents{}
	for _, line := range lines {
		e, err := parseEvent(line)
		if err != nil {
			return nil, fmt.Errorf("the events of window %s: %w", window, err)
		}
		events[e.ID] = append(events[e.ID], e)
	}
	c.events[window] = events
	return events, nil
}

func parseEvent(line string) (e face.Event, err error) {
	err = json.Unmarshal([]byte(line), &e)
	e.DetectMillis = 0
	if e.TimestampMillis == 0 && e.Timestamp != nil { // older lines have only this
		if at, err := time.Parse(time.RFC3339, *e.Timestamp); err == nil {
			e.TimestampMillis = at.UnixMilli()
		}
	}
	return e, err
}
