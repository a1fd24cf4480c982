package config

import (
	"errors"
	"flag"
	"fmt"

	"facestream/transforms/face"
)

// defaultCropMargin leaves room for hair and chin, which a face's box cuts off.
const defaultCropMargin = 0.2

// outputFlags say what is stored of a frame with faces.
type outputFlags struct {
	write  string
	margin float64
	latest bool
}

func (v *outputFlags) add(f *flag.FlagSet) {
	f.StringVar(&v.write, "write", "frame,events", "What to store of a frame with faces, a `LIST` of: frame, the frame as it came; annotated, with a box around each face; crops, each face by itself; events, a JSON line for each face.")
	f.Float64Var(&v.margin, "crop_margin", defaultCropMargin, fmt.Sprintf("How much around a face its crop shows, a `PART` of its box's sides, from 0 to %d.", face.MaxCropMargin))
	f.BoolVar(&v.latest, "latest", false, "Also keep a copy of the latest picture as face.jpg in the folder of the pictures, replaced after each window.")
}

func (v *outputFlags) check() (face.Output, error) {
	o, err := face.ParseOutput(v.write)
	if err != nil {
		return o, fmt.Errorf("--write=%s: %w", v.write, err)
	}
	o.CropMargin = v.margin
	if err := o.Validate(); err != nil {
		return o, fmt.Errorf("--crop_margin: %w", err)
	}
	if !o.Crops {
		o.CropMargin = 0 // it changes nothing
	}
	if v.latest && !o.Pictures() {
		return o, errors.New("--latest needs a picture: add frame, annotated or crops to --write")
	}
	return o, nil
}
