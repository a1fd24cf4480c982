package face

import (
	"fmt"
	"slices"
	"strings"
)

// Parity is the preset whose boxes are those of OpenCV's detectMultiScale with
// its defaults.
const Parity = "parity"

// preset is a choice of Params, without the cascade's bytes.
type preset struct {
	name, cascade string // a file of OpenCV's data
	params        Params
}

// presets were chosen by measuring: see docs/benchmarks.md.
var presets = []preset{
	{Parity, "haarcascades/haarcascade_frontalface_alt.xml", Params{ScaleFactor: 1.1, MinNeighbors: 3, Downscale: 1}},
	{"balanced", "haarcascades/haarcascade_frontalface_alt.xml", Params{ScaleFactor: 1.15, MinNeighbors: 3, MinFace: 48, Downscale: 1}},
	{"fast", "haarcascades/haarcascade_frontalface_alt2.xml", Params{ScaleFactor: 1.2, MinNeighbors: 2, MinFace: 48, Downscale: 1.6}},
}

// Presets are the names that NewPreset knows, the default first.
var Presets = presetNames()

func presetNames() (names []string) {
	for _, p := range presets {
		names = append(names, p.name)
	}
	return names
}

// presetCascades returns the cascades of all presets, each once.
func presetCascades() (names []string) {
	for _, p := range presets {
		if !slices.Contains(names, p.cascade) {
			names = append(names, p.cascade)
		}
	}
	return names
}

// NewPreset returns the parameters of a preset, with the cascade as it was
// installed with OpenCV.
func NewPreset(name string) (Params, error) {
	file, err := PresetCascade(name)
	if err != nil {
		return Params{}, err
	}
	return NewPresetWith(name, file)
}

// NewPresetWith returns the parameters of a preset with the cascade of a file. A
// file that is missing or that OpenCV cannot load is an error.
func NewPresetWith(name, cascade string) (Params, error) {
	known, err := findPreset(name)
	if err != nil {
		return Params{}, err
	}
	p := known.params
	if p.Cascade, err = ReadCascade(cascade); err != nil {
		return Params{}, err
	}
	if err := p.Validate(); err != nil {
		return Params{}, fmt.Errorf("%s: %w", cascade, err)
	}
	return p, nil
}

// PresetCascade returns the path of a preset's cascade as it was installed with
// OpenCV.
func PresetCascade(name string) (path string, err error) {
	known, err := findPreset(name)
	if err != nil {
		return "", err
	}
	return installed(known.cascade)
}

func findPreset(name string) (preset, error) {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name })
	if i < 0 {
		return preset{}, fmt.Errorf("%q is none of %s", name, strings.Join(Presets, ", "))
	}
	return presets[i], nil
}
