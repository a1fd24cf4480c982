package view

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strings"
)

type picturePage struct {
	layout
	tile
	Back, Newer, Older string
	File, Zip          string
	Record             string
	Fields             map[string][]string
}

func (s *server) picture(w http.ResponseWriter, r *http.Request) error {
	ctx, q, zone := r.Context(), r.URL.Query(), zone(r)
	what := search{most: 1, frames: true}
	k, err := parseKey(q.Get("id"))
	if err == nil {
		what.filter, err = parseFilter(q, zone)
	}
	if err != nil {
		return badRequest(err)
	}
	if err := s.index.refresh(ctx); err != nil {
		return err
	}
	faces, err := s.index.faces(ctx, k)
	if err != nil {
		return err
	}
	e := faces[0]
	all := url.Values{"show": {"frames"}}
	p := picturePage{layout: layout{"Picture", zone}, tile: tiles(faces, all, zone)[0], Back: link("/", q), Record: e.ID.String()}
	p.Zip = "/zip?" + url.Values{"pick": {k.String()}}.Encode()
	if p.Image != "" {
		p.File = p.Image + "&download=1"
	}
	if p.Fields, err = fieldsOf(faces); err != nil {
		return err
	}
	for _, way := range []struct {
		to      *string
		face    int
		reverse bool
	}{{&p.Older, math.MaxInt, false}, {&p.Newer, -1, true}} {
		what.past, what.reverse = &key{k.time, k.ID, way.face}, way.reverse
		found, _, err := s.index.find(ctx, what)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			next := found[0].key()
			next.face = 0
			*way.to = link("/picture", q, "id", next.String())
		}
	}
	s.render(w, http.StatusOK, "picture", p)
	return nil
}

// fieldsOf are the fields of events by their names, with a value for each event.
func fieldsOf(events []event) (map[string][]string, error) {
	fields := map[string][]string{}
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		var walk func(name string, value json.RawMessage)
		walk = func(name string, value json.RawMessage) {
			var object map[string]json.RawMessage
			if json.Unmarshal(value, &object) == nil && object != nil {
				for key, below := range object {
					walk(strings.TrimPrefix(name+"."+key, "."), below)
				}
				return
			}
			if fields[name] == nil {
				fields[name] = make([]string, len(events))
			}
			text := string(value)
			_ = json.Unmarshal(value, &text) // what is no text stays as it is
			fields[name][i] = text
		}
		walk("", data)
	}
	return fields, nil
}
