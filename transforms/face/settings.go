package face

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"facestream/transforms/frame"
)

// Settings are what the files of a record depend on beside the record. A ledger
// holds them, so that the files can be made once more.
type Settings struct {
	FrameWidth    int     `json:"frame_width"`
	FrameHeight   int     `json:"frame_height"`
	KeepBytes     int     `json:"keep_bytes"`
	ScaleFactor   float64 `json:"scale_factor"`
	MinNeighbors  int     `json:"min_neighbors"`
	MinFace       int     `json:"min_face"`
	MaxFPS        float64 `json:"max_fps,omitempty"`     // Less.Sampling.MaxFPS
	Cooldown      int64   `json:"cooldown_ms,omitempty"` // Less.CooldownMillis
	CascadeSHA256 string  `json:"cascade_sha256"`        // of the XML file, in hexadecimal digits
}

// SettingsOf returns the settings of a pipeline with these parts.
func SettingsOf(cfg frame.Config, p Params) (Settings, error) {
	zip, err := gzip.NewReader(bytes.NewReader(p.Cascade))
	if err != nil {
		return Settings{}, fmt.Errorf("unpacking the cascade: %w", err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, zip); err != nil {
		return Settings{}, fmt.Errorf("unpacking the cascade: %w", err)
	}
	return Settings{
		FrameWidth: cfg.Width, FrameHeight: cfg.Height, KeepBytes: cfg.KeepBytes,
		ScaleFactor: p.ScaleFactor, MinNeighbors: p.MinNeighbors, MinFace: p.MinFace,
		CascadeSHA256: hex.EncodeToString(hash.Sum(nil)),
	}, nil
}

// Parts is the way back from SettingsOf, with the cascade of a file, which must
// be the very one of the settings.
func (s Settings) Parts(cascade string) (frame.Config, Params, error) {
	p, err := NewParams(cascade)
	if err != nil {
		return frame.Config{}, Params{}, err
	}
	p.ScaleFactor, p.MinNeighbors, p.MinFace = s.ScaleFactor, s.MinNeighbors, s.MinFace
	cfg := frame.Config{Width: s.FrameWidth, Height: s.FrameHeight, KeepBytes: s.KeepBytes}
	got, err := SettingsOf(cfg, p)
	if err != nil {
		return frame.Config{}, Params{}, err
	}
	if got.CascadeSHA256 != s.CascadeSHA256 {
		return frame.Config{}, Params{}, fmt.Errorf("%s has the SHA-256 %s, and the cascade that was used %s", cascade, got.CascadeSHA256, s.CascadeSHA256)
	}
	return cfg, p, nil
}

// JSON returns the settings as compact JSON, and its SHA-256 in hexadecimal
// digits.
func (s Settings) JSON() (data json.RawMessage, sum string, err error) {
	data, err = json.Marshal(s)
	hash := sha256.Sum256(data)
	return data, hex.EncodeToString(hash[:]), err
}
