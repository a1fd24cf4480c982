package services

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/stack/state"
	"facestream/internal/testkit"
)

// fakeJava writes a program in place of java to dir.
func fakeJava(t *testing.T, dir, script string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "java"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

func TestRunSaysWhyItFailed(t *testing.T) {
	dir := t.TempDir()
	fakeJava(t, dir, "seq 1 100; echo the reason >&2; exit 3")
	s := &Stack{java: filepath.Join(dir, "java"), logs: dir}
	err := s.run(t.Context(), javaProgram{name: "failing", classes: state.Kafka, conf: filepath.Join(dir, "conf")})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	testkit.Equal(t, "the first line", lines[0], "failing ended: exit status 3")
	testkit.Equal(t, "the second line", lines[1], filepath.Join(dir, "failing.log")+":")
	// The last 20 lines of 101: 82 to 100, and the reason.
	log := lines[2:]
	if len(log) != 20 || strings.TrimSpace(log[0]) != "82" || strings.TrimSpace(log[19]) != "the reason" {
		t.Errorf("it shows %d lines of the log: %q", len(log), log)
	}
}
