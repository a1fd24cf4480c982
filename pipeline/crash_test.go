package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"facestream/internal/camera/video"
	"facestream/internal/config"
	"facestream/internal/run"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/internal/testkit/tracedfs"
	"facestream/transforms/face"
	"facestream/transforms/store"
)

// A process of this test does crashingRuns, as JSON in its environment, and nothing else.
const crashingEnv = "FACESTREAM_CRASHING_RUNS"

// crashingRun is one that the process makes into a folder of this machine.
type crashingRun struct {
	Flags []string
	Dir   string
	Crash int64            // the call of the file system at which the process is killed; 0 for none
	Purge *store.Selection // if it is a purge, without flags

	Notified func() []string `json:"-"` // the records whose events --notify got, if the run has it
}

// crashAt is the number of the call of the file system at which the process is killed.
var crashAt, crashCalls atomic.Int64

// crashingMain makes the runs, and returns the exit status.
func crashingMain() int {
	// The instant before the call does anything.
	tracedfs.Register(func(string, string) {
		if crashCalls.Add(1) == crashAt.Load() {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	var runs []crashingRun
	err := json.Unmarshal([]byte(os.Getenv(crashingEnv)), &runs)
	for _, r := range runs {
		var o config.Options
		if r.Purge != nil && err == nil {
			crashAt.Store(r.Crash)
			_, err = store.Purge(context.Background(), store.Config{Root: tracedfs.Name(r.Dir), Run: "purge"}, *r.Purge, nil, false, func(store.Freed) {})
			continue
		}
		if err == nil {
			o, err = config.Parse(r.Flags...)
		}
		if err == nil {
			o.Output = tracedfs.Name(r.Dir)
			crashCalls.Store(0)
			crashAt.Store(r.Crash)
			_, err = run.Run(context.Background(), o, Build, filepath.Dir(r.Dir), os.Stdout)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// Case 28: whichever call of the file system is the last one that the process makes, the
// next run completes what is missing. Pictures, rejects, events and counts are then those
// of the log, which is read in windows of some records, with and without max_fps and
// cooldown, and --notify gets each event.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	addrs, topic := realServices(t), testservices.Name("crashes")
	const total = 10
	log := samplingLog(rand.New(rand.NewPCG(5, 6)), total)
	values := samplingValues(t, func(p video.Picture) []byte { return jpegOf(t, p) })
	// Of such, a window holds one.
	values[showsLeft] = samplingFrames(t)[showsLeft].BGR
	send(t, newTopic(t, addrs.Kafka, topic, 2), sampledRecords(log, values)...)
	runOf := func(dir, group string, crash int64, flags ...string) crashingRun {
		return crashingRun{Dir: dir, Crash: crash, Flags: append([]string{
			"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + group, "--output=/unused", "--state_dir=" + t.TempDir(),
			"--runner=direct", "--drain", "--latest", "--min_face=100", "--scale_factor=1.3", "--window_bytes=1MiB"}, flags...)}
	}
	every := int64(9)
	if testkit.All() {
		every = 1
	}
	_, sampled := wantSampled(topic, log)
	var all []string // of the records with a file, when nothing is left out
	for _, r := range log {
		if r.shows != showsNull && r.shows != showsNothing {
			all = append(all, recordName(topic, r.partition, r.offset))
		}
	}
	slices.Sort(all)
	var mu sync.Mutex
	notified := map[string][]string{} // by group
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e face.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		notified[r.URL.Path] = append(notified[r.URL.Path], recordName(e.Topic, e.Partition, e.Offset))
	}))
	defer hook.Close()
	for name, mode := range map[string]struct {
		flags []string
		want  []string // records with a picture or a reject
	}{
		"all":     {nil, all},
		"sampled": {[]string{"--max_fps=2.5", "--cooldown=2s", "--store=parquet"}, sampled},
	} {
		t.Run(name, func(t *testing.T) {
			// Of two processes at a time, each completes what the one before it has left, and
			// then crashes in a folder of its own.
			var chains sync.WaitGroup
			var steps atomic.Int64
			for first := range int64(2) {
				chains.Go(func() {
					last, ended := crashingRun{}, false
					for n := 1 + first*every; !ended; n += 2 * every {
						group := fmt.Sprintf("crashes-%s-%d", name, n)
						next := runOf(filepath.Join(t.TempDir(), "faces"), group, n, mode.flags...)
						if name == "all" {
							next.Flags = append(next.Flags, "--notify="+hook.URL+"/"+group)
							next.Notified = func() []string {
								mu.Lock()
								defer mu.Unlock()
								return slices.Compact(slices.Sorted(slices.Values(notified["/"+group])))
							}
						}
						runs := []crashingRun{next}
						if last.Crash > 0 {
							runs = []crashingRun{{Flags: last.Flags, Dir: last.Dir}, next}
						}
						var ok bool
						if ended, ok = crash(t, runs); !ok {
							return
						}
						if last.Crash > 0 {
							mustBeComplete(t, last, topic, log, mode.want)
						}
						if last = next; ended {
							mustBeComplete(t, last, topic, log, mode.want)
							steps.Store(max(steps.Load(), n))
						}
					}
				})
			}
			chains.Wait()
			t.Logf("a run makes some %d calls", steps.Load())
		})
	}
	// A run that dies again and again, each time some steps later, and each time in what
	// the one before has left.
	dir := filepath.Join(t.TempDir(), "faces")
	for n, ended := int64(1), false; !ended; n += 2 * every {
		r := runOf(dir, "crashes-again", n, "--store=parquet")
		var ok bool
		if ended, ok = crash(t, []crashingRun{r}); !ok {
			return
		}
		if ended {
			mustBeComplete(t, r, topic, log, all)
		}
	}
}

// crash makes runs in a process of their own, and reports whether it lived to its end.
func crash(t *testing.T, runs []crashingRun) (ended, ok bool) {
	what, err := json.Marshal(runs)
	if err != nil {
		t.Error(err)
		return false, false
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashingEnv+"="+string(what))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return false, true
	}
	if err != nil {
		t.Errorf("the run into %s that was to crash at call %d: %v\n%s", runs[len(runs)-1].Dir, runs[len(runs)-1].Crash, err, out)
	}
	return true, err == nil
}

// mustBeComplete checks what a run has left at last.
func mustBeComplete(t *testing.T, r crashingRun, topic string, log []sampledRecord, want []string) {
	at := fmt.Sprintf("after a crash at call %d", r.Crash)
	args := append([]string{"verify"}, slices.DeleteFunc(slices.Clone(r.Flags), func(f string) bool {
		name, _, _ := strings.Cut(f, "=")
		return !slices.Contains([]string{"--kafka", "--topics", "--group", "--state_dir"}, name)
	})...)
	said(t, 0, append(args, "--output="+r.Dir, "--recheck=1000")...)
	files := filesAndRows(t, r.Dir)
	if got := recordsIn(files); !slices.Equal(got, want) {
		t.Errorf("%s there are files of %v; want %v", at, got, want)
	}
	var wantEvents, events []string // one face each
	var latest sampledRecord
	for _, l := range log {
		name := recordName(topic, l.partition, l.offset)
		if slices.Contains(want, name) && (l.shows == showsLeft || l.shows == showsRight) {
			wantEvents = append(wantEvents, name)
			if l.millis > latest.millis {
				latest = l
			}
		}
	}
	for name, data := range files {
		kind, _ := store.KindOf(name)
		if kind == store.KindPicture && strings.HasSuffix(name, recordName(topic, latest.partition, latest.offset)+".jpg") && !bytes.Equal(data, files["face.jpg"]) {
			t.Errorf("%s, face.jpg is not %s", at, name)
		}
		if kind == store.KindLease {
			t.Errorf("%s, %s is left", at, name)
		}
		if kind != store.KindEvents {
			continue
		}
		for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			var e face.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Errorf("%s, %s holds %q: %v", at, name, line, err)
			}
			events = append(events, recordName(e.Topic, e.Partition, e.Offset))
		}
	}
	slices.Sort(events)
	slices.Sort(wantEvents)
	if !slices.Equal(events, wantEvents) {
		t.Errorf("%s the events are of %v; want %v", at, events, wantEvents)
	}
	if r.Notified != nil {
		if got := r.Notified(); !slices.Equal(got, wantEvents) {
			t.Errorf("%s, --notify got the events of %v; want %v", at, got, wantEvents)
		}
	}
}
