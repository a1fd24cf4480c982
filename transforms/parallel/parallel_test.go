package parallel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"

	"facestream/internal/testkit"
)

func TestParallel(t *testing.T) {
	const n, total = 3, 20
	p := New[int](n)
	var got []int
	emit := func(v int) { got = append(got, v) }
	// With n under way, beginning another waits for one of them.
	release := make(chan struct{})
	running := make(chan struct{}, n)
	for i := range n {
		testkit.Must(t, p.Begin(func() (int, error) { running <- struct{}{}; <-release; return i, nil }, emit))
	}
	for range n {
		<-running // all at the same time, or this would wait for ever
	}
	close(release)
	for i := n; i < total; i++ {
		testkit.Must(t, p.Begin(func() (int, error) { return i, nil }, emit))
		if p.open > n {
			t.Fatalf("%d under way, want at most %d", p.open, n)
		}
	}
	testkit.Must(t, p.Finish(emit))
	slices.Sort(got)
	for i, v := range got {
		if v != i {
			t.Fatalf("emitted %v", got)
		}
	}
	testkit.Equal(t, "the results", len(got), total)
}

// An error or a panic of any work comes out, at the latest at the end; what fails is not
// emitted.
func TestParallelError(t *testing.T) {
	for name, fails := range map[string]func() (int, error){
		"it failed":        func() (int, error) { return 0, errors.New("it failed") },
		"panic: it failed": func() (int, error) { panic("it failed") },
		"parallel_test.go": func() (int, error) { panic("it failed") }, // where it was
	} {
		p := New[int](2)
		var got []int
		emit := func(v int) { got = append(got, v) }
		err := p.Begin(fails, emit)
		for i := 1; i < 10 && err == nil; i++ {
			err = p.Begin(func() (int, error) { return i, nil }, emit)
		}
		if err == nil {
			err = p.Finish(emit)
		}
		if err == nil || !strings.Contains(err.Error(), name) || slices.Contains(got, 0) {
			t.Errorf("error %v, emitted %v, want %q", err, got, name)
		}
	}
}

// In order, what is done early waits for what began before it, and there are bounds to that.
func TestInOrder(t *testing.T) {
	const n, total = 2, 3 * maxHeld
	p := InOrder[int](n)
	var got []int
	emit := func(v int) { got = append(got, v) }
	first := make(chan struct{})
	testkit.Must(t, p.Begin(func() (int, error) { <-first; return 0, nil }, emit))
	for i := 1; i <= n*maxHeld; i++ {
		testkit.Must(t, p.Begin(func() (int, error) { return i, nil }, emit))
	}
	testkit.Await(t, "the last result", func() bool { return len(p.results) == 1 })
	go close(first) // the next one waits for it
	for i := n*maxHeld + 1; i < total; i++ {
		testkit.Must(t, p.Begin(func() (int, error) { return i, nil }, emit))
		if len(p.held) > n*maxHeld {
			t.Fatalf("%d results are held", len(p.held))
		}
	}
	testkit.Must(t, p.Finish(emit))
	if !slices.IsSorted(got) || len(got) != total {
		t.Errorf("emitted %v, want 0 to %d", got, total-1)
	}
}

// What is done is emitted while the bundle's source waits for its next element, and an
// error of it comes out. Another bundle's work is left to that.
func TestSource(t *testing.T) {
	ctx := metrics.SetBundleID(t.Context(), "bundle")
	s := NewSource(ctx)
	defer s.Close()
	var got []int
	emit := func(v int) { got = append(got, v) }
	begin := func(ctx context.Context, work func() (int, error)) {
		t.Helper()
		p := New[int](2)
		p.Join(ctx, emit)
		testkit.Must(t, p.Begin(work, emit))
	}
	begin(metrics.SetBundleID(t.Context(), "another"), func() (int, error) { return 1, nil })
	begin(ctx, func() (int, error) { return 2, nil })
	<-s.Done() // or this waits for ever
	if err := s.Emit(); err != nil || !slices.Equal(got, []int{2}) {
		t.Errorf("emitted %v (%v), want only the work of its bundle", got, err)
	}
	failed := errors.New("it failed")
	begin(ctx, func() (int, error) { return 0, failed })
	<-s.Done()
	testkit.Is(t, "the work's error", s.Emit(), failed)
}
