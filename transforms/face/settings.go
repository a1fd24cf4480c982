package face

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"facestream/transforms/frame"
	"facestream/transforms/store"
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
	CascadeSHA256 string  `json:"cascade_sha256"` // of the XML file, in hexadecimal digits; empty of a network
	Write         string  `json:"write"`          // Output.List
	CropMargin    float64 `json:"crop_margin"`

	// Left out where they are zero: ledgers older than these keep their SHA-256.
	MaxFPS        float64 `json:"max_fps,omitempty"`     // Sampling.Frames.MaxFPS
	Cooldown      int64   `json:"cooldown_ms,omitempty"` // Sampling.CooldownMillis
	Detector      string  `json:"detector,omitempty"`    // Output.Detector
	Downscale     float64 `json:"downscale,omitempty"`
	Equalize      bool    `json:"equalize,omitempty"`
	ProfileSHA256 string  `json:"profile_sha256,omitempty"` // as CascadeSHA256
	ModelSHA256   string  `json:"model_sha256,omitempty"`   // of the ONNX file
	DetectWidth   int     `json:"detect_width,omitempty"`
	MinScore      float64 `json:"min_score,omitempty"`
	Store         string  `json:"store,omitempty"` // one of store.Stores, but for files
}

// SettingsOf returns the settings of a pipeline with these parts.
func SettingsOf(cfg frame.Config, p Params, o Output) (Settings, error) {
	s := Settings{
		FrameWidth: cfg.Width, FrameHeight: cfg.Height, KeepBytes: cfg.KeepBytes,
		ScaleFactor: p.ScaleFactor, MinNeighbors: p.MinNeighbors, MinFace: p.MinFace,
		Write: o.List(), CropMargin: o.CropMargin,
		Detector: o.Detector, Downscale: p.Downscale, Equalize: p.Equalize,
		DetectWidth: p.DetectWidth, MinScore: p.MinScore,
	}
	if o.Rows {
		s.Store = store.Parquet
	}
	if len(p.Model) > 0 {
		s.ModelSHA256 = sha256Of(p.Model)
		return s, nil
	}
	var err error
	if s.CascadeSHA256, err = cascadeSHA256(p.Cascade); err == nil && len(p.Profile) > 0 {
		s.ProfileSHA256, err = cascadeSHA256(p.Profile)
	}
	return s, err
}

// sha256Of returns a SHA-256 in hexadecimal digits.
func sha256Of(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// cascadeSHA256 is that of a cascade's XML file.
func cascadeSHA256(cascade []byte) (string, error) {
	xml, err := uncompress(cascade)
	return sha256Of(xml), err
}

// Parts is the way back from SettingsOf, with cascades or a network that are among the
// files, by their SHA-256.
func (s Settings) Parts(files []string) (cfg frame.Config, p Params, o Output, err error) {
	p = Params{ScaleFactor: s.ScaleFactor, MinNeighbors: s.MinNeighbors, MinFace: s.MinFace, Equalize: s.Equalize, DetectWidth: s.DetectWidth, MinScore: s.MinScore}
	if s.ModelSHA256 != "" {
		p.Model, err = chooseFile(files, s.ModelSHA256)
	} else {
		p.Downscale = cmp.Or(s.Downscale, 1) // older ledgers have none
		p.Cascade, err = chooseCascade(files, s.CascadeSHA256)
	}
	if err == nil && s.ProfileSHA256 != "" {
		p.Profile, err = chooseCascade(files, s.ProfileSHA256)
	}
	if err != nil {
		return cfg, p, o, err
	}
	cfg = frame.Config{Width: s.FrameWidth, Height: s.FrameHeight, KeepBytes: s.KeepBytes}
	if o, err = ParseOutput(cmp.Or(s.Write, outputs[0].name)); err != nil { // older ledgers say nothing
		return cfg, p, o, err
	}
	o.CropMargin, o.Detector = s.CropMargin, s.Detector
	_, o.SettingsSHA256, err = s.JSON()
	return cfg, p, o, err
}

// chooseCascade returns the one of the files that has the SHA-256, as Params take it.
func chooseCascade(files []string, sum string) ([]byte, error) {
	xml, err := chooseFile(files, sum)
	return compress(xml), err
}

func chooseFile(files []string, sum string) ([]byte, error) {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a cascade or model: %w", err)
		}
		if sha256Of(data) == sum {
			return data, nil
		}
	}
	return nil, fmt.Errorf("a cascade or model that was used has the SHA-256 %s, and none of %s has", sum, strings.Join(files, ", "))
}

// JSON returns the settings as compact JSON, and its SHA-256 in hexadecimal
// digits.
func (s Settings) JSON() (data json.RawMessage, sum string, err error) {
	data, err = json.Marshal(s)
	return data, sha256Of(data), err
}
