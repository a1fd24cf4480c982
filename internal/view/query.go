package view

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"facestream/internal/record"
)

// filter is which faces are shown, as the address of a page says it.
type filter struct {
	camera     string        // empty for all
	from, to   int64         // times; 0 and math.MaxInt64 if there is none
	after, end time.Duration // of the day; end is below after if the span passes midnight
	ofDay      bool
	size       int32
	blur       float64
	score      float64
	zone       *time.Location
}

// parseFilter reads the query of an address. Its times are of its zone.
func parseFilter(q url.Values, zone *time.Location) (f filter, err error) {
	f = filter{to: math.MaxInt64, end: 24 * time.Hour, zone: zone}
	f.camera = q.Get("camera")
	number := func(name string) (n float64) {
		text := q.Get(name)
		if text == "" || err != nil {
			return 0
		}
		if n, err = strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= math.MaxInt32) {
			err = fmt.Errorf("%s=%s: it must be a number from 0 on", name, text)
		}
		return n
	}
	f.size, f.blur, f.score = int32(number("size")), number("sharp"), number("score")
	at := func(name string, none int64) int64 {
		text := q.Get(name)
		if text == "" || err != nil {
			return none
		}
		for _, layout := range []string{minuteLayout, "2006-01-02T15:04:05", time.RFC3339Nano, time.DateOnly} {
			if t, wrong := time.ParseInLocation(layout, text, zone); wrong == nil {
				return t.UnixMilli()
			}
		}
		err = fmt.Errorf("%s=%s: it must be a time such as 2026-11-24T09:30", name, text)
		return none
	}
	f.from, f.to = at("from", 0), at("to", math.MaxInt64)
	clock := func(name string, none time.Duration) time.Duration {
		text := q.Get(name)
		if text == "" || err != nil {
			return none
		}
		t, wrong := time.Parse("15:04", text)
		if wrong != nil {
			err = fmt.Errorf("%s=%s: it must be a time of day such as 09:30", name, text)
		}
		f.ofDay = true
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	f.after, f.end = clock("after", 0), clock("before", 24*time.Hour)
	return f, err
}

const minuteLayout = "2006-01-02T15:04"

func (f *filter) matches(e *event) bool {
	t := e.time()
	if t < f.from || t >= f.to || f.camera != "" && e.Camera != f.camera ||
		e.Size() < f.size || e.Blur < f.blur || f.score > 0 && (e.Score == nil || *e.Score < f.score) {
		return false
	}
	if !f.ofDay {
		return true
	}
	at := time.UnixMilli(t).In(f.zone)
	of := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	if f.after <= f.end {
		return t > 0 && f.after <= of && of < f.end
	}
	return t > 0 && (of >= f.after || of < f.end)
}

// mayMatch reports whether a chunk may have a face that matches.
func (f *filter) mayMatch(c *chunk, camera int32) bool {
	s := c.summary.Load()
	return s == nil || s.last >= f.from && s.first < f.to && s.size >= f.size && s.blur >= f.blur && (f.score == 0 || s.score >= f.score) &&
		(f.camera == "" || slices.Contains(s.cameras, camera))
}

// search is a question for faces in order.
type search struct {
	filter
	past    *key // of faces behind this one; nil for the first
	reverse bool // the oldest first
	most    int
	frames  bool // count frames, not faces
}

// pending are faces that were read and not yet given out.
type pending struct {
	events  []event
	compare func(a, b key) int
}

func (p *pending) Len() int           { return len(p.events) }
func (p *pending) Less(i, j int) bool { return p.compare(p.events[i].key(), p.events[j].key()) < 0 }
func (p *pending) Swap(i, j int)      { p.events[i], p.events[j] = p.events[j], p.events[i] }
func (p *pending) Push(e any)         { p.events = append(p.events, e.(event)) }
func (p *pending) Pop() any {
	last := len(p.events) - 1
	e := p.events[last]
	p.events = p.events[:last]
	return e
}

// find returns faces in the order of the search, and where to go on, nil if that was all. It
// reads chunks in the order of their times, as few as will do.
func (ix *index) find(ctx context.Context, s search) (found []event, next *key, err error) {
	compare := key.compare
	// edge is where the first face of a chunk may be in the order of the search.
	edge := func(c *chunk) key {
		_, last := c.bounds()
		return key{time: last, ID: record.ID{Offset: math.MaxInt64}, face: -1}
	}
	chunks := ix.all()
	if s.reverse {
		compare = func(a, b key) int { return b.compare(a) }
		edge = func(c *chunk) key {
			first, _ := c.bounds()
			return key{time: first, ID: record.ID{TopicPartition: record.In("\xff", math.MaxInt32)}, face: math.MaxInt}
		}
		slices.SortStableFunc(chunks, func(a, b *chunk) int { return compare(edge(a), edge(b)) })
	}
	camera := ix.camera(s.camera)
	chunks = slices.DeleteFunc(chunks, func(c *chunk) bool {
		if !s.mayMatch(c, camera) {
			return true
		}
		first, last := c.bounds()
		return s.past != nil && (!s.reverse && first > s.past.time || s.reverse && last < s.past.time && c.summary.Load() != nil)
	})
	waiting := &pending{compare: compare}
	var previous key
	reads, units := 0, 0
	for {
		for len(chunks) > 0 && (waiting.Len() == 0 || compare(edge(chunks[0]), waiting.events[0].key()) <= 0) {
			if reads++; reads > maxReads {
				next := edge(chunks[0])
				if s.past != nil && compare(next, *s.past) < 0 {
					next = *s.past
				}
				return found, &next, nil
			}
			events, err := ix.events(ctx, chunks[0])
			if err != nil {
				return nil, nil, err
			}
			for i := range events {
				if e := &events[i]; s.matches(e) && (s.past == nil || compare(e.key(), *s.past) > 0) {
					heap.Push(waiting, *e)
				}
			}
			chunks = chunks[1:]
		}
		if waiting.Len() == 0 {
			return found, nil, nil
		}
		e := heap.Pop(waiting).(event)
		k := e.key()
		if units > 0 && k == previous { // of two groups that have read one topic
			continue
		}
		if units == 0 || !s.frames || k.ID != previous.ID {
			if units == s.most {
				return found, &previous, nil
			}
			units++
		}
		found = append(found, e)
		previous = k
	}
}

// faces returns all faces of one record.
func (ix *index) faces(ctx context.Context, k key) ([]event, error) {
	k.face = math.MinInt
	found, _, err := ix.find(ctx, search{filter: filter{from: k.time, to: k.time + 1}, past: &k, most: 1, frames: true})
	if err == nil && (len(found) == 0 || found[0].ID != k.ID) {
		err = errNoFace
	}
	return found, err
}

var errNoFace = errors.New("there is no such picture; it may have been removed")

// String is the key in an address.
func (k key) String() string {
	return fmt.Sprintf("%d.%d.%d.%d.%s", k.time, k.Partition, k.Offset, k.face, k.Topic)
}

func parseKey(text string) (k key, err error) {
	if _, err = fmt.Sscanf(text, "%d.%d.%d.%d.%s", &k.time, &k.Partition, &k.Offset, &k.face, &k.Topic); err != nil {
		err = fmt.Errorf("%q names no face", text)
	}
	return k, err
}
