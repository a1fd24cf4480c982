package run

import "facestream/transforms/store"

// Following returns a window that follows on others, which have passed on what it must
// know of them.
func (w Window) Following(carry store.Carry) Window {
	if !w.Sampling.LeavesOut() {
		return w
	}
	w.Sampling.Stored, w.Sampling.Frames.Taken = carry, map[string]int64{}
	for group, kept := range carry.Of(store.SlotSampled) {
		w.Sampling.Frames.Taken[group] = kept[0].Offset
	}
	return w
}
