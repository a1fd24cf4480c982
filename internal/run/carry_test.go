package run

import (
	"maps"
	"testing"

	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/store"
)

// A window knows the first frame of each slot of those before; with nothing left out, none
// knows of others.
func TestFollowing(t *testing.T) {
	p := record.In("t", 0)
	carry := store.Carry{p: {
		{Camera: "door", Kind: store.SlotSampled, Number: 3, Kept: []store.Kept{{Offset: 1}, {Offset: 5}}},
		{Camera: "door", Kind: store.SlotSampled, Number: 4},
		{Camera: "door", Kind: store.SlotCooldown, Number: 5, Kept: []store.Kept{{Offset: 2}}},
	}}
	if got := (Window{}).Following(carry).Sampling; got.Stored != nil || got.Frames.Taken != nil {
		t.Errorf("got %+v", got)
	}
	w := Window{}
	w.Sampling.Frames.MaxFPS = 1
	if got, want := w.Following(carry).Sampling.Frames.Taken, map[string]int64{frame.Group(p, "door", 3): 1}; !maps.Equal(got, want) {
		t.Errorf("taken are %v, want %v", got, want)
	}
}
