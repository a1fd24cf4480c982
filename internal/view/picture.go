package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

type picturePage struct {
	layout
	tile
	Back, Newer, Older string
	File, Zip          string
	Record             string
	Fields             []field
}

// field is a row of the table of events.
type field struct {
	Name   string
	Values []string
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
	p := picturePage{layout: layout{"Picture", zone.String()}, tile: tiles(faces, all, zone)[0], Back: link("/", q), Record: e.ID.String()}
	p.Zip = "/zip?" + url.Values{"pick": {k.String()}}.Encode()
	if p.Image != "" {
		p.File = p.Image + "&download=1"
	}
	for _, e := range faces {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		p.Fields = addFields(p.Fields, line)
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

// addFields adds the fields of a line of events as a column.
func addFields(fields []field, line []byte) []field {
	column := 0
	if len(fields) > 0 {
		column = len(fields[0].Values)
	}
	add := func(name, value string) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.Name == name })
		if i < 0 {
			i = len(fields)
			fields = append(fields, field{Name: name})
		}
		for len(fields[i].Values) < column {
			fields[i].Values = append(fields[i].Values, "")
		}
		fields[i].Values = append(fields[i].Values, value)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var walk func(name string) error
	walk = func(name string) error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			for i := 0; d.More(); i++ {
				below := strconv.Itoa(i)
				if t == '{' {
					k, err := d.Token()
					if err != nil {
						return err
					}
					below = k.(string)
				}
				if err := walk(strings.TrimPrefix(name+"."+below, ".")); err != nil {
					return err
				}
			}
			_, err = d.Token()
			return err
		case nil:
			add(name, "null")
		default:
			add(name, fmt.Sprint(t))
		}
		return nil
	}
	_ = walk("")
	return fields
}
