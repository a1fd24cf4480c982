package face

import (
	"encoding/json"
	"math"
	"time"

	"facestream/internal/record"
	"facestream/transforms/store"
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

// eventsOf returns the events of a frame, as compact JSON.
func eventsOf(o Output, d Detection, name store.Name) ([]string, error) {
	path := func(stored bool, path string) string {
		if !stored {
			return ""
		}
		return path
	}
	var timestamp *string
	if millis := d.Frame.TimestampMillis; record.Dated(millis) {
		text := time.UnixMilli(millis).UTC().Format(timestampLayout)
		timestamp = &text
	}
	var lines []string
	width, height := float64(d.Width), float64(d.Height)
	for i, f := range d.Faces {
		b := f.Box
		var score *float64
		if f.Score > 0 {
			score = &f.Score
		}
		data, err := json.Marshal(Event{
			ID: d.Frame.ID, Camera: d.Frame.Camera, Timestamp: timestamp, TimestampMillis: d.Frame.TimestampMillis,
			Face: i + 1, Faces: len(d.Faces), FrameWidth: d.Width, FrameHeight: d.Height,
			Box: b,
			BoxNormalized: record.NormalizedBox{
				X: rounded(float64(b.X)/width, 6), Y: rounded(float64(b.Y)/height, 6),
				Width: rounded(float64(b.Width)/width, 6), Height: rounded(float64(b.Height)/height, 6),
			},
			Blur: rounded(f.Blur, 2), Score: score, Landmarks: f.Landmarks,
			Picture: path(o.Frame, name.Path()), Annotated: path(o.Annotated, name.AnnotatedPath()), Crop: path(o.Crops, name.FacePath(i+1)),
			Detector: o.Detector, SettingsSHA256: o.SettingsSHA256, DetectMillis: rounded(d.Millis, 3),
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
