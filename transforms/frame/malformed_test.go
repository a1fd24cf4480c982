package frame

import (
	"runtime"
	"testing"

	"facestream/transforms/frame/frametest"
)

// TestMalformed is a thousand values that are no frames: each is a reject with
// the right reason, if it is not left to face.Detect, and takes no memory that its size
// does not explain.
func TestMalformed(t *testing.T) {
	inputs := frametest.Malformed()
	kinds := map[string]int{}
	for i, in := range inputs {
		kinds[in.Kind]++
		r := recordOf(in.Value)
		if in.ContentType != "" {
			r = recordOf(in.Value, ContentType, in.ContentType)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, reject := Parse(lab, &r)
		runtime.ReadMemStats(&after)
		switch {
		case reject == nil && in.Kind == frametest.CutJPEG:
		case reject == nil:
			t.Errorf("%s, %d: accepted as %s %dx%d", in.Kind, i, f.Format, f.Width, f.Height)
		case reject.Reason != in.Reason:
			t.Errorf("%s, %d: rejected as %s, not %s: %s (%.100q)", in.Kind, i, reject.Reason, in.Reason, reject.Detail, in.ContentType)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s, %d: allocated %d bytes", in.Kind, i, grown)
		}
	}
	if len(inputs) != 1000 || len(kinds) != 10 {
		t.Errorf("%d inputs of %d kinds, want 1000 of 10", len(inputs), len(kinds))
	}
	for kind, n := range kinds {
		if n != frametest.EachKind {
			t.Errorf("%d inputs are %s, want %d", n, kind, frametest.EachKind)
		}
	}
}
