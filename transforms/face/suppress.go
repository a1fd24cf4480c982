package face

import (
	"cmp"
	"slices"

	"facestream/internal/record"
)

// maxIoU is by how much two boxes may overlap and still be two faces.
const maxIoU = 0.3

// suppress returns the boxes of both kinds without those that overlap a better
// one by more than maxIoU (non-maximum suppression). Frontal boxes are better
// than others, larger ones than smaller ones, upper ones than lower ones.
func suppress(frontal, others []record.Box) []record.Box {
	var kept []record.Box
	for _, boxes := range [][]record.Box{frontal, others} {
		boxes = slices.Clone(boxes)
		slices.SortFunc(boxes, func(a, b record.Box) int { return cmp.Or(cmp.Compare(b.Area(), a.Area()), byPlace(a, b)) })
		for _, b := range boxes {
			if !slices.ContainsFunc(kept, func(k record.Box) bool { return b.IoU(k) > maxIoU }) {
				kept = append(kept, b)
			}
		}
	}
	return kept
}
