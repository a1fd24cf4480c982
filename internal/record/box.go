package record

import "image"

// Box is a rectangle in a picture, in pixels; X and Y are those of its upper left
// corner.
type Box struct {
	X      int32 `json:"x" parquet:"x"`
	Y      int32 `json:"y" parquet:"y"`
	Width  int32 `json:"width" parquet:"width"`
	Height int32 `json:"height" parquet:"height"`
}

// NormalizedBox is a Box in parts of the picture's width and height, from 0 to 1.
type NormalizedBox struct {
	X      float64 `json:"x" parquet:"x"`
	Y      float64 `json:"y" parquet:"y"`
	Width  float64 `json:"width" parquet:"width"`
	Height float64 `json:"height" parquet:"height"`
}

// Landmarks are five points of a face within the picture. Right and left are the face's own.
type Landmarks struct {
	RightEye         Point `json:"right_eye" parquet:"right_eye"`
	LeftEye          Point `json:"left_eye" parquet:"left_eye"`
	NoseTip          Point `json:"nose_tip" parquet:"nose_tip"`
	RightMouthCorner Point `json:"right_mouth_corner" parquet:"right_mouth_corner"`
	LeftMouthCorner  Point `json:"left_mouth_corner" parquet:"left_mouth_corner"`
}

// Point is a pixel of a picture.
type Point struct {
	X int32 `json:"x" parquet:"x"`
	Y int32 `json:"y" parquet:"y"`
}

// Points are the landmarks in the order of the fields, which is that of the networks.
func (l *Landmarks) Points() [5]*Point {
	return [...]*Point{&l.RightEye, &l.LeftEye, &l.NoseTip, &l.RightMouthCorner, &l.LeftMouthCorner}
}

// Rect is the box as package image has it, and BoxOf the way back.
func (b Box) Rect() image.Rectangle {
	return image.Rect(int(b.X), int(b.Y), int(b.X)+int(b.Width), int(b.Y)+int(b.Height))
}

// BoxOf returns a rectangle as a box.
func BoxOf(r image.Rectangle) Box {
	return Box{X: int32(r.Min.X), Y: int32(r.Min.Y), Width: int32(r.Dx()), Height: int32(r.Dy())}
}

// Area is in pixels.
func (b Box) Area() int64 { return int64(b.Width) * int64(b.Height) }

// IoU is the area that two boxes share as a part of the area that they cover
// together (intersection over union), 0 to 1.
func (b Box) IoU(other Box) float64 {
	shared := Box{
		Width:  min(b.X+b.Width, other.X+other.Width) - max(b.X, other.X),
		Height: min(b.Y+b.Height, other.Y+other.Height) - max(b.Y, other.Y),
	}
	if shared.Width <= 0 || shared.Height <= 0 {
		return 0
	}
	return float64(shared.Area()) / float64(b.Area()+other.Area()-shared.Area())
}
