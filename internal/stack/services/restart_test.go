package services

import (
	"context"
	"path/filepath"
	"testing"

	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

// With a process that is no member Restart waits for all members that run, with a
// member only for itself. The service is tried when nothing of it is dead.
func TestRestartWaits(t *testing.T) {
	names := []string{"head", "member-1", "member-2"}
	for name, test := range map[string]struct {
		restarted, dead string
		registered      int // new members, when Restart returns
		tried           bool
	}{
		"head":                    {"head", "", 2, true},
		"head, and one is dead":   {"head", "member-2", 1, false},
		"member":                  {"member-1", "", 1, true},
		"member, and one is dead": {"member-1", "member-2", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fakeJava(t, dir, "exec sleep 600")
			s := &Stack{java: filepath.Join(dir, "java"), logs: dir}
			defer func() { testkit.Must(t, s.Stop()) }()
			var old *child
			registered, tried := -1, false
			kind := &service{
				works: func(context.Context, *Stack) error { tried = true; return nil },
				// The old members stay on the list of a head that has not restarted.
				// At each question after the restart, one more has registered.
				members: func(context.Context, state.Addrs) ([]string, error) {
					var all []string
					if test.restarted != "head" {
						all = []string{"old 1", "old 2"}
					}
					if old.Alive() {
						return all, nil
					}
					registered++
					return append(all, []string{"new 1", "new 2"}[:registered]...), nil
				},
			}
			for i, name := range names {
				p := javaProgram{service: kind, classes: state.Kafka, name: name, member: i > 0, conf: filepath.Join(dir, name)}
				testkit.Value(s.startProgram(p, nil))(t)
			}
			if test.dead != "" {
				testkit.Must(t, s.find(test.dead).End(0))
			}
			old = s.find(test.restarted)
			testkit.Must(t, s.Restart(t.Context(), test.restarted))
			for i, p := range s.Processes() {
				if p.Name != names[i] || p.Name == test.restarted && (p.PID == old.PID || !p.Alive() || old.Alive()) {
					t.Errorf("process %d is %+v in the place of %s, %+v", i, p, names[i], old.Process)
				}
			}
			testkit.Says(t, "what there is not", s.Restart(t.Context(), "member-3"), "member-3")
			if registered != test.registered || tried != test.tried {
				t.Errorf("waited for %d members, tried the service: %v; want %d, %v", registered, tried, test.registered, test.tried)
			}
		})
	}
}
