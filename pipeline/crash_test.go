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

// A process of this test makes a crashingRun, as JSON in its environment, and nothing else.
const crashingEnv = "FACESTREAM_CRASHING_RUN"

// crashingRun is made into a folder of this machine.
type crashingRun struct {
	Flags []string
	Purge *store.Selection // if it is a purge, without flags
	Dir   string
	Crash int64 // the call of the file system at which the process is killed
}

// crashingMain makes the run, and returns the exit status.
func crashingMain() int {
	var r crashingRun
	err := json.Unmarshal([]byte(os.Getenv(crashingEnv)), &r)
	var calls atomic.Int64
	// The instant before the call does anything.
	tracedfs.Register(func(string, string) {
		if calls.Add(1) == r.Crash {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	var o config.Options
	if err == nil && r.Purge == nil {
		o, err = config.Parse(r.Flags...)
	}
	o.Output = tracedfs.Name(r.Dir)
	switch {
	case err != nil:
	case r.Purge != nil:
		_, err = store.Purge(context.Background(), store.Config{Root: o.Output, Run: "purge"}, *r.Purge, nil, false, func(store.Freed) {})
	default:
		_, err = run.Run(context.Background(), o, Build, filepath.Dir(r.Dir), os.Stdout)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// crash makes a run in a process of its own, and reports whether it lived to its end.
func crash(t *testing.T, r crashingRun) (ended bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashingEnv+"="+string(testkit.Value(json.Marshal(r))(t)))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return false
	}
	if err != nil {
		t.Fatalf("the run into %s that was to crash at call %d: %v\n%s", r.Dir, r.Crash, err, out)
	}
	return true
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
	_, sampled := wantSampled(topic, log)
	var all []string // of the records with a file, when nothing is left out
	for _, r := range log {
		if r.shows != showsNull && r.shows != showsNothing {
			all = append(all, recordName(topic, r.partition, r.offset))
		}
	}
	slices.Sort(all)
	var mu sync.Mutex
	notified := map[string][]string{} // records by group
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e face.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		notified[r.URL.Path] = append(notified[r.URL.Path], recordName(e.Topic, e.Partition, e.Offset))
	}))
	t.Cleanup(hook.Close)
	for name, mode := range map[string]struct {
		flags  []string
		want   []string // records with a picture or a reject
		notify bool
		again  bool // each run crashes in what the ones before it have left
	}{
		"all":     {nil, all, true, false},
		"sampled": {[]string{"--max_fps=2.5", "--cooldown=2s", "--store=parquet"}, sampled, false, false},
		"again":   {[]string{"--store=parquet"}, all, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, group, every := "", "", int64(9)
			// A run that was killed leaves a folder, whose removal takes the next one more than one call.
			if testkit.All() && !mode.again {
				every = 1
			}
			for step, ended := int64(1), false; !ended; step += every {
				if dir == "" || !mode.again {
					dir, group = filepath.Join(t.TempDir(), "faces"), fmt.Sprintf("crashes-%s-%d", name, step)
				}
				endpoints := []string{"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=" + group, "--output=" + dir}
				flags := slices.Concat(endpoints, []string{"--runner=direct", "--drain", "--latest", "--min_face=100", "--scale_factor=1.3", "--window_bytes=1MiB"}, mode.flags)
				if mode.notify {
					flags = append(flags, "--notify="+hook.URL+"/"+group)
				}
				ended = crash(t, crashingRun{Flags: append(flags, "--state_dir="+t.TempDir()), Dir: dir, Crash: step})
				switch {
				case ended:
					t.Logf("a run makes some %d calls", step)
				case mode.again:
					continue
				default:
					runBuilt(t, Build, optionsFor(t, flags...))
				}
				at := fmt.Sprintf("after a crash at call %d", step)
				said(t, 0, "", slices.Concat([]string{"verify"}, endpoints, []string{"--state_dir=" + t.TempDir(), "--recheck=1000"})...)
				events := mustBeComplete(t, at, dir, topic, log, mode.want)
				mu.Lock()
				got := slices.Compact(slices.Sorted(slices.Values(notified["/"+group])))
				mu.Unlock()
				if mode.notify && !slices.Equal(got, events) {
					t.Errorf("%s, --notify got the events of %v; want %v", at, got, events)
				}
			}
		})
	}
}

// mustBeComplete checks what a run has left at last, and returns the records with events.
func mustBeComplete(t *testing.T, at, dir, topic string, log []sampledRecord, want []string) (wantEvents []string) {
	t.Helper()
	files := filesAndRows(t, dir)
	if got := recordsIn(files); !slices.Equal(got, want) {
		t.Errorf("%s there are files of %v; want %v", at, got, want)
	}
	var latest sampledRecord
	for _, l := range log {
		name := recordName(topic, l.partition, l.offset)
		if slices.Contains(want, name) && (l.shows == showsLeft || l.shows == showsRight) {
			wantEvents = append(wantEvents, name) // one face each
			if l.millis > latest.millis {
				latest = l
			}
		}
	}
	var events []string
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
		for line := range bytes.Lines(data) {
			var e face.Event
			if err := json.Unmarshal(line, &e); err != nil {
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
	return wantEvents
}
