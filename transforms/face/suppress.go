package face

import (
	"cmp"
	"slices"
)

// maxIoU is by how much two boxes may overlap and still be two faces.
const maxIoU = 0.3

// suppress returns the boxes of both kinds without those that overlap a better
// one by more than maxIoU (non-maximum suppression). Frontal boxes are better
// than others, larger ones than smaller ones, upper ones than lower ones.
func suppress(frontal, others []Box) []Box {
	var kept []Box
	for _, boxes := range [][]Box{frontal, others} {
		boxes = slices.Clone(boxes)
		slices.SortFunc(boxes, func(a, b Box) int { return cmp.Or(cmp.Compare(b.area(), a.area()), byPlace(a, b)) })
		for _, b := range boxes {
			if !slices.ContainsFunc(kept, func(k Box) bool { return b.IoU(k) > maxIoU }) {
				kept = append(kept, b)
			}
		}
	}
	return kept
}

func (b Box) area() int64 { return int64(b.Width) * int64(b.Height) }

// IoU is the area that two boxes share as a part of the area that they cover, 0
// to 1.
func (b Box) IoU(other Box) float64 {
	shared := Box{
		Width:  min(b.X+b.Width, other.X+other.Width) - max(b.X, other.X),
		Height: min(b.Y+b.Height, other.Y+other.Height) - max(b.Y, other.Y),
	}
	if shared.Width <= 0 || shared.Height <= 0 {
		return 0
	}
	return float64(shared.area()) / float64(b.area()+other.area()-shared.area())
}
