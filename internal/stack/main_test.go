package stack

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/proc"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

func TestParseUp(t *testing.T) {
	// What the ports' flags become.
	type addrs = map[string]string
	for line, want := range map[string]wanted{
		"":                                {services: []string{"kafka", "hdfs"}},
		"kafka":                           {services: []string{"kafka"}},
		"hdfs kafka hdfs":                 {services: []string{"hdfs", "kafka"}},
		"flink spark":                     {services: []string{"flink", "spark"}},
		"kafka --kafka_port=9092":         {services: []string{"kafka"}, addrs: addrs{"kafka": "127.0.0.1:9092"}},
		"--kafka_port=0 --web_port=65535": {services: []string{"kafka", "hdfs"}, webAddrs: addrs{"hdfs": "127.0.0.1:65535"}},
		"--hdfs_port=1 hdfs --web_port 2": {
			services: []string{"hdfs"}, addrs: addrs{"hdfs": "127.0.0.1:1"}, webAddrs: addrs{"hdfs": "127.0.0.1:2"},
		},
		"spark --spark_port=1 --spark_web_port=2 flink --flink_port=3 --flink_web_port=4": {
			services: []string{"spark", "flink"},
			addrs:    addrs{"spark": "127.0.0.1:1", "flink": "127.0.0.1:3"},
			webAddrs: addrs{"spark": "127.0.0.1:2", "flink": "127.0.0.1:4"},
		},
	} {
		got, err := parseUp(strings.Fields(line))
		if err != nil {
			t.Errorf("up %s: %v", line, err)
			continue
		}
		if !slices.Equal(got.services, want.services) || !maps.Equal(got.addrs, want.addrs) || !maps.Equal(got.webAddrs, want.webAddrs) {
			t.Errorf("up %s: got %+v, want %+v", line, got, want)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for line, want := range map[string]string{
		"":                          "up, down, status or env",
		"start":                     `"start"`,
		"down kafka":                `"kafka"`,
		"up storm":                  `"storm", but kafka, hdfs, flink and spark`,
		"up flink --spark_port=1":   "--spark_port is set, but only flink",
		"up --port=1":               "-port",
		"up --kafka_port=65536":     "65535",
		"up --kafka_port=-1":        "65535",
		"up --web_port=nine":        "nine",
		"up kafka --hdfs_port=9000": "--hdfs_port",
	} {
		err := run(t.Context(), strings.Fields(line), &bytes.Buffer{})
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("stack %s: got error %v, want a wrong command line with %q", line, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, line := range []string{"--help", "-h", "help", "up --help"} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields(line), &out); err != nil || out.String() != help {
			t.Errorf("stack %s: got error %v and %q", line, err, out.String())
		}
	}
}

// command is the built program with a project folder of its own.
type command struct {
	path string
	dir  string // of the stack
}

// newCommand builds the program and gives it an empty project folder with this
// project's Java parts, so that a developer's own stack is left alone.
func newCommand(t *testing.T) command {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real services")
	}
	build, err := paths.Build()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "build"), dirMode); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(build, "java"), filepath.Join(root, "build", "java")); err != nil {
		t.Fatal(err)
	}
	c := command{path: filepath.Join(root, "stack"), dir: filepath.Join(root, "build", "stack")}
	if out, err := exec.Command("go", "build", "-o", c.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("FACESTREAM_ROOT", root)
	t.Cleanup(func() {
		if out, err := exec.Command(c.path, "down").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return c
}

// run runs the program and returns its output; it must succeed.
func (c command) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(c.path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("stack %q: %v: %s", args, err, out)
	}
	return string(out)
}

// processes returns what the stack's state lists.
func (c command) processes(t *testing.T) []proc.Process {
	t.Helper()
	stack, err := state.Load(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	var procs []proc.Process
	for _, name := range state.Services {
		procs = append(procs, stack[name].Processes...)
	}
	return procs
}

func TestUpAndDown(t *testing.T) {
	c := newCommand(t)
	if out := c.run(t, "env"); out != "" {
		t.Errorf("env before up: %q", out)
	}

	// Two at once start one stack.
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if out, err := exec.Command(c.path, "up").CombinedOutput(); err != nil {
				t.Errorf("up: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	procs := c.processes(t)
	if len(procs) != 3 {
		t.Fatalf("the processes are %+v, want a broker, a NameNode and a DataNode", procs)
	}
	addrs, ok := state.Running()
	if !ok {
		t.Fatal("nothing runs after up")
	}
	if got, want := c.run(t, "env"), "KAFKA="+addrs.Kafka+"\nHDFS="+addrs.HDFS+"\nHDFS_WEB="+addrs.Web+"\n"; got != want {
		t.Errorf("env: got %q, want %q", got, want)
	}
	for _, want := range []string{"kafka is running at " + addrs.Kafka, addrs.Web + "/explorer.html", procs[2].Log} {
		if got := c.run(t, "status"); !strings.Contains(got, want) {
			t.Errorf("status does not hold %q: %s", want, got)
		}
	}

	// What has died comes back with its data, at its place; the rest stays.
	nameNode := strings.TrimPrefix(addrs.HDFS, "hdfs://")
	client := dialHDFS(t, nameNode)
	if err := client.Mkdir("/user/alice", dirMode); err != nil {
		t.Fatal(err)
	}
	if err := procs[2].End(time.Minute); err != nil {
		t.Fatal(err)
	}
	if addrs, _ := state.Running(); addrs.HDFS != "" || addrs.Kafka == "" {
		t.Errorf("without the DataNode, what runs is %+v", addrs)
	}
	if got := c.run(t, "status"); !strings.Contains(got, "hdfs is not running") {
		t.Errorf("status without the DataNode: %s", got)
	}
	c.run(t, "up", "hdfs")
	if again, _ := state.Running(); again != addrs {
		t.Errorf("after the second up it is at %+v, want %+v", again, addrs)
	}
	after := c.processes(t)
	if len(after) != 3 || after[0] != procs[0] || after[1] == procs[1] {
		t.Errorf("the processes were %+v and are %+v", procs, after)
	}
	if _, err := dialHDFS(t, nameNode).Stat("/user/alice"); err != nil {
		t.Errorf("the data was lost: %v", err)
	}

	// Given addresses are held, or refused.
	if out, err := exec.Command(c.path, "up", "--kafka_port=1").CombinedOutput(); err == nil || !strings.Contains(string(out), addrs.Kafka) {
		t.Errorf("up elsewhere: %v: %s", err, out)
	}

	c.run(t, "down")
	for _, p := range append(procs, after...) {
		if p.Alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
	for _, addr := range []string{addrs.Kafka, nameNode, strings.TrimPrefix(addrs.Web, "http://")} {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			t.Errorf("somebody answers at %s", addr)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(c.dir)); err != nil || len(left) != 1 {
		t.Errorf("left in the build folder: %v, %v, want only the Java parts", left, err)
	}
	c.run(t, "down")
}

// A cluster is one service: without one of its processes it does not run, and
// comes back whole, at its place.
func TestUpAndDownFlink(t *testing.T) {
	c := newCommand(t)
	c.run(t, "up", "flink")
	procs := c.processes(t)
	if len(procs) != 4 {
		t.Fatalf("the processes are %+v, want a JobManager, two TaskManagers and a job server", procs)
	}
	addrs, _ := state.Running()
	if got, want := c.run(t, "env"), "FLINK_ENDPOINT="+addrs.Flink+"\nFLINK_WEB="+addrs.FlinkWeb+"\n"; got != want {
		t.Errorf("env: got %q, want %q", got, want)
	}
	for _, want := range []string{"flink is running at " + addrs.Flink, "web pages " + addrs.FlinkWeb, "taskmanager-2", "spark is not running"} {
		if got := c.run(t, "status"); !strings.Contains(got, want) {
			t.Errorf("status does not hold %q: %s", want, got)
		}
	}

	if err := procs[1].End(0); err != nil {
		t.Fatal(err)
	}
	if left, ok := state.Running(); ok {
		t.Errorf("without a TaskManager, what runs is %+v", left)
	}
	c.run(t, "up", "flink")
	if again, _ := state.Running(); again != addrs {
		t.Errorf("after the second up it is at %+v, want %+v", again, addrs)
	}
	after := c.processes(t)
	if len(after) != len(procs) {
		t.Errorf("the processes were %+v and are %+v", procs, after)
	}

	c.run(t, "down")
	for _, p := range append(procs, after...) {
		if p.Alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
}

func dialHDFS(t *testing.T, addr string) *hdfs.Client {
	t.Helper()
	client, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{addr}, User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestInterruptedUp(t *testing.T) {
	c := newCommand(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	up := exec.CommandContext(ctx, c.path, "up")
	var out bytes.Buffer
	up.Stdout, up.Stderr = &out, &out
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	var procs []proc.Process
	for len(procs) == 0 && ctx.Err() == nil {
		time.Sleep(lockPoll)
		procs = c.processes(t)
	}
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = up.Wait()
	if code := up.ProcessState.ExitCode(); code != exitFailure {
		t.Errorf("exit status %d, want %d: %s", code, exitFailure, out.String())
	}
	procs = c.processes(t) // there may be more than at the time of the signal
	if len(procs) == 0 {
		t.Fatal("no process was started")
	}
	for _, p := range procs {
		if p.Alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
	if addrs, ok := state.Running(); ok {
		t.Errorf("what runs is %+v", addrs)
	}
}
