package scripts_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// runScript runs run.sh and returns its exit status and what it says on stderr.
func runScript(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command("./run.sh", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// A wrong number of parameters, or an empty one, gives the usage.
func TestRunUsage(t *testing.T) {
	for _, args := range []string{
		"", "h:1", "h:1 t u hdfs://h:2/x", "h:1 t u hdfs://h:2/x 1 prism more", "h:1  u hdfs://h:2/x 1", "h:1 t u hdfs://h:2/x 1 ",
	} {
		var list []string
		if args != "" {
			list = strings.Split(args, " ")
		}
		status, text := runScript(t, list...)
		if status != 2 || !strings.HasPrefix(text, "usage: scripts/run.sh KAFKA TOPICS USER HDFS_PATH MINUTES [RUNNER]\n") {
			t.Errorf("%q: exit status %d and %q, want 2 and the usage", list, status, text)
		}
	}
}

// The parameters are the lab's, in its order, and the exit status is the
// program's: each of them, wrong, is refused by the flag that it is.
func TestRunPassesParameters(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	right := []string{"localhost:1", "t", "alice", "hdfs://localhost:2/x", "1", "prism"}
	for i, tc := range []struct{ wrong, want string }{
		{"broker", "--kafka"},
		{"a b", "--topics"},
		{"../x", "--user"},
		{"s3://x/y", "--output"},
		{"soon", "--duration"},
		{"storm", "--runner"},
	} {
		args := append([]string{}, right...)
		args[i] = tc.wrong
		status, text := runScript(t, args...)
		if status != 2 || !strings.Contains(text, tc.want) || !strings.Contains(text, tc.wrong) {
			t.Errorf("%q: exit status %d and %q, want 2 and a word on %s", args, status, text, tc.want)
		}
	}
}

// A broker that is not there is a failure, not a wrong setting.
func TestRunFails(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program, and waits for a broker")
	}
	status, text := runScript(t, "127.0.0.1:1", "t", "alice", "hdfs://127.0.0.1:2/x", "1")
	if status != 1 || !strings.Contains(text, "127.0.0.1:1") {
		t.Errorf("exit status %d and %q, want 1 and the broker's address", status, text)
	}
}
