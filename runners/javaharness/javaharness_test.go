package javaharness

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// jvm is the other end of the socket, in a folder that the launcher is told of.
// It answers what it is told, or nothing, and returns the lines that it was sent.
func jvm(t *testing.T, answer []byte) (lines <-chan []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(dirEnv, dir)
	t.Chdir(dir)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan []string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		size := make([]byte, 4)
		if _, err := io.ReadFull(conn, size); err != nil {
			t.Error(err)
		}
		text := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(conn, text); err != nil {
			t.Error(err)
		}
		if _, err := conn.Write(answer); err != nil {
			t.Error(err)
		}
		got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		slices.Sort(got)
		out <- got
	}()
	return out
}

func TestServe(t *testing.T) {
	lines := jvm(t, []byte{0})
	if err := serve(map[string]string{"A": "1=2", "B": "x\ny"}); err != nil {
		t.Error(err)
	}
	if got, want := <-lines, []string{"A=1=2", "B=x y"}; !slices.Equal(got, want) {
		t.Errorf("the JVM was sent %q, want %q", got, want)
	}
}

func TestServeByAJVMThatDies(t *testing.T) {
	lines := jvm(t, nil)
	if err := serve(map[string]string{"A": "1"}); err == nil || !strings.Contains(err.Error(), "has died") {
		t.Errorf("got %v", err)
	}
	<-lines
}

func TestServeWithoutAJVM(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(dirEnv, dir)
	t.Chdir(dir)
	if err := serve(nil); err == nil || !strings.Contains(err.Error(), "looking for the Java harness") {
		t.Errorf("got %v", err)
	}
}

// The launcher is asked for by what Environment sets.
func TestEnvironmentIsWanted(t *testing.T) {
	if Wanted() {
		t.Fatal("wanted before it is asked for")
	}
	text, err := Environment("program", "/some/dir")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Command string            `json:"command"`
		Env     map[string]string `json:"env"`
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil || config.Command != "program" {
		t.Errorf("%s: %v", text, err)
	}
	for name, value := range config.Env {
		t.Setenv(name, value)
	}
	if !Wanted() {
		t.Errorf("not wanted with %v", config.Env)
	}
}

func TestMainRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"--id=x"}, {"--provision_endpoint=x"}, {"--id=''", "--provision_endpoint=x"}, {"--nonsense"}} {
		if err := Main(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
