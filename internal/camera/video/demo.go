package video

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"facestream/internal/record"
	"facestream/transforms/frame"
)

// The usual size of the demo's pictures, as in the lab, and the smallest, in
// which OpenCV surely finds the smallest face.
const (
	DemoWidth     = 640
	DemoHeight    = 480
	MinDemoWidth  = 320
	MinDemoHeight = 240
)

// How many faces a frame of the demo has.
const (
	MixedFaces = -1 // none, one or two, by the frame
	MaxFaces   = 3
)

// MaxNoise is as much as leaves something to see.
const MaxNoise = 100

// faceJPEG is a photograph; README.md says where it comes from.
//
//go:embed face.jpg
var faceJPEG []byte

// Where the head and the face are in the photograph. The face is the box that
// OpenCV's frontal face cascade finds there.
var (
	photoHead = image.Rect(205, 62, 493, 422)
	photoFace = image.Rect(233, 152, 465, 384)
)

// The demo's world. Everything is whole numbers, so that the same frame has
// the same bytes on every machine.
const (
	margin       = 128    // the background is this much larger than a picture, and the camera sways over it
	maxWallNoise = 3      // sensor noise: 0 to 3 added to each byte
	noiseOffsets = 65_521 // a prime: so many frames pass before one has the same noise as an earlier one
	noiseStep    = 25_013
	noneEvery    = 3  // frames 2, 5, 8, ... have no face
	pairEvery    = 12 // frames 4, 16, 28, ... have two
	pairPhase    = 4
)

// faceSizes are the sides of the faces' boxes in pixels, in a picture of the
// usual size. In others they grow and shrink with it.
var faceSizes = []int{100, 112, 124, 136, 148, 160, 172, 186, 200, 216, 232}

// largestFace is the largest of them, by the number of heads that stand side by
// side.
var largestFace = [MaxFaces + 1]int{1: 232, 2: 200, 3: 160}

// steps are how far heads side by side move from one frame to the next, in pixels, and
// aloneSteps how far one alone does.
var (
	aloneSteps = []image.Point{{X: 7, Y: 5}}
	steps      = []image.Point{{X: 3, Y: 5}, {X: 7, Y: 3}, {X: 5, Y: 7}}
)

// patch is the photograph's head at one size, cut out as an ellipse.
type patch struct {
	width, height int
	face          image.Rectangle // within the patch
	bgr           []byte          // width*height*bytesPerPixel
	alpha         []byte          // width*height: 255 is the head, 0 the background
}

// DemoConfig says what a demo shows.
type DemoConfig struct {
	Frames        int // Optional. The first so many; 0 stands for a video without an end.
	Width, Height int // Required. At least MinDemoWidth and MinDemoHeight.
	Faces         int // Required. In each frame: 0 to MaxFaces, or MixedFaces.
	Noise         int // Optional. The most by which any byte of a picture is changed, 0 to MaxNoise.
}

// Demo is a video made up by the program: a head, or more, or none in front of
// a wall. Of MixedFaces every third frame, beginning with frame 2, has no face.
// The same frame index always gives the same picture.
type Demo struct {
	cfg     DemoConfig
	next    int
	wall    []byte  // (Width+margin)*(Height+margin)*bytesPerPixel
	noise   []int8  // of the wall
	grain   []int8  // of the whole picture, or nil
	patches []patch // of faceSizes
}

// NewDemo returns the first so many frames of the demo of the usual size with
// MixedFaces; 0 stands for a video without an end.
func NewDemo(frames int) (*Demo, error) {
	return NewDemoOf(DemoConfig{Frames: frames, Width: DemoWidth, Height: DemoHeight, Faces: MixedFaces})
}

// NewDemoOf returns a demo.
func NewDemoOf(cfg DemoConfig) (*Demo, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("making a demo: %w", err)
	}
	photo, err := jpeg.Decode(bytes.NewReader(faceJPEG))
	if err != nil {
		return nil, fmt.Errorf("decoding the demo's photograph: %w", err)
	}
	d := &Demo{cfg: cfg, wall: newWall(cfg.Width+margin, cfg.Height+margin)}
	size := cfg.Width * cfg.Height * bytesPerPixel
	d.noise = newNoise(3, size+noiseOffsets, 0, maxWallNoise)
	if cfg.Noise > 0 {
		d.grain = newNoise(5, size+noiseOffsets, -cfg.Noise, cfg.Noise)
	}
	head := headOf(photo)
	for _, face := range faceSizes {
		// As large as the smaller side allows.
		face = face * min(cfg.Width*DemoHeight, cfg.Height*DemoWidth) / (DemoWidth * DemoHeight)
		d.patches = append(d.patches, newPatch(head, face))
	}
	return d, nil
}

// Check reports whether there is such a demo.
func (c DemoConfig) Check() error {
	switch {
	case c.Frames < 0:
		return fmt.Errorf("%d frames: the number must be 0 or more", c.Frames)
	case c.Width < MinDemoWidth || c.Height < MinDemoHeight:
		return fmt.Errorf("%dx%d pixels: it must have %dx%d or more", c.Width, c.Height, MinDemoWidth, MinDemoHeight)
	case c.Faces != MixedFaces && (c.Faces < 0 || c.Faces > MaxFaces):
		return fmt.Errorf("%d faces: the number must be 0 to %d", c.Faces, MaxFaces)
	case c.Noise < 0 || c.Noise > MaxNoise:
		return fmt.Errorf("noise %d: it must be 0 to %d", c.Noise, MaxNoise)
	}
	return frame.CheckSize(c.Width, c.Height)
}

// Next returns the next frame.
func (d *Demo) Next() (Picture, error) {
	if d.cfg.Frames > 0 && d.next == d.cfg.Frames {
		return Picture{}, io.EOF
	}
	d.next++
	return d.Frame(d.next - 1), nil
}

// Close does nothing: a Demo holds only memory.
func (d *Demo) Close() error { return nil }

// Frame returns one frame by its index from 0.
func (d *Demo) Frame(i int) Picture {
	p := Picture{
		Name:   fmt.Sprintf("frame %d of the demo", i),
		Width:  d.cfg.Width,
		Height: d.cfg.Height,
		BGR:    make([]byte, d.cfg.Width*d.cfg.Height*bytesPerPixel),
		Faces:  []record.Box{},
	}
	left, top := sway(i, margin), sway(i*2, margin)
	offset := i % noiseOffsets * noiseStep % noiseOffsets
	noise := d.noise[offset:]
	row, wallRow := p.Width*bytesPerPixel, (p.Width+margin)*bytesPerPixel
	for y := range p.Height {
		dst := p.BGR[y*row:][:row]
		src := d.wall[(top+y)*wallRow+left*bytesPerPixel:][:row]
		grain := noise[y*row:][:row]
		for x := range dst {
			dst[x] = src[x] + byte(grain[x]) // the wall is dark enough for this never to overflow
		}
	}
	for _, at := range d.places(i) {
		at.paste(p.BGR, row)
		p.Faces = append(p.Faces, record.BoxOf(at.patch.face.Add(image.Pt(at.x, at.y))))
	}
	if d.grain != nil {
		for at, grain := range d.grain[offset:][:len(p.BGR)] {
			p.BGR[at] = byte(max(0, min(int(p.BGR[at])+int(grain), math.MaxUint8)))
		}
	}
	return p
}

// place is where a patch's top left corner is in a frame.
type place struct {
	patch *patch
	x, y  int
}

// places returns where the heads of one frame are: each in a column of its own.
func (d *Demo) places(i int) []place {
	heads := d.cfg.Faces
	if heads == MixedFaces {
		switch {
		case i%noneEvery == noneEvery-1:
			heads = 0
		case i%pairEvery == pairPhase:
			heads = 2
		default:
			heads = 1
		}
	}
	if heads == 0 {
		return nil
	}
	steps := steps
	if heads == 1 {
		steps = aloneSteps
	}
	largest := slices.Index(faceSizes, largestFace[heads])
	size := min(sway(i/noneEvery, len(faceSizes)-1), largest)
	column := d.cfg.Width / heads
	places := make([]place, heads)
	for n := range places {
		head := &d.patches[size]
		places[n] = place{head, n*column + sway(i*steps[n].X, column-head.width), sway(i*steps[n].Y, d.cfg.Height-head.height)}
		size = largest - size // small beside large
	}
	return places
}

// paste lays a head over the picture, whose rows have so many bytes.
func (at place) paste(bgr []byte, row int) {
	for y := range at.patch.height {
		alpha := at.patch.alpha[y*at.patch.width:][:at.patch.width]
		src := at.patch.bgr[y*at.patch.width*bytesPerPixel:][:len(alpha)*bytesPerPixel]
		dst := bgr[(at.y+y)*row+at.x*bytesPerPixel:][:len(src)]
		for x, a := range alpha {
			if a == 0 {
				continue
			}
			for c := x * bytesPerPixel; c < (x+1)*bytesPerPixel; c++ {
				dst[c] = byte((int(src[c])*int(a) + int(dst[c])*(255-int(a))) / 255)
			}
		}
	}
}

// sway goes from 0 up to the limit and back again, one a step.
func sway(step, limit int) int {
	step %= 2 * limit
	return min(step, 2*limit-step)
}

// newWall paints a wall: soft light, and a texture so that a JPEG of it is
// about as large as one of a real room.
func newWall(width, height int) []byte {
	const cell = 32
	rng := rand.New(rand.NewPCG(1, 2))
	columns, rows := width/cell+2, height/cell+2
	lattice := make([]int, columns*rows)
	for i := range lattice {
		lattice[i] = rng.IntN(40)
	}
	wall := make([]byte, 0, width*height*bytesPerPixel)
	for y := range height {
		for x := range width {
			// Bilinear between the lattice's points, which has no edges.
			at, fx, fy := y/cell*columns+x/cell, x%cell, y%cell
			upper := lattice[at]*(cell-fx) + lattice[at+1]*fx
			lower := lattice[at+columns]*(cell-fx) + lattice[at+columns+1]*fx
			stain := (upper*(cell-fy) + lower*fy) / (cell * cell)
			light := 90 + 60*x/width + 30*(height-y)/height + stain + rng.IntN(4)
			wall = append(wall, byte(light-10), byte(light), byte(light+8))
		}
	}
	return wall
}

// newNoise returns so many numbers from least to most.
func newNoise(seed uint64, size, least, most int) []int8 {
	rng := rand.New(rand.NewPCG(seed, seed+1))
	noise := make([]int8, size)
	for i := range noise {
		noise[i] = int8(least + rng.IntN(most-least+1))
	}
	return noise
}

// headOf returns the head in the photograph, in blue, green and red.
func headOf(photo image.Image) []byte {
	out := make([]byte, 0, photoHead.Dx()*photoHead.Dy()*bytesPerPixel)
	for y := photoHead.Min.Y; y < photoHead.Max.Y; y++ {
		for x := photoHead.Min.X; x < photoHead.Max.X; x++ {
			r, g, b, _ := photo.At(x, y).RGBA()
			out = append(out, byte(b>>8), byte(g>>8), byte(r>>8))
		}
	}
	return out
}

// newPatch scales the photograph's head so that its face has the given size.
func newPatch(head []byte, size int) patch {
	scale := func(n int) int { return n * size / photoFace.Dx() }
	p := patch{width: scale(photoHead.Dx()), height: scale(photoHead.Dy())}
	offset := photoFace.Min.Sub(photoHead.Min)
	p.face = image.Rect(0, 0, size, size).Add(image.Pt(scale(offset.X), scale(offset.Y)))
	for y := range p.height {
		for x := range p.width {
			p.bgr = append(p.bgr, sample(head, x*256*photoFace.Dx()/size, y*256*photoFace.Dx()/size)...)
			p.alpha = append(p.alpha, ellipse(x, y, p.width, p.height))
		}
	}
	return p
}

// sample returns the head's pixel at a place given in 1/256 pixels, between
// its four neighbours.
func sample(head []byte, x256, y256 int) []byte {
	x, y, fx, fy := x256/256, y256/256, x256%256, y256%256
	right, below := min(x+1, photoHead.Dx()-1), min(y+1, photoHead.Dy()-1)
	var out [bytesPerPixel]byte
	for c := range out {
		at := func(x, y int) int { return int(head[(y*photoHead.Dx()+x)*bytesPerPixel+c]) }
		upper := at(x, y)*(256-fx) + at(right, y)*fx
		lower := at(x, below)*(256-fx) + at(right, below)*fx
		out[c] = byte((upper*(256-fy) + lower*fy) >> 16)
	}
	return out[:]
}

// ellipse returns how much of the head is seen at a place in its patch: all
// within the inscribed ellipse, nothing outside, a soft border between.
func ellipse(x, y, width, height int) byte {
	const one, border = 1 << 10, 128
	dx, dy := (2*x+1-width)*one/width, (2*y+1-height)*one/height
	inside := one - (dx*dx+dy*dy)/one // 0 on the ellipse, one in the middle
	return byte(max(0, min(inside*255/border, 255)))
}
