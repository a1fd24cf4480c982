package verify

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"facestream/internal/audit"
	"facestream/transforms/face"
	"facestream/transforms/store"
)

// compareEvents compares the events that a record gives with those of a group. How long
// detection took is not compared.
func (c *checker) compareEvents(one audit.Chosen, group string, lines []string) ([]audit.Problem, error) {
	var want, got []face.Event
	for _, line := range lines {
		e, err := parseEvent([]byte(line))
		if err != nil {
			return nil, err
		}
		want = append(want, e)
	}
	for _, at := range one.Events {
		if at.Group == group {
			got = append(got, c.events[at])
		}
	}
	slices.SortStableFunc(got, func(a, b face.Event) int { return cmp.Compare(a.Face, b.Face) })
	if reflect.DeepEqual(got, want) {
		return nil, nil
	}
	return []audit.Problem{differs(one.ID, "", "there are %d events, which are not the %d that the record gives", len(got), len(want))}, nil
}

// readEvent reads the line of events at a place.
func readEvent(ctx context.Context, cfg store.Config, at audit.EventAt) (e face.Event, err error) {
	in, err := cfg.Open(ctx, at.File)
	if err != nil {
		return e, err
	}
	defer in.Close()
	var line []byte
	if _, err = in.Seek(at.At, io.SeekStart); err == nil {
		line, err = bufio.NewReader(in).ReadBytes('\n')
	}
	if err == nil || errors.Is(err, io.EOF) {
		e, err = parseEvent(line)
	}
	if err != nil {
		err = fmt.Errorf("reading %s: %w", at.File, err)
	}
	return e, err
}

func parseEvent(line []byte) (face.Event, error) {
	e, err := face.ParseEvent(line)
	e.DetectMillis = 0
	return e, err
}
