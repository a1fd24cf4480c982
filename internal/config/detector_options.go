package config

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"

	"facestream/internal/cli"
	"facestream/transforms/face"
)

// detectorFlags say how faces are found: a preset, and what is to differ.
type detectorFlags struct {
	flags                  *flag.FlagSet // tells which were given
	preset, cascade, model string
	profile                bool
}

// The flags that only one kind of detector has.
var (
	cascadeFlags = []string{"cascade", "profile", "scale_factor", "min_neighbors", "min_face", "downscale", "equalize"}
	networkFlags = []string{"model", "detect_width", "min_score"}
)

func (v *detectorFlags) add(f *flag.FlagSet) {
	v.flags = f
	f.StringVar(&v.preset, "detector", face.Parity, fmt.Sprintf("`PRESET` of the detector, which the next flags change: a cascade (%s) or a network (%s). docs/detectors.md says how fast and how good each is.", strings.Join(face.Cascades, ", "), strings.Join(face.Networks, ", ")))
	f.StringVar(&v.cascade, "cascade", "", "`FILE` of the cascade classifier. Default: the preset's, one of OpenCV's; of parity haarcascade_frontalface_alt.xml.")
	f.BoolVar(&v.profile, "profile", false, "Also find faces that are seen from one side, with OpenCV's haarcascade_profileface.xml. No preset has this.")
	f.StringVar(&v.model, "model", "", "`FILE` of the network, ONNX. yunet and yunet-fast need one, docs/detectors.md says which. Default: of centerface, what make models downloads.")
	addParams(f, &face.Params{})
}

// addParams adds the flags that change a preset, which p has.
func addParams(f *flag.FlagSet, p *face.Params) {
	f.Float64Var(&p.ScaleFactor, "scale_factor", p.ScaleFactor, "`FACTOR` between two sizes at which a cascade looks for faces, more than 1. Default: the preset's; of parity 1.1.")
	f.IntVar(&p.MinNeighbors, "min_neighbors", p.MinNeighbors, "`COUNT` of neighbouring hits of a cascade that make a face. Default: the preset's; of parity 3.")
	f.IntVar(&p.MinFace, "min_face", p.MinFace, "Side in `PIXELS` of the smallest face that a cascade looks for; 0 is the cascade's own. Default: the preset's; of parity 0.")
	f.Float64Var(&p.Downscale, "downscale", p.Downscale, fmt.Sprintf("`FACTOR` by which a picture is shrunk for a cascade, from 1 to %d. Default: the preset's; of parity 1.", face.MaxDownscale))
	f.BoolVar(&p.Equalize, "equalize", p.Equalize, "Equalize the histogram of a picture for a cascade. Default: the preset's; of parity false.")
	f.IntVar(&p.DetectWidth, "detect_width", p.DetectWidth, fmt.Sprintf("`PIXELS` of the longer side to which a picture is shrunk for a network, from %d to %d. Default: the preset's; of yunet 640.", face.MinDetectWidth, face.MaxDetectWidth))
	f.Float64Var(&p.MinScore, "min_score", p.MinScore, fmt.Sprintf("The lowest `SCORE` of a network that makes a face, from %v to 1. Default: the preset's; of yunet 0.85.", face.MinMinScore))
}

// check loads the cascades or the network into the options, and lets OpenCV try them before
// anything is submitted.
func (v *detectorFlags) check(o *Options) (err error) {
	if err := cli.OneOf("detector", v.preset, face.Presets); err != nil {
		return err
	}
	network, others := slices.Contains(face.Networks, v.preset), networkFlags
	if network {
		others = cascadeFlags
	}
	v.flags.Visit(func(f *flag.Flag) {
		if slices.Contains(others, f.Name) && err == nil {
			err = fmt.Errorf("--%s is not for --detector=%s: one is for cascades (%s), the other for networks (%s)",
				f.Name, v.preset, strings.Join(face.Cascades, ", "), strings.Join(face.Networks, ", "))
		}
	})
	if err != nil {
		return err
	}
	o.Write.Detector = v.preset
	if o.Model = cmp.Or(v.cascade, v.model); o.Model == "" {
		if o.Model, err = face.PresetFile(v.preset); err != nil {
			return fmt.Errorf("--detector=%s: %w", v.preset, err)
		}
	}
	if o.Face, err = face.NewPreset(v.preset, o.Model); err != nil {
		return fmt.Errorf("--%s: %w", map[bool]string{false: "cascade", true: "model"}[network], err)
	}
	changes := flag.NewFlagSet("", flag.ContinueOnError)
	addParams(changes, &o.Face)
	v.flags.Visit(func(f *flag.Flag) {
		if changes.Lookup(f.Name) != nil {
			_ = changes.Set(f.Name, f.Value.String()) // which was parsed before
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
