package view

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"facestream/transforms/frame"
	"facestream/transforms/store"
)

const (
	rejectsOnPage = 50
	rejectsRead   = 500 // files for one page
	readsAtOnce   = 8
	maxReject     = 16 << 20 // more than the headers of a record can be
	rejectFolder  = "_rejects"
)

// advice says what to do about a reason.
var advice = map[string]string{
	frame.BadContentType:    "The content-type header cannot be understood. Send image/jpeg, image/png, or video/x-raw;format=BGR;width=640;height=480 with the real size.",
	frame.UnsupportedFormat: "Only JPEG, PNG and raw BGR, RGB and GRAY8 frames are read. Have the camera send JPEG.",
	frame.FormatMismatch:    "The content-type header names another format than the bytes have. Correct the header, or leave it out for JPEG and PNG.",
	frame.WrongSize:         "The value has another number of bytes than a raw frame of this size. Set --frame_size to the cameras' size, or send a content-type header with it.",
	frame.TooLarge:          "The picture has more pixels than the limits allow. Have the camera send smaller ones.",
	frame.CorruptJPEG:       "The JPEG is cut short or damaged on its way. Look for a limit of message sizes, a broken camera or a bad connection.",
	frame.CorruptPNG:        "The PNG is cut short or damaged on its way. Look for a limit of message sizes, a broken camera or a bad connection.",
}

// dump has bytes in lines of 16, as numbers and as text.
func dump(digits string) string {
	data, err := hex.DecodeString(digits)
	if err != nil {
		return digits
	}
	return strings.TrimSpace(hex.Dump(data))
}

type rejectsPage struct {
	layout
	Counts         counts
	Reason, Camera string
	Rejects        []store.RejectFile
	Read           int // files; there may be more
	More           bool
}

func (s *server) rejects(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	if err := s.index.refresh(ctx); err != nil {
		return err
	}
	p := rejectsPage{layout: layout{"Rejects", zone(r)}, Counts: s.counts(), Reason: q.Get("reason"), Camera: q.Get("camera")}
	names, err := s.index.newestRejects(ctx, rejectsRead)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(names, rejectsOnPage) {
		read, err := s.index.readRejects(ctx, some)
		if err != nil {
			return err
		}
		p.Read += len(some)
		for _, one := range read {
			if (p.Reason == "" || one.Reason == p.Reason) && (p.Camera == "" || one.Camera == p.Camera) && len(p.Rejects) < rejectsOnPage {
				p.Rejects = append(p.Rejects, one)
			}
		}
		if len(p.Rejects) == rejectsOnPage {
			break
		}
	}
	p.More = p.Read < len(names) || len(names) == rejectsRead
	s.render(w, http.StatusOK, "rejects", p)
	return nil
}

// newestRejects returns the names of so many files about rejects, of all cameras, by hour.
func (ix *index) newestRejects(ctx context.Context, most int) ([]string, error) {
	cameras, err := ix.list(ctx, rejectFolder)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, camera := range cameras {
		left := most
		var walk func(name string, depth int) error
		walk = func(name string, depth int) error {
			if kind, _ := store.KindOf(name); kind == store.KindReject {
				all = append(all, name)
				left--
				return nil
			}
			const deepest = 6 // _rejects/camera/yyyy/mm/dd/hh
			if depth > deepest || path.Ext(name) == ".bin" {
				return nil
			}
			below, err := ix.list(ctx, name)
			for _, b := range below {
				if err != nil || left == 0 {
					break
				}
				err = walk(b, depth+1)
			}
			return err
		}
		if err := walk(camera, 1); err != nil {
			return nil, err
		}
	}
	// Behind the camera's name follow the hour, and the record.
	when := func(name string) string {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) < 3 || strings.HasPrefix(parts[2], "undated/") {
			return ""
		}
		return path.Dir(parts[2])
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(when(b), when(a)) })
	return all[:min(len(all), most)], nil
}

// list returns what is in a folder, the last first.
func (ix *index) list(ctx context.Context, dir string) ([]string, error) {
	names, err := ix.cfg.Glob(ctx, dir+"/*")
	slices.Reverse(names)
	return names, err
}

// readRejects reads files about rejects. One that is none is passed over.
func (ix *index) readRejects(ctx context.Context, names []string) ([]store.RejectFile, error) {
	all := make([]store.RejectFile, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for i, name := range names {
		g.Go(func() error {
			data, err := ix.read(ctx, name, maxReject)
			if errors.Is(err, fs.ErrNotExist) || err == nil && json.Unmarshal(data, &all[i]) != nil {
				all[i], err = store.RejectFile{}, nil
			}
			return err
		})
	}
	err := g.Wait()
	return slices.DeleteFunc(all, func(r store.RejectFile) bool { return r.Reason == "" }), err
}
