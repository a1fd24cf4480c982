package run

import (
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// Following returns a window that follows on others, which have passed on what it must
// know of them.
func (w Window) Following(carry store.Carry) Window {
	if w.Sampling.LeavesOut() {
		w.Sampling.Stored, w.Sampling.Frames.Taken = carry, taken(carry)
	}
	return w
}

// taken returns the slots of which a frame was kept.
func taken(carry store.Carry) (all []frame.Taken) {
	for p, slots := range carry {
		for _, s := range slots {
			if s.Kind != store.SlotSampled {
				continue
			}
			for _, k := range s.Kept {
				all = append(all, frame.Taken{ID: p.At(k.Offset), Camera: s.Camera, Slot: s.Number})
			}
		}
	}
	return all
}
