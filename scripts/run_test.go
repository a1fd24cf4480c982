package scripts_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

// runScript runs a copy of run.sh and returns its exit status and what it prints.
func runScript(t *testing.T, script string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(script, args...)
	cmd.Env = environment()
	var outText, errText strings.Builder
	cmd.Stdout, cmd.Stderr = &outText, &errText
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), outText.String(), errText.String()
}

// environment is that of this process without the settings of a make that runs the tests.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "MAKE") || strings.HasPrefix(s, "MFLAGS=") })
}

// A wrong number of parameters, or an empty one, gives the usage.
func TestRunUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"h:1"}, {"h:1", "t", "u", "hdfs://h:2/x", "1", "prism", "more"}, {"h:1", "", "u", "hdfs://h:2/x", "1"}, {"h:1", "t", "u", "hdfs://h:2/x", "1", ""},
	} {
		status, _, text := runScript(t, "./run.sh", args...)
		if status != 2 || !strings.HasPrefix(text, "usage: scripts/run.sh KAFKA TOPICS USER HDFS_PATH MINUTES [RUNNER]\n") {
			t.Errorf("%q: exit status %d and %q, want 2 and the usage", args, status, text)
		}
	}
}

// The parameters are the lab's, in its order, and the exit status is the program's.
func TestRunPassesParameters(t *testing.T) {
	root := t.TempDir()
	program := func(path, text string) string {
		t.Helper()
		path = filepath.Join(root, path)
		testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		testkit.Must(t, os.WriteFile(path, []byte(text), 0o755))
		return path
	}
	script := program("scripts/run.sh", string(testkit.ReadFile(t, "run.sh")))
	program("Makefile", "programs:\n")
	program("build/bin/pipeline", "#!/bin/sh\necho \"$*\"\nexit 130\n")
	for _, tc := range []struct{ runner, want string }{{"spark", "spark"}, {"", "prism"}} {
		args := []string{"h:1", "a,b", "alice", "hdfs://h:2/x", "5"}
		if tc.runner != "" {
			args = append(args, tc.runner)
		}
		status, got, stderr := runScript(t, script, args...)
		want := "--kafka=h:1 --topics=a,b --user=alice --output=hdfs://h:2/x --duration=5 --runner=" + tc.want + "\n"
		if status != 130 || got != want {
			t.Errorf("exit status %d (%s), the program's parameters are %q, want 130 and %q", status, stderr, got, want)
		}
	}
}

// The program takes them. A broker that is not there is a failure, not a wrong setting.
func TestRunFails(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program, and waits for a broker")
	}
	status, _, text := runScript(t, "./run.sh", "127.0.0.1:1", "t", "alice", "hdfs://127.0.0.1:2/x", "1", "prism")
	if status != 1 || !strings.Contains(text, "127.0.0.1:1") {
		t.Errorf("exit status %d and %q, want 1 and the broker's address", status, text)
	}
}
