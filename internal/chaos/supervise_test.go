package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script makes a program of a shell script, which finds in $RUN how often it has
// run before. lines are what is said of it.
func script(t *testing.T, text string) (p *program, lines *[]string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "script")
	text = "#!/bin/sh\nRUN=$(cat " + dir + "/run)\necho $((RUN + 1)) >" + dir + "/run\n" + text
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte("0"), fileMode); err != nil {
		t.Fatal(err)
	}
	lines = &[]string{}
	return &program{
		name: "it", path: path, logs: dir, ownLogs: filepath.Join(dir, "own"),
		args: func(time.Duration) []string { return nil },
		say:  func(format string, args ...any) { *lines = append(*lines, fmt.Sprintf(format, args...)) },
	}, lines
}

// What ends is started again, with a reason that is its own, until it is
// interrupted.
func TestKeepUp(t *testing.T) {
	p, lines := script(t, `
case $RUN in
0) echo 'script: no broker'; exit 1 ;;
1) exit 3 ;;
2) kill -9 $$ ;;
esac
trap 'exit 130' TERM
touch `+"$0.up"+`
while :; do sleep 0.01; done
`)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.keepUp(ctx, time.Now().Add(time.Hour)) }()
	for {
		if _, err := os.Stat(p.path + ".up"); err == nil {
			break
		}
		sleep(t.Context(), gonePoll)
	}
	if proc, ok := p.process(); !ok || !proc.Alive() {
		t.Errorf("the process is %+v, %v", proc, ok)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if proc, ok := p.process(); ok {
		t.Errorf("the process is %+v, want none", proc)
	}
	got := p.counts()
	if got.all != 4 || got.killed != 1 || got.failed != 2 || got.peakKB == 0 {
		t.Errorf("the runs are %+v, want 4, 1 killed, 2 failed", got)
	}
	want := []string{
		"it: exit status 1: no broker; starting it again",
		"it: exit status 3; starting it again",
		"it: signal: killed; starting it again",
	}
	if strings.Join(*lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("said is %q, want %q", *lines, want)
	}
}

// A program that refuses its settings or crashes is not started again.
func TestKeepUpWhatIsHopeless(t *testing.T) {
	for text, want := range map[string]string{
		"echo 'script: no such flag'; exit 2": "exit status 2: no such flag",
		"kill -SEGV $$":                       "segmentation fault",
	} {
		p, _ := script(t, text)
		if err := p.keepUp(t.Context(), time.Now().Add(time.Hour)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

// When the time is over, it is not started again.
func TestKeepUpUntil(t *testing.T) {
	p, lines := script(t, "exec sleep 0.5")
	if err := p.keepUp(t.Context(), time.Now().Add(shortestRun+100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got := p.counts(); got.all != 1 || got.failed != 0 || len(*lines) != 0 {
		t.Errorf("the runs are %+v, want 1; said is %q", got, *lines)
	}
}

// Each run's own logs are kept.
func TestOwnLogsAreKept(t *testing.T) {
	p, _ := script(t, `mkdir $(dirname $0)/own; echo $RUN >$(dirname $0)/own/log`)
	for i := range 2 {
		if ended, err := p.run(t.Context(), nil); err != nil || !ended.Success() {
			t.Fatal(ended, err)
		}
		data, err := os.ReadFile(filepath.Join(p.logs, fmt.Sprintf("it-%d", i+1), "log"))
		if err != nil || string(data) != fmt.Sprintf("%d\n", i) {
			t.Errorf("run %d: its log has %q (%v)", i+1, data, err)
		}
	}
}
