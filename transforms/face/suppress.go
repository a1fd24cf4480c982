package face

import (
	"cmp"
	"slices"

	"facestream/internal/record"
)

// maxIoU is by how much two boxes may overlap and still be two faces.
const maxIoU = 0.3

// suppress returns what comes first of those whose boxes overlap by more than maxIoU
// (non-maximum suppression).
func suppress[T any](best []T, box func(T) record.Box) (kept []T) {
	for _, one := range best {
		if !slices.ContainsFunc(kept, func(k T) bool { return box(one).IoU(box(k)) > maxIoU }) {
			kept = append(kept, one)
		}
	}
	return kept
}

// suppressBoxes does so with the boxes of cascades. Frontal boxes are better than others,
// larger ones than smaller ones, upper ones than lower ones.
func suppressBoxes(frontal, others []record.Box) []record.Box {
	for _, boxes := range [][]record.Box{frontal, others} {
		slices.SortFunc(boxes, func(a, b record.Box) int { return cmp.Or(cmp.Compare(b.Area(), a.Area()), byPlace(a, b)) })
	}
	return suppress(slices.Concat(frontal, others), func(b record.Box) record.Box { return b })
}
