package video

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // to decode one
	_ "image/png"  // to decode one
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"facestream/transforms/frame"
)

// extensions are those of the pictures that a folder may hold.
var extensions = []string{".jpg", ".jpeg", ".png"}

// folder is a Source of the pictures of a folder.
type folder struct {
	paths []string
	next  int
}

// OpenFolder returns the .jpg, .jpeg and .png files of a folder in the order
// of their names, each at its own size. Other files are passed over; a folder
// without pictures is an error. Orientation marks are not obeyed.
func OpenFolder(dir string) (Source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	var f folder
	for _, e := range entries { // ReadDir sorts
		if isPicture(e.Name()) && !e.IsDir() {
			f.paths = append(f.paths, filepath.Join(dir, e.Name()))
		}
	}
	if len(f.paths) == 0 {
		return nil, fmt.Errorf("%s holds no .jpg, .jpeg or .png file", dir)
	}
	return &f, nil
}

// isPicture reports whether a file name is that of a picture.
func isPicture(name string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(name)))
}

// Next reads and decodes the next file.
func (f *folder) Next() (Picture, error) {
	if f.next == len(f.paths) {
		return Picture{}, io.EOF
	}
	path := f.paths[f.next]
	f.next++
	data, err := os.ReadFile(path)
	if err != nil {
		return Picture{}, fmt.Errorf("reading a picture: %w", err)
	}
	p, err := decode(path, data)
	if err != nil {
		return Picture{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return p, nil
}

// Close does nothing: no file stays open.
func (f *folder) Close() error { return nil }

// decode decodes the whole file, also where only its bytes will be sent: the
// standard library notices a file that was cut short, which OpenCV does not.
func decode(path string, data []byte) (Picture, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return Picture{}, err
	}
	if err := frame.CheckSize(config.Width, config.Height); err != nil {
		return Picture{}, err
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return Picture{}, err
	}
	p := Picture{Name: path, Width: config.Width, Height: config.Height, BGR: toBGR(img)}
	// The job takes no JPEG with four colours: such a file is encoded anew.
	if format == frame.JPEG && config.ColorModel != color.CMYKModel {
		p.JPEG = data
	}
	return p, nil
}

// toBGR returns a picture's pixels; what is transparent becomes black.
func toBGR(img image.Image) []byte {
	b := img.Bounds()
	rgba := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(rgba, rgba.Bounds(), img, b.Min, draw.Src)
	bgr := make([]byte, 0, b.Dx()*b.Dy()*bytesPerPixel)
	for i := 0; i < len(rgba.Pix); i += 4 {
		bgr = append(bgr, rgba.Pix[i+2], rgba.Pix[i+1], rgba.Pix[i])
	}
	return bgr
}
