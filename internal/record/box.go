package record

// Box is a rectangle in a picture, in pixels; X and Y are those of its upper left
// corner.
type Box struct {
	X      int32 `json:"x"`
	Y      int32 `json:"y"`
	Width  int32 `json:"width"`
	Height int32 `json:"height"`
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
