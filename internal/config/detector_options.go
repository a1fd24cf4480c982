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

func (v *detectorFlags) add(f *flag.FlagSet) {
	v.flags = f
	f.StringVar(&v.preset, "detector", face.Parity, fmt.Sprintf("`PRESET` of the detector, which the next flags change: %s. docs/detectors.md says how fast and how good each is.", strings.Join(face.Presets, ", ")))
	f.StringVar(&v.cascade, "cascade", "", "`FILE` of the cascade classifier. Default: the preset's, one of OpenCV's; of parity haarcascade_frontalface_alt.xml.")
	f.Float64Var(&v.scaleFactor, "scale_factor", 0, "`FACTOR` between two sizes at which the detector looks for faces, more than 1. Default: the preset's; of parity 1.1.")
	f.IntVar(&v.minNeighbors, "min_neighbors", 0, "`COUNT` of neighbouring hits that make a face. Default: the preset's; of parity 3.")
	f.IntVar(&v.minFace, "min_face", 0, "Side in `PIXELS` of the smallest face to look for; 0 is the cascade's own. Default: the preset's; of parity 0.")
	f.Float64Var(&v.downscale, "downscale", 0, fmt.Sprintf("`FACTOR` by which a picture is shrunk before detection, from 1 to %d. Default: the preset's; of parity 1.", face.MaxDownscale))
	f.BoolVar(&v.equalize, "equalize", false, "Equalize the histogram of a picture before detection. Default: the preset's; of parity false.")
	f.BoolVar(&v.profile, "profile", false, "Also find faces that are seen from one side, with OpenCV's haarcascade_profileface.xml. No preset has this.")
}

// check loads the cascades into the options, and lets OpenCV try them before anything is
// submitted.
func (v *detectorFlags) check(o *Options) (err error) {
	if err := cli.OneOf("detector", v.preset, face.Presets); err != nil {
		return err
	}
	o.Write.Detector = v.preset
	if o.Cascade = v.cascade; o.Cascade == "" {
		if o.Cascade, err = face.PresetCascade(v.preset); err != nil {
			return fmt.Errorf("--detector=%s: %w", v.preset, err)
		}
	}
	if o.Face, err = face.NewPresetWith(v.preset, o.Cascade); err != nil {
		return fmt.Errorf("--cascade: %w", err)
	}
	v.flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "scale_factor":
			o.Face.ScaleFactor = v.scaleFactor
		case "min_neighbors":
			o.Face.MinNeighbors = v.minNeighbors
		case "min_face":
			o.Face.MinFace = v.minFace
		case "downscale":
			o.Face.Downscale = v.downscale
		case "equalize":
			o.Face.Equalize = v.equalize
		}
	})
	if v.profile {
		if o.Profile, err = face.ProfileCascade(); err == nil {
			o.Face.Profile, err = face.ReadCascade(o.Profile)
		}
		if err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	return o.Face.Validate()
}
