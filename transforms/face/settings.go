package face

import (
	"bytes"
	"cmp"
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
	CascadeSHA256 string  `json:"cascade_sha256"` // of the XML file, in hexadecimal digits
	Write         string  `json:"write"`          // Output.List
	CropMargin    float64 `json:"crop_margin"`
	MaxFPS        float64 `json:"max_fps,omitempty"`     // Less.Sampling.MaxFPS
	Cooldown      int64   `json:"cooldown_ms,omitempty"` // Less.CooldownMillis
}

// SettingsOf returns the settings of a pipeline with these parts.
func SettingsOf(cfg frame.Config, p Params, o Output) (Settings, error) {
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
		Write:         o.List(), CropMargin: o.CropMargin,
	}, nil
}

// Parts is the way back from SettingsOf, with the cascade of a file, which must
// be the very one of the settings.
func (s Settings) Parts(cascade string) (frame.Config, Params, Output, error) {
	cfg, p, o, err := s.parts(cascade)
	if err != nil {
		return frame.Config{}, Params{}, Output{}, err
	}
	got, err := SettingsOf(cfg, p, o)
	if err != nil {
		return frame.Config{}, Params{}, Output{}, err
	}
	if got.CascadeSHA256 != s.CascadeSHA256 {
		return frame.Config{}, Params{}, Output{}, fmt.Errorf("%s has the SHA-256 %s, and the cascade that was used %s", cascade, got.CascadeSHA256, s.CascadeSHA256)
	}
	return cfg, p, o, nil
}

func (s Settings) parts(cascade string) (cfg frame.Config, p Params, o Output, err error) {
	if p, err = NewParams(cascade); err != nil {
		return cfg, p, o, err
	}
	p.ScaleFactor, p.MinNeighbors, p.MinFace = s.ScaleFactor, s.MinNeighbors, s.MinFace
	cfg = frame.Config{Width: s.FrameWidth, Height: s.FrameHeight, KeepBytes: s.KeepBytes}
	if o, err = ParseOutput(cmp.Or(s.Write, outputs[0].name)); err != nil { // older ledgers say nothing
		return cfg, p, o, err
	}
	o.CropMargin = s.CropMargin
	_, o.SettingsSHA256, err = s.JSON()
	return cfg, p, o, err
}

// JSON returns the settings as compact JSON, and its SHA-256 in hexadecimal
// digits.
func (s Settings) JSON() (data json.RawMessage, sum string, err error) {
	data, err = json.Marshal(s)
	hash := sha256.Sum256(data)
	return data, hex.EncodeToString(hash[:]), err
}
