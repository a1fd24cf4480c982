package video

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/transforms/face"
	"facestream/transforms/frame"
)

// extensions are those of the pictures that a folder may hold, and of those that are
// named since nobody can read them here.
var (
	extensions = []string{".jpg", ".jpeg", ".png"}
	unreadable = []string{".webp", ".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".jp2", ".jxl"}
)

// maxFile is the most bytes of a file that is read: more than any frame has.
const maxFile = 2 * frame.MaxRawBytes

// folder is a Source of the pictures of a folder.
type folder struct {
	paths []string
	next  int
}

// OpenFolder returns the .jpg, .jpeg and .png files of a folder in the order of their
// names, each at its own size; what cannot be read is Unusable. Hidden files, such as
// those that macOS leaves beside others, and files of other kinds are passed over; a folder
// without pictures is an error.
func OpenFolder(dir string) (Source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	var f folder
	for _, e := range entries { // ReadDir sorts
		if isPicture(e.Name()) && !e.IsDir() && e.Name()[0] != '.' {
			f.paths = append(f.paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(f.paths) == 0 {
		return nil, fmt.Errorf("%s holds no .jpg, .jpeg or .png file", show(dir))
	}
	return &f, nil
}

// isPicture reports whether a file name is that of a picture.
func isPicture(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return slices.Contains(extensions, extension) || slices.Contains(unreadable, extension)
}

// Next reads the next file.
func (f *folder) Next() (Picture, error) {
	if f.next == len(f.paths) {
		return Picture{}, io.EOF
	}
	path := f.paths[f.next]
	f.next++
	data, err := readFile(path)
	if err != nil {
		return Picture{}, Unusable{Err: fmt.Errorf("reading %s: %w", show(path), err)}
	}
	p, err := decode(data)
	if err != nil {
		return Picture{}, Unusable{Err: fmt.Errorf("reading %s: %w", show(path), err)}
	}
	p.Name = show(path)
	return p, nil
}

// Close does nothing: no file stays open.
func (f *folder) Close() error { return nil }

// readFile reads a file that can be a picture.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil {
		switch {
		case !info.Mode().IsRegular(): // a pipe would wait for its writer
			return nil, errors.New("it is not a file")
		case info.Size() == 0:
			return nil, errors.New("it is empty")
		case info.Size() > maxFile:
			return nil, fmt.Errorf("it has %d bytes, and %d are the most", info.Size(), maxFile)
		}
		var data []byte
		if data, err = os.ReadFile(path); err == nil {
			return data, nil
		}
	}
	if bad, ok := errors.AsType[*os.PathError](err); ok { // the caller names the file
		err = bad.Err
	}
	return nil, err
}

// decode returns the picture of a file. A JPEG that the job reads is not decoded, but for
// a look whether it is whole.
func decode(data []byte) (Picture, error) {
	f, err := frame.Open(data)
	switch {
	case err != nil && isCMYK(data): // which the job does not read: it is encoded anew
		f, err = frame.Frame{Format: frame.JPEG, Data: data}, nil
	case err == nil && f.Format == frame.JPEG:
		if reject := face.Check(frame.Config{}, f); reject != nil {
			return Picture{}, errors.New(reject.Detail)
		}
		return Picture{Width: int(f.Width), Height: int(f.Height), JPEG: data}, nil
	}
	var p Picture
	if err == nil {
		p.BGR, p.Width, p.Height, err = face.Pixels(f)
	}
	return p, err
}

// isCMYK reports whether the data are a JPEG of four colours that is whole.
func isCMYK(data []byte) bool {
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || config.ColorModel != color.CMYKModel || frame.CheckSize(config.Width, config.Height) != nil {
		return false
	}
	_, err = jpeg.Decode(bytes.NewReader(data))
	return err == nil
}
