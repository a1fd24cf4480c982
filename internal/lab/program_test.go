package lab

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/testkit"
)

// script makes a program of a shell script, which finds in $RUN how often it has run
// before.
func script(t *testing.T, text string) *Program {
	t.Helper()
	dir := t.TempDir()
	text = "#!/bin/sh\nRUN=$(cat " + dir + "/run)\necho $((RUN + 1)) >" + dir + "/run\n" + text
	path := filepath.Join(dir, "script")
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o755))
	testkit.WriteFile(t, filepath.Join(dir, "run"), []byte("0"))
	return &Program{Name: "it", Path: path, Logs: dir}
}

// What ends is started again, with a reason that is its own, until its context ends.
func TestKeepUp(t *testing.T) {
	p := script(t, `
case $RUN in
0) echo 'facestream: no broker' >&2; exit 1 ;;
1) exit 3 ;;
2) kill -9 $$ ;;
esac
trap 'exit 130' TERM
touch "$0.up"
while :; do sleep 0.01; done
`)
	ctx, stop := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	var said strings.Builder
	go func() { done <- p.KeepUp(ctx, time.Now().Add(time.Hour), log.New(&said, "", 0).Printf) }()
	testkit.Await(t, "the fourth run", func() bool {
		_, err := os.Stat(p.Path + ".up")
		return err == nil
	})
	enough := errors.New("enough")
	stop(enough)
	testkit.Is(t, "the end", <-done, enough)
	want := []string{"it: exit status 1: no broker ", "it: exit status 3 ", "it: signal: killed "}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if p.Runs != 4 || len(lines) != len(want) {
		t.Fatalf("%d runs, said is %q", p.Runs, lines)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("said is %q, want %q", line, want[i])
		}
	}
}

// A program that refuses its settings or crashes is not started again.
func TestKeepUpWhatIsHopeless(t *testing.T) {
	for text, want := range map[string]string{
		"echo 'facestream-camera: no such flag' >&2; exit 2": "exit status 2: no such flag",
		"kill -SEGV $$": "segmentation fault",
	} {
		testkit.Says(t, text, script(t, text).KeepUp(t.Context(), time.Now().Add(time.Hour), t.Logf), want)
	}
}

// When the time is over, it is not started again, and each run is told how long it has.
func TestKeepUpUntil(t *testing.T) {
	p := script(t, "echo $1")
	testkit.Must(t, p.KeepUp(t.Context(), time.Now().Add(shortestRun), t.Errorf))
	testkit.Equal(t, "runs", p.Runs, 1)
	if got := testkit.ReadFile(t, filepath.Join(p.Logs, "it-1.out")); !strings.HasPrefix(string(got), "--duration=") {
		t.Errorf("it was started with %q", got)
	}
}

// What a run says of itself must be what its exit status says.
func TestSummary(t *testing.T) {
	for _, c := range []struct {
		state  string
		status int
		agrees bool
	}{{"DONE", 0, true}, {"DONE", 1, false}, {"FAILED", 1, true}, {"CANCELLED", 130, true}, {"FAILED", 0, false}, {"", 2, true}, {"", 1, false}} {
		p := script(t, fmt.Sprintf(`[ -z "%s" ] || echo '{"state": "%[1]s"}' >$0.json; exit %d`, c.state, c.status))
		p.Summary = p.Path + ".json"
		if _, err := p.Run(t.Context()); (err == nil) != c.agrees {
			t.Errorf("state %q, exit status %d: error %v", c.state, c.status, err)
		}
	}
}
