// Package faults_test kills parts of a running pipeline, kill -9 in the middle
// of a window, and looks at what is left of it: case 13 of what must hold when
// things go wrong.
package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"facestream/internal/proc"
	"facestream/internal/record"

	"github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/paths"
	"facestream/internal/stack/services"
	"facestream/runners"
	"facestream/transforms/store"
)

const (
	topic      = "faults"
	partitions = 4
	slots      = 2  // of each cluster
	frames     = 60 // with the default parameters, two slots are busy with them for four seconds
	user       = "zoe"

	patience = 3 * time.Minute // for what must come to pass
)

// bad are records of which no picture comes, among the frames: half of them are
// skipped, half are rejected.
var bad = [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000)}

// shared is what all tests use.
var shared struct {
	dir      string // of everything but Kafka's and HDFS's files
	root     string // of the runs: the program, its logs and its temporary files
	pipeline string // the program

	stack    *services.Stack // Kafka and HDFS
	clusters map[string]*cluster
	ends     map[int32]int64   // records of the topic by partition
	peak     int64             // resident memory of a run that nothing happened to, in KB
	want     map[string]string // SHA-256 by name, of the pictures of a run that nothing happened to
}

func TestMain(m *testing.M) {
	status := m.Run()
	stacks := map[string]*services.Stack{"Kafka and HDFS": shared.stack}
	for engine, c := range shared.clusters {
		stacks[engine] = c.Stack
	}
	for name, stack := range stacks {
		if stack == nil {
			continue
		}
		if err := stack.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping %s: %v\n", name, err)
			status = 1
		}
	}
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, "removing the tests' folder:", err)
			status = 1
		}
	}
	os.Exit(status)
}

var prepareOnce sync.Once

// prepare builds the program, starts Kafka and HDFS, fills the topic and
// computes the pictures that every test must end with.
func prepare(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	prepareOnce.Do(func() {
		var err error
		if shared.dir, err = os.MkdirTemp("", "facestream-faults-"); err != nil {
			t.Fatal(err)
		}
		shared.root = filepath.Join(shared.dir, "project")
		shared.pipeline = filepath.Join(shared.root, "pipeline")
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", shared.pipeline, "facestream/pipeline")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the pipeline: %v\n%s", err, out)
		}
		// A project's root of its own, so that its logs and temporary files are
		// nobody else's.
		project, err := paths.Build()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(shared.root, "build"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(project, "java"), filepath.Join(shared.root, "build", "java")); err != nil {
			t.Fatal(err)
		}
		shared.clusters = map[string]*cluster{}
		shared.stack, err = services.Start(context.Background(), filepath.Join(shared.dir, "stack"), services.Options{Kafka: true, HDFS: true})
		if err != nil {
			t.Fatal(err)
		}
		shared.ends = fill(t)
		r := newRun("undisturbed", "--runner="+runners.Prism)
		r.start(t)
		r.finish(t, 0)
		shared.want = pictures(t, r.dir)
		shared.peak = r.peak()
		if len(shared.want) != frames*2/3 { // every third frame of the demo has no face
			t.Fatalf("the undisturbed run stored %d pictures, want %d", len(shared.want), frames*2/3)
		}
		r.check(t)
	})
	if shared.want == nil {
		t.Fatal("the preparations failed")
	}
}

// fill makes the topic and returns how many records each partition has.
func fill(t *testing.T) map[int32]int64 {
	t.Helper()
	demo, err := video.NewDemo(frames)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int32]int64{}
	send := func(n int) {
		sent, err := feed.Send(t.Context(), feed.Config{
			Brokers: []string{shared.stack.Kafka}, Topic: topic, Partitions: partitions, Camera: "demo", Format: feed.JPEG, Frames: n,
		}, demo)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sent {
			ends[s.Partition] = max(ends[s.Partition], s.Offset+1)
		}
	}
	send(frames / 2)
	client, err := kgo.NewClient(kgo.SeedBrokers(shared.stack.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, value := range bad {
		r := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: value}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
	}
	send(frames / 2)
	var total int64
	for _, end := range ends {
		total += end
	}
	if len(ends) != partitions || total != int64(frames+len(bad)) {
		t.Fatalf("the topic's partitions end at %v, want %d records on %d partitions", ends, frames+len(bad), partitions)
	}
	return ends
}

// run is the pipeline as a process of its own, with a group and an output
// folder that no other test has. It can be started again.
type run struct {
	name    string
	group   string
	hdfs    string // hdfs://host:port
	dir     string // in HDFS
	flags   []string
	summary string // file
	killed  bool   // something of it was

	cmd            *exec.Cmd
	stdout, stderr *bytes.Buffer
	ended          chan struct{}
}

func newRun(name string, flags ...string) *run {
	r := &run{
		name: name, group: name, hdfs: shared.stack.HDFS, dir: "/user/" + user + "/" + name,
		summary: filepath.Join(shared.root, name+".json"),
	}
	r.flags = r.with(flags)
	return r
}

// with completes the flags that say where the run runs.
func (r *run) with(runner []string) []string {
	return append(runner,
		"--kafka="+shared.stack.Kafka, "--topics="+topic, "--group="+r.group, "--user="+user,
		"--output="+r.hdfs+r.dir, "--summary="+r.summary, "--duration=5m", "--drain")
}

// start starts the run, or the next run of the same group. It is killed with
// the test.
func (r *run) start(t *testing.T) {
	t.Helper()
	if err := os.Remove(r.summary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	r.stdout, r.stderr, r.ended = &bytes.Buffer{}, &bytes.Buffer{}, make(chan struct{})
	cmd := exec.Command(shared.pipeline, r.flags...)
	cmd.Env = append(os.Environ(), "FACESTREAM_ROOT="+shared.root)
	cmd.Stdout, cmd.Stderr = r.stdout, r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.cmd = cmd
	ended := r.ended
	go func() {
		_ = cmd.Wait() // its status is looked at in finish
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // as a rule it has ended
		<-ended
	})
}

// peak is the most resident memory that the ended run had, in KB.
func (r *run) peak() int64 { return r.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss }

// next starts the next run of the same group, on the same kind of runner, which
// must complete what the one before it has not.
func (r *run) next(t *testing.T, flags ...string) {
	t.Helper()
	r.checkFailed(t)
	r.flags = r.with(flags)
	r.start(t)
	r.finish(t, 0)
}

// finish waits for the end of the run, which must have the exit status, and
// returns its summary. A run that was killed has none.
func (r *run) finish(t *testing.T, status int) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(2 * patience):
		_ = r.cmd.Process.Kill()
		<-r.ended
		t.Fatalf("%s ran on for %v:\n%s%s", r.name, 2*patience, r.stdout, r.stderr)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != status {
		t.Fatalf("%s: exit status %d, want %d:\n%s%s", r.name, got, status, r.stdout, r.stderr)
	}
	t.Logf("%s, exit status %d:\n%s%s", r.name, status, r.stdout, r.stderr)
	// What the run says of itself must agree with its exit status.
	data, err := os.ReadFile(r.summary)
	if status < 0 && errors.Is(err, fs.ErrNotExist) {
		return
	}
	var s struct{ State string }
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || (s.State == "DONE") != (status == 0) {
		t.Fatalf("%s: exit status %d, but its summary is %q (%v)", r.name, status, data, err)
	}
}

// awaitFirstPicture returns when the window under way has stored its first
// picture, which is long before it has stored all.
func (r *run) awaitFirstPicture(t *testing.T) {
	t.Helper()
	r.await(t, "its first picture", func() bool { return r.stored(t) > 0 })
}

// awaitReading returns when the Java harness has turned to Kafka. Before it has
// read the window, it must find the partitions and their offsets.
func (r *run) awaitReading(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(shared.stack.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, "its Java harness turns to Kafka", func() bool {
		return slices.ContainsFunc(processes(t), func(p process) bool { return p.javaHarness() && p.connected(t, broker) })
	})
}

// kill kills a process of the run in the middle of a window, and waits until it
// is gone.
func (r *run) kill(t *testing.T, pid int) {
	t.Helper()
	p, err := proc.NewProcess("victim", pid, "")
	if err != nil {
		t.Fatal(err)
	}
	there := r.stored(t) // before it is the NameNode that is killed
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the killed process", func() bool { return !p.Alive() })
	r.killed = true
	t.Logf("killed when %d of %d pictures were there", there, len(shared.want))
}

// stored returns how many pictures are there, by names alone: files may come
// and go. It fails the test if the window is over.
func (r *run) stored(t *testing.T) int {
	t.Helper()
	n := 0
	walk(t, r.dir, func(_ *hdfs.Client, name string) error {
		if strings.HasPrefix(name, "_windows/") {
			t.Fatalf("%s: the window is over: there is %s", r.name, name)
		}
		if !strings.HasPrefix(name, "_") {
			n++
		}
		return nil
	})
	return n
}

func (r *run) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	await(t, r.name+": "+what, func() bool {
		select {
		case <-r.ended:
			t.Fatalf("%s ended with exit status %d before %s:\n%s%s", r.name, r.cmd.ProcessState.ExitCode(), what, r.stdout, r.stderr)
		default:
		}
		return is()
	})
}

// checkFailed looks at what a run has left that has not completed its window.
func (r *run) checkFailed(t *testing.T) {
	t.Helper()
	if lines := strings.Count(r.stderr.String(), "\n"); lines > maxLines {
		t.Errorf("%s: the error has %d lines, want at most %d:\n%s", r.name, lines, maxLines, r.stderr)
	}
	t.Logf("%s: it says: %s", r.name, r.stderr)
	if committed := r.committed(t); len(committed) > 0 {
		t.Errorf("%s: it has committed %v, want nothing", r.name, committed)
	}
}

// check looks at what is left when a run has completed the topic: exactly the
// pictures of the undisturbed run, every record in one ledger, the offsets
// committed, and nothing else.
func (r *run) check(t *testing.T) {
	t.Helper()
	got := pictures(t, r.dir)
	for name, sum := range shared.want {
		if got[name] != sum {
			t.Errorf("%s: %s has SHA-256 %q, want %q", r.name, name, got[name], sum)
		}
	}
	for name := range got {
		if _, ok := shared.want[name]; !ok {
			t.Errorf("%s: %s is no picture of the undisturbed run", r.name, name)
		}
	}
	if committed := r.committed(t); !maps.Equal(committed, shared.ends) {
		t.Errorf("%s: the committed offsets are %v, want %v", r.name, committed, shared.ends)
	}
	r.checkLedgers(t)
	r.checkNothingLeft(t)
}

// committed returns the offsets of the run's group by partition.
func (r *run) committed(t *testing.T) map[int32]int64 {
	t.Helper()
	out := map[int32]int64{}
	client, err := kgo.NewClient(kgo.SeedBrokers(shared.stack.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), r.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.At })
	return out
}

// checkLedgers adds the ledgers up: every record of the topic is in exactly one
// of them.
func (r *run) checkLedgers(t *testing.T) {
	t.Helper()
	ranges := map[int32][]record.Range{}
	var sum store.Partition
	walk(t, r.dir, func(client *hdfs.Client, name string) error {
		if !strings.HasPrefix(name, "_windows/") {
			return nil
		}
		data, err := client.ReadFile(path.Join(r.dir, name))
		if err != nil {
			return err
		}
		var l store.Ledger
		if err := json.Unmarshal(data, &l); err != nil {
			return err
		}
		for _, p := range l.Partitions {
			read, rejected := int64(0), int64(0)
			for _, o := range p.Offsets {
				read += o.Last - o.First + 1
			}
			for _, n := range p.Rejected {
				rejected += n
			}
			if p.Topic != topic || p.Read != read || p.Read != p.Decoded+p.Skipped+rejected {
				t.Errorf("%s: %s does not add up: %+v", r.name, name, p)
			}
			ranges[p.Partition] = append(ranges[p.Partition], p.Offsets...)
			sum.Decoded += p.Decoded
			sum.Skipped += p.Skipped
			sum.Files += p.Files
		}
		return nil
	})
	for p, end := range shared.ends {
		slices.SortFunc(ranges[p], func(a, b record.Range) int { return int(a.First - b.First) })
		next, once := int64(0), true
		for _, o := range ranges[p] {
			once = once && o.First == next
			next = o.Last + 1
		}
		if !once || next != end {
			t.Errorf("%s: the ledgers have the offsets %v of partition %d, want each of 0 to %d once", r.name, ranges[p], p, end-1)
		}
	}
	if sum.Decoded != frames || sum.Skipped != int64(len(bad)/2) || sum.Files != int64(len(shared.want)) {
		t.Errorf("%s: the ledgers count %d decoded, %d skipped, %d files; want %d, %d, %d",
			r.name, sum.Decoded, sum.Skipped, sum.Files, frames, len(bad)/2, len(shared.want))
	}
}

// checkTemporaryFiles looks below _tmp. A process that is killed between the
// first byte of a file and its renaming leaves it there, and so does a job that
// goes on without its driver; if it was not the run's end that removed it, it is
// for a later run, when it is old enough. Each slot may have had as many under
// way as it writes at a time. Without a kill there is none.
func (r *run) checkTemporaryFiles(t *testing.T) {
	t.Helper()
	var left []string
	walk(t, r.dir, func(_ *hdfs.Client, name string) error {
		if strings.HasPrefix(name, "_tmp/") {
			left = append(left, name)
		}
		return nil
	})
	if len(left) == 0 {
		return
	}
	const each = 4 // what a slot writes at a time
	t.Logf("%s: left in HDFS: %v", r.name, left)
	if !r.killed || len(left) > slots*each+1 { // and a ledger
		t.Errorf("%s: there are too many", r.name)
	}
}

// checkNothingLeft waits for the end of every process and job, and looks for
// temporary files.
func (r *run) checkNothingLeft(t *testing.T) {
	t.Helper()
	var still process
	defer func() {
		if t.Failed() && still.pid != 0 {
			t.Logf("%s: process %d of %d is left: %s", r.name, still.pid, still.parent, still.cmdline)
		}
	}()
	await(t, r.name+": no process is left of it", func() bool {
		still = process{}
		for _, p := range processes(t) {
			if strings.Contains(p.cmdline, shared.root) || p.executor() {
				still = p
			}
		}
		return still.pid == 0
	})
	for engine, c := range shared.clusters {
		await(t, fmt.Sprintf("%s: no job of it runs on %s", r.name, engine), func() bool { return len(c.jobs(t)) == 0 })
	}
	r.checkTemporaryFiles(t)
	left, err := filepath.Glob(filepath.Join(shared.root, "build", "tmp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%s: %v is left (%v)", r.name, left, err)
	}
}
