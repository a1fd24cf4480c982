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
