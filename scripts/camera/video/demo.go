package video

import (
	"bytes"
	_ "embed"
	"fmt"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"slices"
)

// The size of the demo's pictures, as in the lab.
const (
	DemoWidth  = 640
	DemoHeight = 480
)

// faceJPEG is a photograph; README.md says where it comes from.
//
//go:embed face.jpg
var faceJPEG []byte

// Where the head and the face are in the photograph. The face is the box that
// OpenCV's frontal face cascade finds there.
var (
	photoHead = Box{X: 205, Y: 62, Width: 288, Height: 360}
	photoFace = Box{X: 233, Y: 152, Width: 232, Height: 232}
)

// The demo's world. Everything is whole numbers, so that the same frame has
// the same bytes on every machine.
const (
	margin       = 128    // the background is this much larger than a picture, and the camera sways over it
	noiseLevels  = 4      // sensor noise: 0 to 3 added to each byte
	noiseOffsets = 65_521 // a prime: so many frames pass before one has the same noise as an earlier one
	noiseStep    = 25_013
	noneEvery    = 3  // frames 2, 5, 8, ... have no face
	pairEvery    = 12 // frames 4, 16, 28, ... have two
	pairPhase    = 4
	largestPair  = 200 // two heads of this face size stand side by side
)

// faceSizes are the sides of the faces' boxes, in pixels.
var faceSizes = []int{100, 112, 124, 136, 148, 160, 172, 186, 200, 216, 232}

// patch is the photograph's head at one size, cut out as an ellipse.
type patch struct {
	width, height int
	face          Box    // within the patch
	bgr           []byte // width*height*bytesPerPixel
	alpha         []byte // width*height: 255 is the head, 0 the background
}

// Demo is a video made up by the program: a head, or two, or none in front of
// a wall. Every third frame, beginning with frame 2, has no face.
// The same frame index always gives the same picture.
type Demo struct {
	frames, next int
	wall         []byte // (DemoWidth+margin)*(DemoHeight+margin)*bytesPerPixel
	noise        []byte
	patches      []patch // of faceSizes
}

// NewDemo returns the demo's first so many frames; 0 stands for a video
// without an end.
func NewDemo(frames int) (*Demo, error) {
	if frames < 0 {
		return nil, fmt.Errorf("a demo of %d frames: the number must be 0 or more", frames)
	}
	photo, err := jpeg.Decode(bytes.NewReader(faceJPEG))
	if err != nil {
		return nil, fmt.Errorf("decoding the demo's photograph: %w", err)
	}
	d := &Demo{frames: frames, wall: newWall(), noise: newNoise()}
	head := cut(toBGR(photo), photo.Bounds().Dx(), photoHead)
	for _, size := range faceSizes {
		d.patches = append(d.patches, newPatch(head, size))
	}
	return d, nil
}

// Next returns the next frame.
func (d *Demo) Next() (Picture, error) {
	if d.frames > 0 && d.next == d.frames {
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
		Width:  DemoWidth,
		Height: DemoHeight,
		BGR:    make([]byte, DemoWidth*DemoHeight*bytesPerPixel),
		Faces:  []Box{},
	}
	left, top := sway(i, margin), sway(i*2, margin)
	noise := d.noise[i%noiseOffsets*noiseStep%noiseOffsets:]
	const row, wallRow = DemoWidth * bytesPerPixel, (DemoWidth + margin) * bytesPerPixel
	for y := range DemoHeight {
		dst := p.BGR[y*row:][:row]
		src := d.wall[(top+y)*wallRow+left*bytesPerPixel:][:row]
		grain := noise[y*row:][:row]
		for x := range dst {
			dst[x] = src[x] + grain[x] // the wall is dark enough for this never to overflow
		}
	}
	for _, at := range d.places(i) {
		d.paste(p.BGR, at)
		face := at.patch.face
		p.Faces = append(p.Faces, Box{X: at.x + face.X, Y: at.y + face.Y, Width: face.Width, Height: face.Height})
	}
	return p
}

// place is where a patch's top left corner is in a frame.
type place struct {
	patch *patch
	x, y  int
}

// places returns where the heads of one frame are.
func (d *Demo) places(i int) []place {
	size := sway(i/noneEvery, len(faceSizes)-1)
	switch {
	case i%noneEvery == noneEvery-1:
		return nil
	case i%pairEvery == pairPhase:
		const half = DemoWidth / 2
		size = min(size, slices.Index(faceSizes, largestPair))
		a, b := &d.patches[size], &d.patches[slices.Index(faceSizes, largestPair)-size]
		return []place{
			{a, sway(i*3, half-a.width), sway(i*5, DemoHeight-a.height)},
			{b, half + sway(i*7, half-b.width), sway(i*3, DemoHeight-b.height)},
		}
	default:
		head := &d.patches[size]
		return []place{{head, sway(i*7, DemoWidth-head.width), sway(i*5, DemoHeight-head.height)}}
	}
}

// paste lays a head over the picture.
func (d *Demo) paste(bgr []byte, at place) {
	for y := range at.patch.height {
		alpha := at.patch.alpha[y*at.patch.width:][:at.patch.width]
		src := at.patch.bgr[y*at.patch.width*bytesPerPixel:][:len(alpha)*bytesPerPixel]
		dst := bgr[((at.y+y)*DemoWidth+at.x)*bytesPerPixel:][:len(src)]
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
func newWall() []byte {
	const width, height, cell = DemoWidth + margin, DemoHeight + margin, 32
	rng := rand.New(rand.NewPCG(1, 2))
	const columns, rows = width/cell + 2, height/cell + 2
	var lattice [columns * rows]int
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

// newNoise returns enough noise for a picture from any of noiseOffsets on.
func newNoise() []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, DemoWidth*DemoHeight*bytesPerPixel+noiseOffsets)
	for i := range noise {
		noise[i] = byte(rng.IntN(noiseLevels))
	}
	return noise
}

// cut returns one box of a BGR picture.
func cut(bgr []byte, width int, box Box) []byte {
	out := make([]byte, 0, box.Width*box.Height*bytesPerPixel)
	for y := box.Y; y < box.Y+box.Height; y++ {
		out = append(out, bgr[(y*width+box.X)*bytesPerPixel:][:box.Width*bytesPerPixel]...)
	}
	return out
}

// newPatch scales the photograph's head so that its face has the given size.
func newPatch(head []byte, size int) patch {
	scale := func(n int) int { return n * size / photoFace.Width }
	p := patch{
		width:  scale(photoHead.Width),
		height: scale(photoHead.Height),
		face:   Box{X: scale(photoFace.X - photoHead.X), Y: scale(photoFace.Y - photoHead.Y), Width: size, Height: size},
	}
	for y := range p.height {
		for x := range p.width {
			p.bgr = append(p.bgr, sample(head, x*256*photoFace.Width/size, y*256*photoFace.Width/size)...)
			p.alpha = append(p.alpha, ellipse(x, y, p.width, p.height))
		}
	}
	return p
}

// sample returns the head's pixel at a place given in 1/256 pixels, between
// its four neighbours.
func sample(head []byte, x256, y256 int) []byte {
	x, y, fx, fy := x256/256, y256/256, x256%256, y256%256
	right, below := min(x+1, photoHead.Width-1), min(y+1, photoHead.Height-1)
	var out [bytesPerPixel]byte
	for c := range out {
		at := func(x, y int) int { return int(head[(y*photoHead.Width+x)*bytesPerPixel+c]) }
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
