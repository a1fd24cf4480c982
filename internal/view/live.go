package view

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counts is what the ledgers say of the whole output.
type counts struct {
	Records, Frames, WithFaces, Faces, Files, Bytes int64
	Rejects                                         []reasonCount
	Lag, Latency                                    string
	Unread                                          int
	Reading                                         int // percent of the events that were read; 100 at the end
}

type reasonCount struct {
	Reason string
	N      int64
}

func (s *server) counts(ctx context.Context) counts {
	t := s.index.total()
	c := counts{
		Records: t.Sum.Read, Frames: t.Sum.Decoded, WithFaces: t.Sum.FramesWithFaces, Faces: t.Sum.Faces, Files: t.Sum.Files, Bytes: t.Sum.Bytes,
		Unread: t.Unread, Reading: 100,
	}
	for reason, n := range t.Sum.Rejected {
		c.Rejects = append(c.Rejects, reasonCount{reason, n})
	}
	slices.SortFunc(c.Rejects, func(a, b reasonCount) int { return strings.Compare(a.Reason, b.Reason) })
	if all, unread := s.index.progress(); unread > 0 {
		c.Reading = 100 * (all - unread) / all
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Latest != s.latest && t.Latest.Picture != "" {
		s.latency = -1
		if at, err := s.index.cfg.Modified(ctx, t.Latest.Picture); err == nil {
			s.latency = at.Sub(time.UnixMilli(t.Latest.TimestampMillis))
		}
		s.latest = t.Latest
	}
	if s.latest.Picture != "" && s.latency >= 0 {
		c.Latency = s.latency.Round(100 * time.Millisecond).String()
	}
	if s.lag != nil && time.Since(s.lagAt) > lagAfter {
		s.lagAt = time.Now()
		go s.findLag(context.WithoutCancel(ctx), t.Books) // no page waits for Kafka
	}
	c.Lag = s.lagText
	return c
}

func (s *server) findLag(ctx context.Context, books map[string]book) {
	ctx, stop := context.WithTimeout(ctx, lagTimeout)
	defer stop()
	text := "unknown"
	if n, err := s.lag(ctx, books); err == nil {
		text = strconv.FormatInt(n, 10)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lagText = text
}

// updates tells a page what is new, for as long as it is open.
func (s *server) updates(w http.ResponseWriter, r *http.Request) error {
	if s.live.Add(1) > mostLive {
		s.live.Add(-1)
		return &httpError{http.StatusServiceUnavailable, "too many pages are open"}
	}
	defer s.live.Add(-1)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(refreshAfter)
	defer tick.Stop()
	last := ""
	sent := map[string]bool{}
	for {
		p, err := s.gridPage(r)
		if err != nil {
			return nil // the page asks again
		}
		var update struct {
			Counts   string   `json:"counts"`
			Timeline string   `json:"timeline"`
			Tiles    []string `json:"tiles"` // that were not sent, the newest first
		}
		update.Counts, update.Timeline = fragment("counts", p.Counts), fragment("timeline", p.Timeline)
		now := map[string]bool{}
		for _, t := range p.Tiles {
			now[t.Key] = true
			if !sent[t.Key] {
				update.Tiles = append(update.Tiles, fragment("tile", t))
			}
		}
		sent = now
		data, err := json.Marshal(update)
		if err != nil {
			return nil
		}
		if string(data) != last || len(update.Tiles) > 0 {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return nil
			}
		} else if _, err := io.WriteString(w, ":\n\n"); err != nil { // it is gone
			return nil
		}
		last = string(data)
		if err := out.Flush(); err != nil {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

// fragment is a part of a page.
func fragment(name string, data any) string {
	var part strings.Builder
	if err := pages.ExecuteTemplate(&part, name, data); err != nil {
		return ""
	}
	return part.String()
}
