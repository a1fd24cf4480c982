package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

func init() {
	beam.RegisterFunction(entryOfReject)
}

// WriteRejects stores a file for each reject of a PCollection<frame.Reject>
// that was not merely skipped or passed over by sampling, under Name.RejectPath, and returns a
// PCollection<Written> with one element for each, once its file has its final
// name. Beside it, if the reject has kept bytes, is Name.KeptPath with these. Like
// pictures, the files of a record are the same at every attempt. An error names
// the record and the file, and fails the bundle.
func WriteRejects(s beam.Scope, cfg Config, rejects beam.PCollection) beam.PCollection {
	s = s.Scope("store.WriteRejects")
	return Write(s, cfg, beam.ParDo(s, entryOfReject, rejects))
}

func entryOfReject(r frame.Reject) (e Entry, err error) {
	e.Tally = Tally{ID: r.ID, TimestampMillis: r.TimestampMillis, Size: r.Size, Camera: r.Camera, Rejected: r.Reason}
	if r.Slot != nil {
		e.Slots = []Slot{{Camera: r.Camera, Kind: SlotSampled, Number: *r.Slot, Kept: []Kept{{Offset: r.Offset}}}}
	}
	if e.Files, err = RejectFiles(r); err != nil {
		err = fmt.Errorf("%s: %w", r.ID, err)
	}
	return e, err
}

// RejectFile is the JSON of the file about a reject.
type RejectFile struct {
	record.ID
	TimestampMillis int64          `json:"timestamp_ms"`
	Camera          string         `json:"camera"`
	Reason          string         `json:"reason"`
	Detail          string         `json:"detail"`
	Size            int64          `json:"size"`
	SHA256          string         `json:"sha256"`
	FirstBytes      string         `json:"first_bytes"` // in hexadecimal digits
	KeptBytes       int            `json:"kept_bytes"`  // in the file beside this one; 0 if there is none
	Headers         []RejectHeader `json:"headers"`
}

// RejectHeader has the value as text if it is text.
type RejectHeader struct {
	Key      string  `json:"key"`
	Size     int64   `json:"size"` // -1 if the value is null; the value here may be cut
	Value    *string `json:"value,omitempty"`
	ValueHex string  `json:"value_hex,omitempty"`
}

// RejectFiles returns the files that WriteRejects stores for r: none if the
// record was skipped, or passed over by sampling.
func RejectFiles(r frame.Reject) ([]File, error) {
	if r.Skipped() || r.Reason == frame.Sampled {
		return nil, nil
	}
	about := RejectFile{
		ID: r.ID, TimestampMillis: r.TimestampMillis, Camera: r.Camera,
		Reason: r.Reason, Detail: r.Detail, Size: r.Size, SHA256: r.SHA256,
		FirstBytes: hex.EncodeToString(r.Head), KeptBytes: len(r.Kept), Headers: []RejectHeader{},
	}
	for _, h := range r.Headers {
		header := RejectHeader{Key: h.Key, Size: h.Size}
		if text := string(h.Value); h.Size >= 0 && utf8.ValidString(text) {
			header.Value = &text
		} else {
			header.ValueHex = hex.EncodeToString(h.Value)
		}
		about.Headers = append(about.Headers, header)
	}
	data, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return nil, err
	}
	name := Name{ID: r.ID, Camera: r.Camera, TimestampMillis: r.TimestampMillis}
	var files []File
	if len(r.Kept) > 0 { // first, so that the file which names it finds it there
		files = append(files, File{Name: name.KeptPath(), Data: r.Kept})
	}
	return append(files, File{Name: name.RejectPath(), Data: append(data, '\n')}), nil
}
