package bench

import (
	"errors"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"facestream/internal/testkit"
	"facestream/runners"
)

// On Prism, this program and what it starts have as many processors as slots are meant.
func TestBind(t *testing.T) {
	count := func() string {
		out := testkit.Value(exec.Command("nproc").Output())(t)
		return strings.TrimSpace(string(out))
	}
	all := count()
	for runner, want := range map[string]string{runners.Prism: "1", runners.Flink: all} {
		got := ""
		err := combination{Runner: runner, Slots: 1}.bind(func() error { got = count(); return nil })
		if after := count(); err != nil || got != want || after != all {
			t.Errorf("%s: %s processors, and %s afterwards (%v), want %s of %s", runner, got, after, err, want, all)
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
