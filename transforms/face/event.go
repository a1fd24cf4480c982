package face

import (
	"encoding/json"
	"math"
	"time"

	"facestream/internal/record"
	"facestream/transforms/store"
	"facestream/transforms/store/table"
)

// Event is what is known of one face. Its JSON is one line of a window's file of
// events; docs/outputs.md documents the fields. A reader that takes the types of columns
// from the first lines gets them right: every line has every field, and only Timestamp,
// Score and Landmarks may be null.
type Event struct {
	record.ID
	Camera          string               `json:"camera"`
	Timestamp       *string              `json:"timestamp"`    // of the record, in UTC, RFC 3339 with milliseconds; null for an undated one
	TimestampMillis int64                `json:"timestamp_ms"` // the record's, whatever it is
	Face            int                  `json:"face"`         // from 1, in the order of Detection.Faces
	Faces           int                  `json:"faces"`        // of the frame
	FrameWidth      int32                `json:"frame_width"`
	FrameHeight     int32                `json:"frame_height"`
	Box             record.Box           `json:"box"`            // pixels of the upright frame
	BoxNormalized   record.NormalizedBox `json:"box_normalized"` // parts of its width and height
	Blur            float64              `json:"blur"`           // Face.Blur
	Score           *float64             `json:"score"`          // Face.Score; null of a cascade
	Landmarks       *record.Landmarks    `json:"landmarks"`      // pixels of the upright frame; null of a cascade
	Picture         string               `json:"picture"`        // names below the root; empty for what is not stored
	Annotated       string               `json:"annotated"`
	Crop            string               `json:"crop"`
	Detector        string               `json:"detector"`
	SettingsSHA256  string               `json:"settings_sha256"` // of the settings in the window's ledger
	DetectMillis    float64              `json:"detect_ms"`       // how long detection took for the frame; differs each time
}

const timestampLayout = "2006-01-02T15:04:05.000Z07:00"

// ParseEvent reads a line of events, of any version.
func ParseEvent(line []byte) (e Event, err error) {
	err = json.Unmarshal(line, &e)
	if e.TimestampMillis == 0 && e.Timestamp != nil { // older lines have only this
		if at, err := time.Parse(time.RFC3339, *e.Timestamp); err == nil {
			e.TimestampMillis = at.UnixMilli()
		}
	}
	return e, err
}

// rowOf returns what is known of a frame, without pictures.
func rowOf(o Output, d Detection) *table.Row {
	row := &table.Row{
		ID: d.Frame.ID, Camera: d.Frame.Camera, TimestampMillis: d.Frame.TimestampMillis, FrameWidth: d.Width, FrameHeight: d.Height,
		Detector: o.Detector, SettingsSHA256: o.SettingsSHA256, DetectMillis: rounded(d.Millis, 3),
	}
	width, height := float64(d.Width), float64(d.Height)
	for i, f := range d.Faces {
		b := f.Box
		one := table.Face{
			Face: int32(i + 1), Box: b,
			BoxNormalized: record.NormalizedBox{
				X: rounded(float64(b.X)/width, 6), Y: rounded(float64(b.Y)/height, 6),
				Width: rounded(float64(b.Width)/width, 6), Height: rounded(float64(b.Height)/height, 6),
			},
			Blur: rounded(f.Blur, 2), Landmarks: f.Landmarks,
		}
		if f.Score > 0 {
			one.Score = &f.Score
		}
		row.Faces = append(row.Faces, one)
	}
	return row
}

// EventsOf returns the events of a row, as compact JSON. Its pictures may be left out.
func EventsOf(row *table.Row) ([]string, error) {
	name := store.NameOf(row)
	path := func(bytes int32, path string) string {
		if bytes == 0 {
			return ""
		}
		return path
	}
	var timestamp *string
	if record.Dated(row.TimestampMillis) {
		text := time.UnixMilli(row.TimestampMillis).UTC().Format(timestampLayout)
		timestamp = &text
	}
	var lines []string
	for _, f := range row.Faces {
		data, err := json.Marshal(Event{
			ID: row.ID, Camera: row.Camera, Timestamp: timestamp, TimestampMillis: row.TimestampMillis,
			Face: int(f.Face), Faces: len(row.Faces), FrameWidth: row.FrameWidth, FrameHeight: row.FrameHeight,
			Box: f.Box, BoxNormalized: f.BoxNormalized, Blur: f.Blur, Score: f.Score, Landmarks: f.Landmarks,
			Picture: path(row.PictureBytes, name.Path()), Annotated: path(row.AnnotatedBytes, name.AnnotatedPath()), Crop: path(f.CropBytes, name.FacePath(int(f.Face))),
			Detector: row.Detector, SettingsSHA256: row.SettingsSHA256, DetectMillis: row.DetectMillis,
		})
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(data))
	}
	return lines, nil
}

// rounded keeps so many decimals.
func rounded(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}
