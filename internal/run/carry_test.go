package run

import (
	"testing"

	"facestream/internal/record"
	"facestream/transforms/store"
)

// With nothing left out, no window knows of others.
func TestCarryIsOff(t *testing.T) {
	carry := store.Carry{record.In("t", 0): {{Kept: []store.Kept{{Offset: 1}}}}}
	if got := (Window{}).Following(carry).Sampling; got.Stored != nil || got.Frames.Taken != nil {
		t.Errorf("got %+v", got)
	}
}
