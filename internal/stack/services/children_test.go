package services

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/proc"
)

// helperEnv makes the test program start a process, say which, and wait to be
// killed. Its value is "bound" or "detached".
const helperEnv = "FACESTREAM_SERVICES_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(helperEnv); kind != "" {
		helper(kind, os.Args[1])
	}
	os.Exit(m.Run())
}

func helper(kind, dir string) {
	c := &children{java: filepath.Join(dir, "java"), logs: dir}
	if kind == "detached" {
		c.started = func(string, proc.Process) error { return nil }
	}
	child, err := c.start(javaProgram{name: "sleep", conf: filepath.Join(dir, "conf")})
	if err != nil {
		panic(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(child.Process); err != nil {
		panic(err)
	}
	select {}
}

// fakeJava writes a program in place of java to dir.
func fakeJava(t *testing.T, dir, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "java"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// await waits until a condition holds, and fails the test if it does not.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestChildOfKilledProcess(t *testing.T) {
	for kind, survives := range map[string]bool{"bound": false, "detached": true} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			// The shell learns who its parent is before it does anything.
			begun, survived := filepath.Join(dir, "begun"), filepath.Join(dir, "survived")
			fakeJava(t, dir, "touch "+begun+"; while [ -d /proc/$PPID ]; do sleep 0.05; done; touch "+survived+"; exec sleep 600")
			parent := exec.Command(os.Args[0], dir)
			parent.Env = append(os.Environ(), helperEnv+"="+kind)
			parent.Stderr = os.Stderr
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			kill := func() {
				_ = parent.Process.Kill()
				_ = parent.Wait()
			}
			defer kill()
			var child proc.Process
			if err := json.NewDecoder(out).Decode(&child); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := child.End(0); err != nil {
					t.Error(err)
				}
			}()
			await(t, "the child begins", func() bool {
				_, err := os.Stat(begun)
				return err == nil
			})
			alive := child.Alive()
			kill()
			if !alive {
				t.Fatal("the child did not run")
			}
			if survives {
				await(t, "the child goes on without its parent", func() bool {
					_, err := os.Stat(survived)
					return err == nil
				})
			} else {
				await(t, "the child dies with its parent", func() bool { return !child.Alive() })
			}
		})
	}
}

func TestRunSaysWhyItFailed(t *testing.T) {
	dir := t.TempDir()
	fakeJava(t, dir, "seq 1 100; echo the reason >&2; exit 3")
	c := &children{java: filepath.Join(dir, "java"), logs: dir}
	err := c.run(t.Context(), javaProgram{name: "failing", conf: filepath.Join(dir, "conf")})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if want := "failing ended: exit status 3"; lines[0] != want {
		t.Errorf("it begins with %q, want %q", lines[0], want)
	}
	if want := filepath.Join(dir, "failing.log") + ":"; lines[1] != want {
		t.Errorf("then comes %q, want %q", lines[1], want)
	}
	// The last 20 lines of 101: 82 to 100, and the reason.
	log := lines[2:]
	if len(log) != 20 || strings.TrimSpace(log[0]) != "82" || strings.TrimSpace(log[19]) != "the reason" {
		t.Errorf("it shows %d lines of the log: %q", len(log), log)
	}
}
