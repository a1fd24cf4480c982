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
	d, err := s.index.day(ctx, at)
	if err != nil {
		return timeline{}, err
	}
	whole := func(from time.Time) string {
		return link("/", q, "from", from.Format(minuteLayout), "to", from.AddDate(0, 0, 1).Format(minuteLayout))
	}
	t := timeline{Day: d.start.Format("Monday, 2 January 2006"), Before: whole(d.start.AddDate(0, 0, -1)), Behind: whole(d.start.AddDate(0, 0, 1)), Complete: d.complete}
	if len(d.cameras) > mostLanes {
		slices.SortStableFunc(d.cameras, func(a, b dayCamera) int { return cmp.Compare(b.total, a.total) })
		t.Hidden = len(d.cameras) - mostLanes
		d.cameras = d.cameras[:mostLanes]
	}
	most := int32(1)
	for _, c := range d.cameras {
		most = max(most, slices.Max(c.counts))
	}
	for _, c := range d.cameras {
		l := lane{Name: c.name, Total: c.total, Width: len(c.counts)}
		var bars strings.Builder
		for i, n := range c.counts {
			if n > 0 {
				fmt.Fprintf(&bars, "M%d %dV%d", i, laneHeight, laneHeight-max(4, n*laneHeight/most))
			}
		}
		l.Path = bars.String()
		camera := c.name
		if !c.named {
			camera = ""
		}
		for i := 0; i < len(c.counts); i += 60 {
			faces := 0
			for _, n := range c.counts[i:min(i+60, len(c.counts))] {
				faces += int(n)
			}
			if faces == 0 {
				continue
			}
			from := d.start.Add(time.Duration(i) * time.Minute)
			to := from.Add(time.Hour)
			l.Hours = append(l.Hours, hour{
				X: i, Faces: faces, Name: from.Format("15:04") + "–" + to.Format("15:04"), Minutes: from.Format("2006-01-02T15:"),
				Link: link("/", q, "camera", camera, "from", from.Format(minuteLayout), "to", to.Format(minuteLayout)),
			})
		}
		t.Lanes = append(t.Lanes, l)
	}
	return t, nil
}
