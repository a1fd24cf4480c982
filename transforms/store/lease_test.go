package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"facestream/internal/proc"
	"facestream/internal/testkit"
)

// long is a term that does not pass while a test runs, nor does its renewal; short is one
// that does.
const long, short = time.Hour, 20 * time.Millisecond

func leased(t *testing.T, root, run, group string, topics ...string) *Lease {
	t.Helper()
	l, _, err := acquire(t.Context(), Config{Root: root, Run: run}, group, topics, long, long)
	testkit.Must(t, err)
	return l
}

// One run of a group reads a topic; another is told by whom. Other groups and topics
// are free, and so is all once the run has ended. Nothing is left then.
func TestLease(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		cfg := Config{Root: root, Run: "second"}
		first := leased(t, root, "first", "g", "u", "t")
		testkit.Is(t, "Held", Held(t.Context(), cfg, "g", []string{"t"}), ErrHeld)
		_, _, err := Acquire(t.Context(), cfg, "g", []string{"a", "t"})
		host, _ := os.Hostname()
		testkit.Is(t, "a second run of the group", err, ErrHeld)
		testkit.Says(t, "a second run of the group", err, "topic t", "run first", fmt.Sprintf("process %d ", os.Getpid()), "host "+host,
			"renewed its lease ", " ago; without that it would be free in ", "--group")
		others := []*Lease{leased(t, root, "third", "g", "a", "v"), leased(t, root, "fourth", "h", "t"), leased(t, root, "fifth", strings.Repeat("g+", 200), strings.Repeat("t", 249))}
		for name := range files(t, root) {
			if kind, _ := KindOf(name); kind != KindLease {
				t.Errorf("%s is of kind %d", name, kind)
			}
		}
		testkit.Equal(t, "the leases", len(files(t, root)), 6)
		for _, l := range append(others, first) {
			testkit.Must(t, l.Check(t.Context()))
			l.Release(t.Context())
		}
		testkit.Must(t, Held(t.Context(), cfg, "g", []string{"t"}))
		mustBeEmpty(t, root)
	})
}

// Of runs that begin at the same time, one gets the lease.
func TestLeaseOfMany(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		for _, before := range []string{"nobody", "a run that was killed"} {
			if before != "nobody" {
				store(t, root, leasePath("g", "t"), holderText(t, Holder{Run: "killed", PID: ended(t)}))
			}
			var got atomic.Pointer[Lease]
			var runs sync.WaitGroup
			for i := range 8 {
				runs.Go(func() {
					l, _, err := acquire(t.Context(), Config{Root: root, Run: fmt.Sprint("run-", i)}, "g", []string{"t"}, long, long)
					switch {
					case err == nil && !got.CompareAndSwap(nil, l):
						t.Errorf("after %s, two runs have the lease", before)
					case err != nil && !errors.Is(err, ErrHeld):
						t.Error(err)
					}
				})
			}
			runs.Wait()
			if got.Load() == nil {
				t.Fatalf("after %s, no run has the lease", before)
			}
			testkit.Must(t, got.Load().Check(t.Context()))
			got.Load().Release(t.Context())
		}
	})
}

// ended returns the id of a process of this machine that has ended.
func ended(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	testkit.Must(t, c.Run())
	return c.Process.Pid
}

// holderText is the lease of a run on this machine.
func holderText(t *testing.T, h Holder) string {
	t.Helper()
	kernel := testkit.Value(proc.Kernel())(t)
	return fmt.Sprintf(`{"run": %q, "host": "here", "kernel": %q, "pid": %d, "process_start": "earlier", "since": "2026-11-27T00:00:00Z"}`, h.Run, kernel, h.PID)
}

// A lease is taken over when its process is known to be gone, or when it was not
// renewed for its term; not from a process of which nothing is known.
func TestLeaseIsTakenOver(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		here := holderText(t, Holder{Run: "killed", PID: ended(t)})
		for _, tt := range []struct {
			about, lease string
			term         time.Duration
			says         string // why it is free, if so
		}{
			{"killed on this host", here, long, "its process has ended"},
			{"the id is another process's now", holderText(t, Holder{Run: "killed", PID: os.Getpid()}), long, "its process has ended"},
			{"another host", strings.Replace(here, `"kernel": "`, `"kernel": "x`, 1), long, ""},
			{"stopped on another host", strings.Replace(here, `"kernel": "`, `"kernel": "x`, 1), short, "not renewed its lease for"},
			{"killed while it made the lease", "", long, "a run that has not said who it is"},
		} {
			name := leasePath("g", "t")
			store(t, root, name, tt.lease)
			if tt.term == short || tt.lease == "" {
				testkit.Await(t, "the term", func() bool {
					l := testkit.Value(lookAtLease(t.Context(), testConfig(root), name))(t)
					return l.renewed > short && (tt.lease != "" || l.renewed > leaseWriting)
				})
			}
			l, held, err := acquire(t.Context(), testConfig(root), "g", []string{"t"}, long, tt.term)
			if tt.says == "" {
				testkit.Is(t, tt.about, err, ErrHeld)
				continue
			}
			testkit.Must(t, err)
			if len(l.TakenOver) != 1 || !strings.Contains(l.TakenOver[0], tt.says) || held.Err() != nil {
				t.Errorf("%s: it says %q", tt.about, l.TakenOver)
			}
			l.Release(t.Context())
			mustHold(t, root, nil)
		}
	})
}

// A run goes on renewing its lease. One whose lease another run has finds that out by
// itself and when it asks, and leaves that run's lease alone.
func TestLeaseIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		name := leasePath("g", "t")
		slow := leased(t, root, "slow", "g", "t")
		l, held, err := acquire(t.Context(), Config{Root: root, Run: "renewing"}, "h", []string{"t"}, 10*time.Millisecond, long)
		testkit.Must(t, err)
		before := modified(t, root, leasePath("h", "t"))
		testkit.Await(t, "a renewal", func() bool { return modified(t, root, leasePath("h", "t")).After(before) })

		// Somebody removes one, and it is made anew.
		testkit.Must(t, testConfig(root).remove(t.Context(), name))
		testkit.Must(t, slow.Check(t.Context()))

		other := holderText(t, Holder{Run: "another", PID: os.Getpid()})
		store(t, root, name, other)
		err = slow.Check(t.Context())
		testkit.Is(t, "Check after another run took over", err, ErrLost)
		testkit.Says(t, "Check after another run took over", err, "run another")
		slow.Release(t.Context())
		// In one step, before the next renewal, and not undone by one under way.
		testkit.Await(t, "the end of the run", func() bool {
			store(t, root, leasePath("h", "t"), other)
			return held.Err() != nil
		})
		testkit.Is(t, "the end of the run", context.Cause(held), ErrLost)
		l.Release(t.Context())
		mustHold(t, root, map[string]string{name: other, leasePath("h", "t"): other})
	})
}

func modified(t *testing.T, root, name string) time.Time {
	t.Helper()
	var at time.Time
	testkit.Await(t, "the time of "+name, func() (ok bool) {
		var err error
		at, err = testConfig(root).Modified(t.Context(), name)
		return err == nil
	})
	return at
}

// A lease in place of the one that was judged is left, or put back.
func TestTakeAwayOnlyWhatWasJudged(t *testing.T) {
	everywhere(t, func(t *testing.T, root string) {
		name := leasePath("g", "t")
		store(t, root, name, "a newer one")
		if taken, err := takeAway(t.Context(), testConfig(root), name, []byte("the one that was stale")); taken || err != nil {
			t.Errorf("taken: %v (%v)", taken, err)
		}
		mustHold(t, root, map[string]string{name: "a newer one"})
	})
}
