package bench

import (
	"errors"
	"sync/atomic"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
)

func TestBareDetector(t *testing.T) {
	for _, format := range []string{feed.JPEG, feed.Raw} {
		rate, err := bound{combination: combination{Format: format, Preset: fast, Slots: 2}, Kind: bareDetector, Frames: 6}.measure(t.Context())
		if err != nil || rate <= 0 {
			t.Errorf("%s: %v frames/s (%v)", format, rate, err)
		}
	}
}

// The workers do all frames together, and wait for what they have begun to write.
func TestWork(t *testing.T) {
	var steps, written atomic.Int64
	workers := []*worker{{}, {}, {}}
	err := work(t.Context(), workers, 20, func(w *worker) error {
		steps.Add(1)
		w.writes.Go(func() error { written.Add(1); return nil })
		return nil
	})
	if err != nil || steps.Load() != 20 || written.Load() != 20 {
		t.Errorf("%d steps, %d writes (%v), want 20 of each", steps.Load(), written.Load(), err)
	}
	broken := errors.New("broken")
	for what, step := range map[string]func(*worker) error{
		"a step":  func(*worker) error { return broken },
		"a write": func(w *worker) error { w.writes.Go(func() error { return broken }); return nil },
	} {
		if err := work(t.Context(), []*worker{{}, {}}, 5, step); !errors.Is(err, broken) {
			t.Errorf("%s fails: error %v, want %v", what, err, broken)
		}
	}
}

// What a topic repeats holds every mix of faces as often as any other.
func TestPeriod(t *testing.T) {
	all, err := pictures(usual(period+3), 1, feed.Raw)
	if err != nil {
		t.Fatal(err)
	}
	sizes := func(p video.Picture) (out []int32) {
		for _, f := range p.Faces {
			out = append(out, f.Width)
		}
		return out
	}
	for i := range 3 {
		if a, b := sizes(all[i]), sizes(all[period+i]); !equal(a, b) {
			t.Errorf("faces of %v pixels in frame %d, of %v a period later", a, i, b)
		}
	}
}
