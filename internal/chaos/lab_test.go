package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"facestream/internal/stack/services"
	"facestream/internal/stack/services/proxy"
	"facestream/internal/stack/services/testservices"
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
	midWindow = slots*writers + 4

	budget      = 1 << 20 // bytes of a window where there are to be several
	windowBytes = "--window_bytes=1MiB"
)

// testLab is a lab of which the ways to the broker's first answer and to the NameNode
// can be held.
type testLab struct {
	*lab
	bootstrap, nameNode *proxy.Proxy
	want                map[string]string // SHA-256 by name, of the pictures of a run that nothing happened to
	all                 int               // pictures of all that the topic has
}

// openTestLab starts all services and fills the topic.
func openTestLab(t *testing.T) *testLab {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real services, which take seconds to start")
	}
	inner := testkit.Value(openLab(t.Context(), t.TempDir(), services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true}, t.Logf))(t)
	t.Cleanup(func() {
		if err := inner.close(); err != nil {
			t.Error(err)
		}
	})
	testkit.MustListenOnLoopback(t, inner.stack.Processes())
	l := &testLab{lab: inner, bootstrap: testservices.Proxy(t, inner.stack.Kafka), nameNode: testservices.Proxy(t, strings.TrimPrefix(inner.stack.HDFS, "hdfs://"))}
	l.hdfs = "hdfs://" + l.nameNode.Addr()
	for i := range bad {
		testkit.Must(t, l.sendBad(t.Context(), i))
	}
	l.complete(t, l.newCamera(fmt.Sprintf("--frames=%d", frames), quality))
	return l
}

// pipelineOf returns the pipeline of a group that has not run before, which reads all
// there is.
func (l *testLab) pipelineOf(group, runner string, flags ...string) *program {
	return l.newPipeline(group, runner, slices.Concat(testkit.Quick, flags, []string{"--drain", "--duration=5m"})...)
}

// outcome is what has become of a run.
type outcome struct {
	end end
	err error
}

// output is all that the run has printed.
func (o outcome) output() string { return o.end.stdout() + o.end.stderr() }

// start runs a program once.
func (l *testLab) start(ctx context.Context, p *program) chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		end, err := p.run(ctx, p.flags...)
		ended <- outcome{end, err}
	}()
	return ended
}

// complete runs a program, which must succeed.
func (l *testLab) complete(t *testing.T, p *program) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if o := <-l.start(ctx, p); o.err != nil || !o.end.Success() {
		t.Fatalf("%s, which nothing disturbs: %v, %s\n%s", p.name, o.err, o.end, o.output())
	}
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

// check looks at what is left when a group has completed the topic: what checkWhole does,
// and every record in the ledgers.
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
	if err := l.awaitNothing(); err != nil {
		t.Error(err)
	}
	testkit.Await(t, "the end of every job on the clusters", func() bool { return len(testservices.Jobs(t, l.stack.Addrs)) == 0 })
	if left, err := filepath.Glob(filepath.Join(l.state("*"), "runs", "*", "tmp")); err != nil || len(left) > 0 {
		t.Errorf("%q are left (%v)", left, err)
	}
	report, err := l.verify(t.Context(), group, 3)
	if err != nil {
		t.Error(err)
	}
	if left := report.Temporary.Files; left > temporary {
		t.Errorf("%d temporary files are left, at most %d may be", left, temporary)
	}
	if got := l.pictures(t, group); !maps.Equal(got, want) {
		t.Errorf("the pictures are\n%v, wanted are\n%v", got, want)
	}
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
func (l *testLab) config(group string) store.Config {
	return store.Config{Root: strings.Replace(l.stack.HDFS, "//", "//"+user+"@", 1) + "/user/" + user + "/" + group}
}

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
	offsets, err := kadm.NewClient(l.kafka).FetchOffsets(t.Context(), group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.At })
	return out
}

// master is the address of an engine's cluster for --master.
func (l *testLab) master(engine string) string {
	if engine == runners.Spark {
		return l.stack.SparkMaster
	}
	return strings.TrimPrefix(l.stack.FlinkWeb, "http://")
}
