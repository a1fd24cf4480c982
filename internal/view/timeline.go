package view

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	laneHeight = 40
	mostLanes  = 30
)

// timeline is a day as it is drawn.
type timeline struct {
	Day, Before, Behind string // Before and Behind are addresses
	Lanes               []lane
	Hidden              int // lanes
	Complete            bool
}

type lane struct {
	Name  string
	Total int32
	Path  string
	Width int
	Hours []hour
}

type hour struct {
	X, Faces            int
	Link, Name, Minutes string // Minutes is how the times of its minutes begin
}

func (s *server) timeline(ctx context.Context, at time.Time, q url.Values) (timeline, error) {
	y, m, d := at.Date()
	start, end := time.Date(y, m, d, 0, 0, 0, 0, at.Location()), time.Date(y, m, d+1, 0, 0, 0, 0, at.Location())
	counts, complete, err := s.index.minutesOf(ctx, start, end)
	if err != nil {
		return timeline{}, err
	}
	whole := func(from time.Time) string {
		return link("/", q, "from", from.Format(minuteLayout), "to", from.AddDate(0, 0, 1).Format(minuteLayout))
	}
	t := timeline{Day: start.Format("Monday, 2 January 2006"), Before: whole(start.AddDate(0, 0, -1)), Behind: whole(end), Complete: complete}
	most := int32(1)
	for _, list := range counts {
		most = max(most, slices.Max(list))
	}
	names := s.index.names()
	for number, list := range counts {
		l, camera := lane{Name: "other cameras", Width: len(list)}, ""
		if number != others {
			l.Name, camera = names[number], names[number]
		}
		var bars strings.Builder
		for i, n := range list {
			l.Total += n
			if n > 0 {
				fmt.Fprintf(&bars, "M%d %dV%d", i, laneHeight, laneHeight-max(4, n*laneHeight/most))
			}
		}
		l.Path = bars.String()
		for i := 0; i < len(list); i += 60 {
			faces := 0
			for _, n := range list[i:min(i+60, len(list))] {
				faces += int(n)
			}
			if faces == 0 {
				continue
			}
			from := start.Add(time.Duration(i) * time.Minute)
			to := from.Add(time.Hour)
			l.Hours = append(l.Hours, hour{
				X: i, Faces: faces, Name: from.Format("15:04") + "–" + to.Format("15:04"), Minutes: from.Format("2006-01-02T15:"),
				Link: link("/", q, "camera", camera, "from", from.Format(minuteLayout), "to", to.Format(minuteLayout)),
			})
		}
		t.Lanes = append(t.Lanes, l)
	}
	slices.SortFunc(t.Lanes, func(a, b lane) int { return strings.Compare(a.Name, b.Name) })
	if t.Hidden = max(0, len(t.Lanes)-mostLanes); t.Hidden > 0 {
		slices.SortStableFunc(t.Lanes, func(a, b lane) int { return cmp.Compare(b.Total, a.Total) })
		t.Lanes = t.Lanes[:mostLanes]
	}
	return t, nil
}

// minutesOf counts faces by minute, for the numbers of their cameras. It is not complete until
// all events were read.
func (ix *index) minutesOf(ctx context.Context, start, end time.Time) (counts map[int32][]int32, complete bool, err error) {
	first, minutes := int32(start.Unix()/60), int(end.Sub(start)/time.Minute)
	counts, complete = map[int32][]int32{}, true
	reads := 0
	for _, c := range ix.all() {
		s := c.summary.Load()
		if s == nil {
			complete = false
			continue
		}
		if s.last < start.UnixMilli() || s.first >= end.UnixMilli() {
			continue
		}
		list := s.minutes
		if s.dropped {
			if reads++; reads > maxReads {
				complete = false
				continue
			}
			events, err := ix.events(ctx, c)
			if err != nil {
				return nil, false, err
			}
			for i := range events {
				if t := events[i].time(); t > 0 {
					list = append(list, minuteCount{ix.camera(events[i].Camera), int32(t / time.Minute.Milliseconds()), 1})
				}
			}
		}
		for _, n := range list {
			if i := int(n.minute - first); i >= 0 && i < minutes {
				if counts[n.camera] == nil {
					counts[n.camera] = make([]int32, minutes)
				}
				counts[n.camera][i] += n.n
			}
		}
	}
	return counts, complete, nil
}
