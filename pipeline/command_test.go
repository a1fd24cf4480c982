package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"facestream/internal/camera/feed"
)

// commandEnv makes the test program the pipeline command.
const commandEnv = "FACESTREAM_TEST_COMMAND"

// command runs the pipeline as a process of its own, with flags.
func command(t *testing.T, flags ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], flags...)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	return cmd, stderr
}

func TestCommandExitStatus(t *testing.T) {
	addrs := realServices(t)
	sendDemo(t, addrs.Kafka, "exit", feed.JPEG, 0, 1)
	good := []string{"--kafka=" + addrs.Kafka, "--user=erin", "--output=" + addrs.HDFS + "/user/erin/x", "--duration=2s"}
	for _, tc := range []struct {
		flags  []string
		status int
		stderr string
	}{
		{[]string{"--help"}, 0, ""},
		{append(good, "--topics=a b"), 2, "cannot be a topic"},
		{append(good, "--nonsense"), 2, "nonsense"},
		{append(good, "--topics=nowhere"), 2, "nowhere"},
		{append(good, "--topics=nowhere", "--kafka=127.0.0.1:1"), 1, "127.0.0.1:1"},
		{append(good, "--topics=exit", "--output=hdfs://127.0.0.1:1/x"), 1, "hdfs://erin@127.0.0.1:1/x"},
		{append([]string{"check"}, append(good, "--topics=exit")...), 0, ""},
		{append([]string{"check"}, append(good, "--topics=nowhere")...), 2, ""},
		{append([]string{"check"}, append(good, "--topics=exit", "--kafka=127.0.0.1:1")...), 1, ""},
		{append([]string{"check"}, append(good, "--cascade=missing.xml")...), 2, "missing.xml"},
		{append(good, "check"), 2, "only flags"},
	} {
		cmd, stderr := command(t, tc.flags...)
		err := cmd.Run()
		if status := cmd.ProcessState.ExitCode(); status != tc.status || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("%v: exit status %d (%v), want %d and %q in:\n%s", tc.flags, status, err, tc.status, tc.stderr, stderr)
		}
	}
}

// An interrupted or killed run leaves no process behind and commits nothing:
// the next run completes the window.
func TestCommandStopped(t *testing.T) {
	addrs := realServices(t)
	for _, tc := range []struct {
		name   string
		signal syscall.Signal
		status int
	}{
		{"interrupt", syscall.SIGINT, 130},
		{"kill", syscall.SIGKILL, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			topic, dir := "stopped-"+tc.name, "/user/frank/"+tc.name
			sent := sendDemo(t, addrs.Kafka, topic, feed.JPEG, 0, 60)
			summary := filepath.Join(t.TempDir(), "summary.json")
			flags := []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + topic, "--user=frank",
				"--output=" + addrs.HDFS + dir, "--summary=" + summary}
			cmd, stderr := command(t, append(flags, "--duration=5m")...)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { // its lines are not looked at, but must be taken
				for s := bufio.NewScanner(stdout); s.Scan(); {
				}
			}()
			// In mid window: a picture is there, and Prism and the JVM run.
			children := map[int]string{}
			await(t, "the first picture", func() bool {
				for pid, name := range descendants(t, cmd.Process.Pid) {
					children[pid] = name
				}
				return hasPicture(t, addrs.HDFS, dir)
			})
			if len(children) < 2 {
				t.Errorf("child processes %v, want Prism and the JVM that reads", children)
			}
			to := cmd.Process.Pid
			if tc.signal == syscall.SIGINT {
				to = -to // a terminal sends it to the whole group
			}
			if err := syscall.Kill(to, tc.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its status is looked at below
			if status := cmd.ProcessState.ExitCode(); status != tc.status {
				t.Errorf("exit status %d, want %d; stderr:\n%s", status, tc.status, stderr)
			}
			for pid := range children {
				await(t, fmt.Sprintf("the end of process %d (%s)", pid, children[pid]), func() bool { return !running(pid) })
			}
			if tc.signal == syscall.SIGINT {
				data, err := os.ReadFile(summary)
				if err != nil {
					t.Fatal(err)
				}
				var s Summary
				if err := json.Unmarshal(data, &s); err != nil || s.State != "CANCELLED" {
					t.Errorf("summary %s (%v), want state CANCELLED", data, err)
				}
			}
			// Nothing was committed, so all is read again.
			again := runOnce(t, optionsFor(t, append(flags, "--runner=direct", "--duration=15s")...))
			if again.RecordsRead != int64(len(sent)) {
				t.Errorf("the next run read %d records, want %d", again.RecordsRead, len(sent))
			}
			files := hdfsFiles(t, addrs.HDFS, dir)
			for name := range files { // of the killed attempt, and too young to be removed
				if tc.signal == syscall.SIGKILL && strings.HasPrefix(name, "_tmp/") {
					delete(files, name)
				}
			}
			got, want := names(pictures(t, files, "frank")), withFaces(sent)
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("pictures of %v, want %v", got, want)
			}
		})
	}
}

// await returns when is says true, and fails the test after some minutes.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	const patience = 3 * time.Minute
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		case <-tick.C:
		}
	}
}

// descendants returns the processes below pid, with their names.
func descendants(t *testing.T, pid int) map[int]string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	parent, name := map[int]int{}, map[int]string{}
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		id, parentID, comm := parseStat(string(data))
		parent[id], name[id] = parentID, comm
	}
	out := map[int]string{}
	for id := range parent {
		for up := parent[id]; up != 0; up = parent[up] {
			if up == pid {
				out[id] = name[id]
			}
		}
	}
	return out
}

// running says whether a process exists and is no zombie.
func running(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// parseStat reads /proc/PID/stat: "pid (comm) state ppid ...".
func parseStat(s string) (pid, parent int, comm string) {
	head, rest, _ := strings.Cut(s, ") ")
	id, comm, _ := strings.Cut(head, " (")
	pid, _ = strconv.Atoi(id)
	if fields := strings.Fields(rest); len(fields) > 1 {
		parent, _ = strconv.Atoi(fields[1])
	}
	return pid, parent, comm
}
