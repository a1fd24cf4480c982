package chaos_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"facestream/internal/proc"

	"github.com/colinmarc/hdfs/v2"

	"facestream/internal/stack/services"
	"facestream/runners"
)

// cluster is a real one of several processes.
type cluster struct {
	*services.Stack

	engine string
}

// startCluster returns the engine's cluster, a new one if it has none or if one of its
// processes was killed.
func startCluster(t *testing.T, engine string) *cluster {
	t.Helper()
	old := shared.clusters[engine]
	if old != nil && !slices.ContainsFunc(old.Processes(), func(p proc.Process) bool { return !p.Alive() }) {
		return old
	}
	if old != nil {
		delete(shared.clusters, engine)
		if err := old.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	// Always the same folder: a new cluster removes what the old one left.
	stack, err := services.Start(context.Background(), filepath.Join(shared.dir, engine), services.Options{
		Flink: engine == runners.Flink, Spark: engine == runners.Spark,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Stack: stack, engine: engine}
	shared.clusters[engine] = c
	return c
}

// flags are those of a run on the cluster, through its job server, or through
// one that the run starts.
func (c *cluster) flags(t *testing.T, ownJobServer bool) []string {
	t.Helper()
	out := []string{"--runner=" + c.engine}
	switch {
	case c.engine == runners.Flink && ownJobServer:
		out = append(out, "--master="+strings.TrimPrefix(c.FlinkWeb, "http://"))
	case c.engine == runners.Flink:
		out = append(out, "--endpoint="+c.Flink)
	case ownJobServer:
		out = append(out, "--master="+c.sparkMaster(t))
	default:
		out = append(out, "--endpoint="+c.Spark)
	}
	if c.engine == runners.Flink {
		out = append(out, "--parallelism=2")
	}
	return out
}

// sparkMaster asks the Master for the address that it takes jobs at.
func (c *cluster) sparkMaster(t *testing.T) string {
	t.Helper()
	var master struct{ URL string }
	getJSON(t, c.SparkWeb+"/json/", &master)
	return master.URL
}

// jobs returns those that have not ended.
func (c *cluster) jobs(t *testing.T) []string {
	t.Helper()
	var out []string
	if c.engine == runners.Spark {
		var master struct{ ActiveApps []struct{ ID string } }
		getJSON(t, c.SparkWeb+"/json/", &master)
		for _, app := range master.ActiveApps {
			out = append(out, app.ID)
		}
		return out
	}
	var overview struct {
		Jobs []struct{ Name, State string }
	}
	getJSON(t, c.FlinkWeb+"/jobs/overview", &overview)
	for _, job := range overview.Jobs {
		switch job.State {
		case "FINISHED", "FAILED", "CANCELED":
		default:
			out = append(out, job.Name+" "+job.State)
		}
	}
	return out
}

func getJSON(t *testing.T, url string, to any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

// process is one that runs on this machine.
type process struct {
	pid, parent int
	cmdline     string // joined by spaces
}

// processes returns all that run. One that was killed has no command line any
// more and is not among them.
func processes(t *testing.T) []process {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []process
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue // it has ended
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		// "pid (name) state parent ...", and the name may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatalf("%s/stat: %v", dir, err)
		}
		out = append(out, process{pid, parent, strings.ReplaceAll(string(cmdline), "\x00", " ")})
	}
	return out
}

// worker says whether the process is a Go worker that a cluster has started.
func (p process) worker() bool {
	return strings.HasPrefix(p.cmdline, shared.pipeline+" ") && strings.Contains(p.cmdline, "--provision_endpoint=")
}

// javaHarness says whether the process is the Java harness of a run on Prism.
func (p process) javaHarness() bool {
	return strings.Contains(p.cmdline, "FnHarness") && strings.Contains(p.cmdline, shared.root)
}

// prism says whether the process is the Prism of a run.
func (p process) prism() bool {
	return strings.HasPrefix(p.cmdline, shared.pipeline+" "+runners.PrismCommand+" ")
}

// connected says whether the process has a connection to a port of this
// machine. Where that is known, is in proc(5).
func (p process) connected(t *testing.T, port int) bool {
	t.Helper()
	sockets := map[string]bool{}
	dir := filepath.Join("/proc", strconv.Itoa(p.pid))
	files, _ := filepath.Glob(filepath.Join(dir, "fd", "*")) // its only error is a bad pattern
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil { // it may have been closed
			sockets[target] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		lines, err := os.ReadFile(filepath.Join(dir, "net", table))
		if errors.Is(err, fs.ErrNotExist) {
			return false // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(lines)) {
			const remote, state, inode, established = 2, 3, 9, "01"
			fields := strings.Fields(line)
			if fields[state] == established && sockets["socket:["+fields[inode]+"]"] &&
				strings.HasSuffix(fields[remote], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}

// executor says whether the process is an executor of these tests' Spark.
func (p process) executor() bool {
	return strings.Contains(p.cmdline, "CoarseGrainedExecutorBackend") && strings.Contains(p.cmdline, shared.dir)
}

// find returns the first process that is.
func find(t *testing.T, what string, is func(process) bool) process {
	t.Helper()
	all := processes(t)
	i := slices.IndexFunc(all, is)
	if i < 0 {
		t.Fatalf("no process is %s", what)
	}
	return all[i]
}

// await returns when is says true, and fails the test after a minute.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited %v for this: %s", patience, what)
		case <-tick.C:
		}
	}
}

// pictures returns the SHA-256 of every file below a folder of HDFS, by its
// path below it, but not of what the pipeline has there for itself.
func pictures(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	walk(t, dir, func(client *hdfs.Client, name string) error {
		if strings.HasPrefix(name, "_") {
			return nil
		}
		data, err := client.ReadFile(path.Join(dir, name))
		sum := sha256.Sum256(data)
		out[name] = hex.EncodeToString(sum[:])
		return err
	})
	return out
}

// walk gives every file below a folder of HDFS, with its path below it. A
// missing folder has none.
func walk(t *testing.T, dir string, visit func(client *hdfs.Client, name string) error) {
	t.Helper()
	client, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(shared.stack.HDFS, "hdfs://")}, User: "hdfs"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Walk(dir, func(name string, info fs.FileInfo, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it came and went
		}
		if err != nil || info.IsDir() {
			return err
		}
		return visit(client, strings.TrimPrefix(name, dir+"/"))
	})
	if err != nil {
		t.Fatal(err)
	}
}
