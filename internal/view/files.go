package view

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"

	"facestream/internal/record"
	"facestream/transforms/face"
	"facestream/transforms/frame"
)

func fileLink(name string) string {
	if name == "" {
		return ""
	}
	return "/file?name=" + url.QueryEscape(name)
}

// Link is the address of the face by itself.
func (e *event) Link() string {
	picture := cmp.Or(e.Picture, e.Annotated)
	if e.Crop != "" || picture == "" {
		return fileLink(e.Crop)
	}
	return fmt.Sprintf("/crop?name=%s&box=%d,%d,%d,%d", url.QueryEscape(picture), e.Box.X, e.Box.Y, e.Box.Width, e.Box.Height)
}

func (s *server) file(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("name")
	data, err := s.index.picture(r.Context(), name)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("download") {
		w.Header().Set("Content-Disposition", `attachment; filename="`+path.Base(name)+`"`) // it has safe characters only
	}
	sendJPEG(w, data)
	return nil
}

func sendJPEG(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Cache-Control", "private, max-age=3600, immutable")
	_, _ = w.Write(data)
}

func (s *server) cropped(w http.ResponseWriter, r *http.Request) error {
	name, text := r.URL.Query().Get("name"), r.URL.Query().Get("box")
	var box record.Box
	if n, err := fmt.Sscanf(text, "%d,%d,%d,%d", &box.X, &box.Y, &box.Width, &box.Height); n != 4 || err != nil {
		return badRequest(fmt.Errorf("box=%s: it must be four numbers", text))
	}
	const most = frame.MaxSide
	if b := box; b.X < 0 || b.Y < 0 || b.Width < 1 || b.Height < 1 || b.X > most || b.Y > most || b.Width > most || b.Height > most {
		return badRequest(fmt.Errorf("box=%s: there is no such box in a picture", text))
	}
	picture, err := s.index.picture(r.Context(), name)
	if err != nil {
		return err
	}
	if err := s.cropping.Acquire(r.Context(), 1); err != nil {
		return err
	}
	data, err := face.Crop(picture, box, cropMargin)
	s.cropping.Release(1)
	if err != nil {
		return &httpError{http.StatusUnprocessableEntity, "cutting the face out of " + name + ": " + err.Error()}
	}
	sendJPEG(w, data)
	return nil
}

// zip sends the clean pictures of some records and their events. What is missing is named
// in a file.
func (s *server) zip(w http.ResponseWriter, r *http.Request) error {
	ctx, picks := r.Context(), r.URL.Query()["pick"]
	if len(picks) == 0 || len(picks) > maxPicks {
		return badRequest(fmt.Errorf("%d pictures are chosen: it must be 1 to %d", len(picks), maxPicks))
	}
	var keys []key
	for _, pick := range picks {
		k, err := parseKey(pick)
		if err != nil {
			return badRequest(err)
		}
		if !slices.ContainsFunc(keys, func(l key) bool { return l.ID == k.ID }) {
			keys = append(keys, k)
		}
	}
	if err := s.index.refresh(ctx); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="faces.zip"`)
	w.Header().Set("Cache-Control", "no-store")
	out := zip.NewWriter(w)
	add := func(name string, data []byte) error {
		f, err := out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	}
	var events, missing bytes.Buffer
	lines := json.NewEncoder(&events)
	for _, k := range keys {
		faces, err := s.index.faces(ctx, k)
		if err != nil {
			fmt.Fprintf(&missing, "%s: %v\n", k.ID, err)
			continue
		}
		names := []string{cmp.Or(faces[0].Picture, faces[0].Annotated)}
		for _, e := range faces {
			if err := lines.Encode(e); err != nil {
				return nil
			}
			if names[0] == "" {
				names = append(names, e.Crop)
			}
		}
		for _, name := range names {
			if name == "" {
				continue
			}
			data, err := s.index.picture(ctx, name)
			if err != nil {
				fmt.Fprintf(&missing, "%s: %v\n", k.ID, err)
			} else if err := add(name, data); err != nil {
				return nil
			}
		}
	}
	if add("events.jsonl", events.Bytes()) != nil {
		return nil
	}
	if missing.Len() > 0 && add("missing.txt", missing.Bytes()) != nil {
		return nil
	}
	_ = out.Close()
	return nil
}
