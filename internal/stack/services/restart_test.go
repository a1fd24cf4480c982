package services

import (
	"context"
	"path/filepath"
	"testing"
)

// A head waits for all members that run, a member only for itself. The service
// is tried when nothing of it is dead; what has no members and is none is always
// tried.
func TestRestartWaits(t *testing.T) {
	for name, test := range map[string]struct {
		restarted, dead string
		registered      int // new members, when Restart returns
		tried           bool
	}{
		"head":                    {"head", "", 2, true},
		"head, and one is dead":   {"head", "member-2", 1, false},
		"member":                  {"member-1", "", 1, true},
		"member, and one is dead": {"member-1", "member-2", 1, false},
		"alone, and one is dead":  {"alone", "member-2", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fakeJava(t, dir, "exec sleep 600")
			s := &Stack{children: &children{java: filepath.Join(dir, "java"), logs: dir}}
			defer func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			}()
			for _, p := range []javaProgram{
				{name: "head", role: head}, {name: "member-1", role: member}, {name: "member-2", role: member}, {name: "alone"},
			} {
				p.conf = filepath.Join(dir, p.name)
				if _, err := s.children.start(p); err != nil {
					t.Fatal(err)
				}
			}
			if test.dead != "" {
				if err := s.children.find(test.dead).End(0); err != nil {
					t.Fatal(err)
				}
			}
			// The old members stay on the list of a head that has not restarted.
			// At each question after the restart, one more has registered.
			old, _ := s.Process(test.restarted)
			registered, tried := -1, false
			s.checks = map[string]*check{"": {
				works: func(context.Context) error { tried = true; return nil },
				members: func(context.Context) ([]string, error) {
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
			}}
			if err := s.Restart(t.Context(), test.restarted); err != nil {
				t.Fatal(err)
			}
			if max(registered, 0) != test.registered || tried != test.tried {
				t.Errorf("waited for %d members, tried the service: %v; want %d, %v",
					max(registered, 0), tried, test.registered, test.tried)
			}
		})
	}
}
