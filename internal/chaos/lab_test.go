package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"facestream/internal/lab"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/store"
)

const (
	patience = 6 * time.Minute // for what must come to pass

	frames  = 30              // every third frame of the demo has no face
	quality = "--quality=100" // for some 100 KB each
	writers = 4               // of each slot: what it writes at a time
	// midWindow is how many renamings of a picture have a window in its middle. The
	// first of each writer may find no folder and is tried again.
	midWindow = lab.Slots*writers + 4

	budget      = 1 << 20 // bytes of a window where there are to be several
	windowBytes = "--window_bytes=1MiB"
)

// testLab is a lab whose ways to the broker's first answer and to the NameNode can be held.
type testLab struct {
	*lab.Lab
	topic               string // that pipelines read
	bootstrap, nameNode *proxy.Proxy
	want                map[string]string // SHA-256 by name, of the pictures of a run that nothing happened to
	all                 int               // pictures of all that the topic has
}

// openTestLab starts all services and fills the topic.
func openTestLab(t *testing.T) *testLab {
	t.Helper()
	testkit.NotShort(t, "needs real services, which take seconds to start")
	inner := testkit.Value(openLab(t.Context(), t.TempDir(), services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true}))(t)
	t.Cleanup(func() { testkit.Must(t, inner.Close()) })
	testkit.MustListenOnLoopback(t, inner.Stack.Processes())
	l := &testLab{Lab: inner, topic: topic, bootstrap: testservices.Proxy(t, inner.Stack.Kafka), nameNode: testservices.Proxy(t, state.HostPort(inner.Stack.HDFS))}
	l.HDFS = "hdfs://" + l.nameNode.Addr()
	for i := range bad {
		testkit.Must(t, sendBad(t.Context(), inner, i))
	}
	l.send(t, frames)
	return l
}

// send has a camera send frames to the topic.
func (l *testLab) send(t *testing.T, frames int, flags ...string) {
	t.Helper()
	l.complete(t, l.NewCamera(l.topic, append(flags, quality, fmt.Sprint("--frames=", frames))...))
}

func (l *testLab) newPipeline(group, runner string, flags ...string) *lab.Program {
	return l.NewPipeline(group, l.topic, runner, append(flags, keepRejects)...)
}

// pipelineOf returns the pipeline of a new group, which reads all there is.
func (l *testLab) pipelineOf(group, runner string, flags ...string) *lab.Program {
	return l.newPipeline(group, runner, slices.Concat(testkit.Quick, flags, []string{"--drain", "--duration=5m"})...)
}

// start starts a run, which ends with the test.
func (l *testLab) start(t *testing.T, p *lab.Program) *lab.Run {
	t.Helper()
	run := testkit.Value(p.Start())(t)
	t.Cleanup(func() { run.Stop(services.EndGrace) })
	return run
}

// wait waits for the end of a run, which must have an exit status.
func (l *testLab) wait(t *testing.T, run *lab.Run, status int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := run.Wait(ctx); err != nil || run.ProcessState.ExitCode() != status {
		t.Fatalf("exit status %d is wanted, error %v: %s\n%s", status, err, run, run.Output())
	}
}

// complete runs a program, which must succeed.
func (l *testLab) complete(t *testing.T, p *lab.Program) {
	t.Helper()
	l.wait(t, l.start(t, p), 0)
}

// await returns when the condition holds, if the run goes on until then.
func (l *testLab) await(t *testing.T, run *lab.Run, what string, holds func() bool) {
	t.Helper()
	testkit.Await(t, what, func() bool {
		if run.HasEnded() {
			t.Fatalf("waiting for %s, it has ended: %s\n%s", what, run, run.Output())
		}
		return holds()
	})
}

// strike has a fault befall one of its victims.
func (l *testLab) strike(t *testing.T, f fault, meanwhile func()) {
	t.Helper()
	victims := testkit.Value(f.victims(l.Lab))(t)
	if len(victims) == 0 {
		t.Fatalf("%s: there is no such process", f.what)
	}
	if happened, err := f.strike(t.Context(), l.Lab, victims[0], meanwhile); err != nil || !happened {
		t.Fatalf("%s: happened=%t, %v", f.what, happened, err)
	}
}

// faultOf returns the fault that is called so.
func faultOf(t *testing.T, what string) fault {
	t.Helper()
	i := slices.IndexFunc(faults, func(f fault) bool { return f.what == what })
	if i < 0 {
		t.Fatalf("there is no fault %q", what)
	}
	return faults[i]
}

// undisturbed sets the pictures that every test must end with. It is also case 4: when
// more waits than a window may hold, no window holds more.
func (l *testLab) undisturbed(t *testing.T) {
	const group = "undisturbed"
	l.complete(t, l.pipelineOf(group, runners.Prism, windowBytes))
	pictures := l.pictures(t, group)
	if len(pictures) != frames*2/3 {
		t.Fatalf("it has stored %d pictures, %d are wanted", len(pictures), frames*2/3)
	}
	l.want = pictures
	windows, read := l.check(t, group, 0)
	if windows < 3 || windows*budget < read {
		t.Errorf("%d bytes were read in %d windows, more than %d in one", read, windows, budget)
	}
}

// slow is case 21: a run with a slow HDFS stores the same.
func (l *testLab) slow(t *testing.T) {
	l.nameNode.SetLatency(40 * time.Millisecond) // of which a file takes five at least
	defer l.nameNode.SetLatency(0)
	for _, w := range both {
		group := "slow-hdfs-" + w.String()
		l.complete(t, l.pipelineOf(group, runners.Prism, w.flags()...))
		l.check(t, group, 0)
	}
}

// check does what checkWhole does, and looks for every record of the topic in the ledgers.
func (l *testLab) check(t *testing.T, group string, temporary int) (windows, bytes int64) {
	t.Helper()
	l.checkWhole(t, group, l.want, temporary)
	sum, windows := l.sum(t, group)
	if sum.Read != frames+int64(len(bad)) || sum.Decoded != frames || sum.Skipped != 2 || sum.Files != int64(len(l.want)) {
		t.Errorf("the ledgers have %d records, %d decoded, %d skipped, %d files", sum.Read, sum.Decoded, sum.Skipped, sum.Files)
	}
	return windows, sum.ReadBytes
}

// checkWhole looks for exactly the pictures that are wanted, every record in one ledger, the
// offsets committed, and nothing else but at most so many temporary files, of which nobody
// knows that their writers are dead.
func (l *testLab) checkWhole(t *testing.T, group string, want map[string]string, temporary int) {
	t.Helper()
	if err := l.AwaitNothing(); err != nil {
		t.Error(err)
	}
	testkit.Await(t, "the end of every job on the clusters", func() bool { return len(testservices.Jobs(t, l.Stack.Addrs)) == 0 })
	testkit.Gives(filepath.Glob(filepath.Join(l.Dir, "state", "*", "runs", "*", "tmp")))(t, "what is left", nil)
	report, err := verify(t.Context(), l.Lab, group, l.topic, 3)
	if err != nil {
		t.Error(err)
	}
	if left := report.Temporary.Files; left > temporary {
		t.Errorf("%d temporary files are left, at most %d may be", left, temporary)
	}
	testkit.Equal(t, "the pictures", l.pictures(t, group), want)
}

// sum returns what a group's ledgers count.
func (l *testLab) sum(t *testing.T, group string) (sum store.Partition, windows int64) {
	t.Helper()
	all := store.Ledger{}
	testkit.Must(t, store.Books(t.Context(), l.config(group), func(f store.BookFile) error {
		for _, ledger := range f.Ledgers {
			all = store.Merge(all, ledger)
		}
		windows = f.Number
		return f.Err
	}))
	return all.Sum(), windows
}

// config is how the test looks at what a group stores, past the proxy.
func (l *testLab) config(group string) store.Config { return store.Config{Root: l.Folder(group)} }

// pictures returns the SHA-256 of every picture that a group has stored, by its name.
func (l *testLab) pictures(t *testing.T, group string) map[string]string {
	t.Helper()
	cfg := l.config(group)
	fs := testkit.Value(filesystem.New(t.Context(), cfg.Root))(t)
	defer fs.Close()
	out := map[string]string{}
	add := func(name string, data []byte, err error) error {
		out[name] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	}
	err := store.List(t.Context(), cfg, func(name string, _ int64, _ time.Time) error {
		if store.IsTable(name) {
			in, err := cfg.OpenTable(t.Context(), name)
			if err != nil {
				return err
			}
			defer in.Close()
			for row, rowErr := range in.Rows(math.MaxInt64) {
				err = errors.Join(err, rowErr)
				for _, p := range store.PicturesOf(&row) {
					data, readErr := p.Read(in.File, row.Nth)
					err = errors.Join(err, add(p.Name, data, readErr))
				}
			}
			return err
		}
		if kind, _ := store.KindOf(name); kind != store.KindPicture {
			return nil
		}
		data, err := filesystem.Read(t.Context(), fs, cfg.Root+"/"+name)
		return add(name, data, err)
	})
	testkit.Must(t, err)
	return out
}

// committed returns the offsets of a group by partition.
func (l *testLab) committed(t *testing.T, group string) map[int32]int64 {
	t.Helper()
	out := map[int32]int64{}
	offsets, err := kadm.NewClient(l.Kafka).FetchOffsets(t.Context(), group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.At })
	return out
}

// master is the address of an engine's cluster for --master.
func (l *testLab) master(engine string) string {
	if engine == runners.Spark {
		return l.Stack.SparkMaster
	}
	return state.HostPort(l.Stack.FlinkWeb)
}
