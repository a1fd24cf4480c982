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

// readEvents reads the events of the chosen records, and each file once.
func (c *checker) readEvents(ctx context.Context, chosen []audit.Chosen) error {
	files := map[string][]audit.EventAt{}
	for _, one := range chosen {
		for _, at := range one.Events {
			files[at.File] = append(files[at.File], at)
		}
	}
	for file, places := range files {
		slices.SortFunc(places, func(a, b audit.EventAt) int { return cmp.Compare(a.At, b.At) })
		if err := c.readPlaces(ctx, file, places); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
	}
	return nil
}

// readPlaces adds the events at places of a file, in order.
func (c *checker) readPlaces(ctx context.Context, file string, places []audit.EventAt) error {
	in, err := c.config.Open(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	lines, before := bufio.NewReader(in), int64(0)
	for _, at := range places {
		skipped, err := io.CopyN(io.Discard, lines, at.At-before)
		if err != nil {
			return err
		}
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if c.events[at], err = parseEvent(line); err != nil {
			return err
		}
		before += skipped + int64(len(line))
	}
	return nil
}

func parseEvent(line []byte) (face.Event, error) {
	e, err := face.ParseEvent(line)
	e.DetectMillis = 0
	return e, err
}
