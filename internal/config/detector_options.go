package config

import (
	"flag"
	"fmt"
	"strings"

	"facestream/internal/cli"
	"facestream/transforms/face"
)

// detectorFlags say how faces are found: a preset, and what is to differ.
type detectorFlags struct {
	flags                  *flag.FlagSet // tells which were given
	preset, cascade        string
	scaleFactor, downscale float64
	minNeighbors, minFace  int
	equalize, profile      bool
}

// detector is what they come to.
type detector struct {
	params           face.Params
	cascade, profile string // the files in params; profile may be empty
}

func (v *detectorFlags) add(f *flag.FlagSet) {
	v.flags = f
	f.StringVar(&v.preset, "detector", face.Parity, fmt.Sprintf("`PRESET` of the detector, which the next flags change: %s. docs/detectors.md says how fast and how good each is.", strings.Join(face.Presets, ", ")))
	f.StringVar(&v.cascade, "cascade", "", "`FILE` of the cascade classifier. Default: the preset's, one of OpenCV's; of parity haarcascade_frontalface_alt.xml.")
	f.Float64Var(&v.scaleFactor, "scale_factor", 0, "`FACTOR` between the sizes at which faces are looked for, more than 1. Default: the preset's; of parity 1.1.")
	f.IntVar(&v.minNeighbors, "min_neighbors", 0, "`COUNT` of neighbouring hits that make a face. Default: the preset's; of parity 3.")
	f.IntVar(&v.minFace, "min_face", 0, "Side in `PIXELS` of the smallest face to look for; 0 is the cascade's own. Default: the preset's; of parity 0.")
	f.Float64Var(&v.downscale, "downscale", 0, fmt.Sprintf("`FACTOR` by which a picture is shrunk before faces are looked for, from 1 to %d. Default: the preset's; of parity 1.", face.MaxDownscale))
	f.BoolVar(&v.equalize, "equalize", false, "Even out the light of a picture before faces are looked for. Default: the preset's; of parity false.")
	f.BoolVar(&v.profile, "profile", false, "Also look for faces that are seen from one side, with OpenCV's haarcascade_profileface.xml. No preset has this.")
}

// check loads the cascades and lets OpenCV try them, before anything is
// submitted.
func (v *detectorFlags) check() (d detector, err error) {
	if err := cli.OneOf("detector", v.preset, face.Presets); err != nil {
		return d, err
	}
	if d.cascade = v.cascade; d.cascade == "" {
		if d.cascade, err = face.PresetCascade(v.preset); err != nil {
			return d, fmt.Errorf("--detector=%s: %w", v.preset, err)
		}
	}
	if d.params, err = face.NewPresetWith(v.preset, d.cascade); err != nil {
		return d, fmt.Errorf("--cascade: %w", err)
	}
	v.flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "scale_factor":
			d.params.ScaleFactor = v.scaleFactor
		case "min_neighbors":
			d.params.MinNeighbors = v.minNeighbors
		case "min_face":
			d.params.MinFace = v.minFace
		case "downscale":
			d.params.Downscale = v.downscale
		case "equalize":
			d.params.Equalize = v.equalize
		}
	})
	if v.profile {
		if d.profile, err = face.ProfileCascade(); err == nil {
			d.params.Profile, err = face.ReadCascade(d.profile)
		}
		if err != nil {
			return d, fmt.Errorf("--profile: %w", err)
		}
	}
	return d, d.params.Validate()
}
