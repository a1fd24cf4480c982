package face

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/internal/paths"
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

// dataDirs are where installers put OpenCV's data.
var dataDirs = []string{
	"/usr/share/opencv4",
	"/usr/local/share/opencv4",
	"/usr/share/opencv",
	"/opt/homebrew/share/opencv4",
}

// profileCascade is OpenCV's own for faces seen from one side.
const profileCascade = "haarcascades/haarcascade_profileface.xml"

// ReadCascade returns a cascade's XML file as Params take it: compressed.
func ReadCascade(file string) ([]byte, error) {
	xml, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the cascade: %w", err)
	}
	return compress(xml), nil
}

func compress(xml []byte) []byte {
	var b bytes.Buffer // which takes everything
	zip, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = zip.Write(xml)
	_ = zip.Close()
	return b.Bytes()
}

// uncompress returns the XML file of a cascade.
func uncompress(cascade []byte) (xml []byte, err error) {
	zip, err := gzip.NewReader(bytes.NewReader(cascade))
	if err == nil {
		xml, err = io.ReadAll(zip)
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking the cascade: %w", err)
	}
	return xml, nil
}

// ProfileCascade returns the path of haarcascade_profileface.xml as it was
// installed with OpenCV.
func ProfileCascade() (path string, err error) { return installed(profileCascade) }

// InstalledFiles returns the paths of the cascades of all presets and of
// ProfileCascade, and of the networks that make models has downloaded.
func InstalledFiles() (files []string, err error) {
	for _, p := range append(presets, preset{file: profileCascade}) {
		var file string
		switch {
		case p.kind == "":
			if file, err = installed(p.file); err != nil {
				return nil, err
			}
		case p.file != "":
			file, _ = installedModel(p.file) // which is optional
		}
		if file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files, nil
}

// installed returns the path of a file of OpenCV's data: facestream's own copy if this
// program is installed, else OpenCV's.
func installed(name string) (path string, err error) {
	dirs := dataDirs
	if lib, ok := paths.Installed(); ok {
		dirs = append([]string{filepath.Join(lib, "cascades")}, dirs...)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("no %s in %s: install OpenCV's data (Debian: opencv-data), or name a cascade file", name, strings.Join(dirs, ", "))
}
