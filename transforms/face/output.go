package face

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Output says what is stored of a frame with faces.
type Output struct {
	Frame     bool // the frame
	Annotated bool // the frame with the faces drawn in
	Crops     bool // each face
	Events    bool // an Event for each face
	// CropMargin is what a crop shows around a face, as a part of its box's
	// sides: from 0 to MaxCropMargin.
	CropMargin float64
	Rows       bool // the pictures are a row of a table, and not files

	// What events say of all this.
	Detector       string
	SettingsSHA256 string
}

// MaxCropMargin is that of Output.CropMargin: a crop of five times the box's sides.
const MaxCropMargin = 2

// output is one of the things that an Output may ask for.
type output struct {
	name string
	part func(*Output) *bool
}

var outputs = []output{
	{"frame", func(o *Output) *bool { return &o.Frame }},
	{"annotated", func(o *Output) *bool { return &o.Annotated }},
	{"crops", func(o *Output) *bool { return &o.Crops }},
	{"events", func(o *Output) *bool { return &o.Events }},
}

// ParseOutput reads a list such as "frame,events".
func ParseOutput(list string) (Output, error) {
	var o Output
	for _, name := range strings.Split(list, ",") {
		i := slices.IndexFunc(outputs, func(known output) bool { return known.name == strings.TrimSpace(name) })
		if i < 0 {
			return Output{}, fmt.Errorf("%q is none of frame, annotated, crops, events", strings.TrimSpace(name))
		}
		*outputs[i].part(&o) = true
	}
	return o, nil
}

// List is the way back from ParseOutput.
func (o Output) List() string {
	var names []string
	for _, known := range outputs {
		if *known.part(&o) {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, ",")
}

// Pictures reports whether there are files beside the events.
func (o Output) Pictures() bool { return o.Frame || o.Annotated || o.Crops }

// Validate returns an error that says what is wrong with the output, if anything.
func (o Output) Validate() error {
	if !o.Pictures() && !o.Events {
		return errors.New("nothing is to be stored")
	}
	if !(o.CropMargin >= 0 && o.CropMargin <= MaxCropMargin) { // NaN is neither
		return fmt.Errorf("crop margin %v: it must be from 0 to %v, a part of the face's box", o.CropMargin, MaxCropMargin)
	}
	return nil
}
