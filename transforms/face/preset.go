package face

import (
	"fmt"
	"slices"
	"strings"
)

// Parity is the preset whose boxes are those of OpenCV's detectMultiScale with
// its defaults.
const Parity = "parity"

// preset is a choice of Params, without the bytes of the cascade or the network.
type preset struct {
	name   string
	file   string // a cascade of OpenCV's data, or the network that make models downloads; empty if the user brings it
	kind   string // of network; empty for a cascade
	params Params
}

// presets were chosen by measuring: see docs/benchmarks.md.
var presets = []preset{
	{Parity, "haarcascades/haarcascade_frontalface_alt.xml", "", Params{ScaleFactor: 1.1, MinNeighbors: 3, Downscale: 1}},
	{"balanced", "haarcascades/haarcascade_frontalface_alt.xml", "", Params{ScaleFactor: 1.15, MinNeighbors: 3, MinFace: 48, Downscale: 1}},
	{"fast", "haarcascades/haarcascade_frontalface_alt2.xml", "", Params{ScaleFactor: 1.2, MinNeighbors: 2, MinFace: 48, Downscale: 1.6}},
	{"yunet", "", yunet, Params{DetectWidth: 640, MinScore: 0.85}},
	{"yunet-fast", "", yunet, Params{DetectWidth: 320, MinScore: 0.85}},
	{"centerface", "centerface.onnx", centerFace, Params{DetectWidth: 640, MinScore: 0.5}},
}

// Presets are the names that NewPreset knows, the default first.
var Presets = presetNames(func(preset) bool { return true })

// Cascades and Networks are those of one kind.
var (
	Cascades = presetNames(func(p preset) bool { return p.kind == "" })
	Networks = presetNames(func(p preset) bool { return p.kind != "" })
)

func presetNames(fits func(preset) bool) (names []string) {
	for _, p := range presets {
		if fits(p) {
			names = append(names, p.name)
		}
	}
	return names
}

// NewPreset returns the parameters of a preset, with the cascade or the network of a file,
// by default that of PresetFile. A file that is missing or that OpenCV cannot load is an
// error.
func NewPreset(name, file string) (Params, error) {
	known, err := findPreset(name)
	if err == nil && file == "" {
		file, err = PresetFile(name)
	}
	if err != nil {
		return Params{}, err
	}
	p := known.params
	if known.kind == "" {
		p.Cascade, err = ReadCascade(file)
	} else {
		p.Model, err = readModel(file, known.kind)
	}
	if err != nil {
		return Params{}, err
	}
	if err := p.Validate(); err != nil {
		return Params{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// PresetFile returns the path of a preset's cascade as it was installed with OpenCV, or of
// its network as make models has downloaded it.
func PresetFile(name string) (path string, err error) {
	known, err := findPreset(name)
	switch {
	case err != nil:
		return "", err
	case known.file == "":
		return "", fmt.Errorf("it needs a model, which this project does not have: give --model=FILE with %s", origins(known.kind))
	case known.kind == "":
		return installed(known.file)
	}
	return installedModel(known.file)
}

func findPreset(name string) (preset, error) {
	i := slices.IndexFunc(presets, func(p preset) bool { return p.name == name })
	if i < 0 {
		return preset{}, fmt.Errorf("%q is none of %s", name, strings.Join(Presets, ", "))
	}
	return presets[i], nil
}
