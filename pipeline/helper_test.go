package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/cli"
	"facestream/internal/config"
	"facestream/internal/run"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testmodels"
	"facestream/runners/goharness"
	"facestream/transforms/store"
)

// Tests run side by side, behind those that need the clusters of all tests or an environment of
// their own, or that count what this process has started.
func TestMain(m *testing.M) {
	if goharness.Wanted() { // a cluster starts the test program as a worker
		main()
	}
	beam.Init()
	if os.Getenv(crashingEnv) != "" {
		os.Exit(crashingMain())
	}
	os.Exit(testservices.Main(m.Run))
}

// realServices returns the addresses of a real Kafka and a real HDFS.
func realServices(t testing.TB) state.Addrs {
	t.Helper()
	return testservices.Start(t, services.Options{Kafka: true, HDFS: true})
}

// optionsFor gives the options that the command line would give for the flags,
// which name Kafka and the output.
func optionsFor(t testing.TB, flags ...string) config.Options {
	t.Helper()
	return testkit.Value(config.Parse(append(flags, "--state_dir="+t.TempDir())...))(t)
}

// job is what the runs of a group read and write: a topic that no other process of tests has,
// and a folder of a user's in HDFS.
type job struct {
	state.Addrs
	topic, group, user, dir string
	flags                   []string // further ones of its runs
}

// newJob returns one with a real Kafka and a real HDFS.
func newJob(t testing.TB, topic, user string, flags ...string) job {
	t.Helper()
	topic = testservices.Name(topic)
	return job{realServices(t), topic, topic, user, "/user/" + user + "/" + topic, flags}
}

// as returns the job of another group, which writes to another folder.
func (j job) as(name string) job {
	j.group, j.dir = j.group+"-"+name, j.dir+"-"+name
	return j
}

// endpoints are the flags that all commands have.
func (j job) endpoints() []string {
	return []string{"--kafka=" + j.Kafka, "--topics=" + j.topic, "--group=" + j.group, "--user=" + j.user, "--output=" + j.HDFS + j.dir}
}

func (j job) options(t testing.TB, flags ...string) config.Options {
	t.Helper()
	return optionsFor(t, slices.Concat(testkit.Quick, j.endpoints(), j.flags, flags)...)
}

// verify has facestream verify agree, and say a text.
func (j job) verify(t testing.TB, text string, flags ...string) {
	t.Helper()
	said(t, 0, text, slices.Concat([]string{"verify"}, j.endpoints(), flags)...)
}

// run makes a run with further flags.
func (j job) run(t testing.TB, flags ...string) *run.Summary {
	t.Helper()
	summary, _ := runBuilt(t, Build, j.options(t, flags...))
	return summary
}

// begin begins a run with further flags. It returns where its error will be, and how to
// interrupt it.
func (j job) begin(t testing.TB, out io.Writer, flags ...string) (ended chan error, interrupt func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o, dir := j.options(t, flags...), t.TempDir()
	ended = make(chan error, 1)
	go func() {
		_, err := run.Run(ctx, o, Build, dir, out)
		ended <- err
	}()
	return ended, func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("it ended with %v before it was interrupted", err)
		}
	}
}

func (j job) files(t *testing.T) map[string]hdfsFile {
	t.Helper()
	return hdfsFiles(t, j.HDFS, j.dir)
}

// pictures returns which records have one.
func (j job) pictures(t *testing.T) []string {
	t.Helper()
	return names(pictures(t, j.files(t), j.user))
}

// said runs a command of facestream, which must end with a status and say a text, and returns
// all that it says.
func said(t testing.TB, status int, text string, args ...string) string {
	t.Helper()
	return saidBy(t.Context(), t, program(), status, text, args...)
}

// saidBy is said of any command.
func saidBy(ctx context.Context, t testing.TB, c cli.Command, status int, text string, args ...string) string {
	t.Helper()
	var out strings.Builder
	if got := c.Main(ctx, args, &out, &out); got != status || !strings.Contains(out.String(), text) {
		t.Errorf("%q: exit status %d, want %d and %q:\n%s", args, got, status, text, out.String())
	}
	return out.String()
}

// runBuilt runs a graph, whose summary must say DONE, and returns what it prints, too.
func runBuilt(t testing.TB, build run.Build, o config.Options) (*run.Summary, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out strings.Builder
	summary, err := run.Run(ctx, o, build, t.TempDir(), &out)
	t.Log(out.String())
	testkit.Must(t, err)
	if summary.State != "DONE" {
		t.Fatalf("state %s, want DONE", summary.State)
	}
	return summary, out.String()
}

// networkFlags are those of a detector with a network: YuNet if a model of it lies beside
// the checkout, else CenterFace.
func networkFlags(t testing.TB) []string {
	t.Helper()
	if yunet := testmodels.Shared(t, "models/yunet_2022feb.onnx"); len(yunet) > 0 {
		return []string{"--detector=yunet", "--model=" + yunet[0], "--detect_width=160"}
	}
	testmodels.Download(t)
	return []string{"--detector=centerface", "--detect_width=160"}
}

// windowOf is what the graph of one window needs to know of the options.
func windowOf(o config.Options, s store.Config) run.Window {
	return run.Window{Name: "w", Runner: o.Runner.Name, Frame: o.Frame, Face: o.Face, Sampling: o.Sampling, Output: o.Write, Store: s}
}

// sendDemo plays the frames [from, to) of the demo video into a topic.
func sendDemo(t testing.TB, broker, topic, format string, from, to int) []feed.Sent {
	t.Helper()
	demo := testkit.Value(video.NewDemo(to))(t)
	for range from {
		testkit.Value(demo.Next())(t)
	}
	sent, err := feed.Send(t.Context(), feed.Config{
		Brokers: []string{broker}, Topic: topic, Partitions: 4, Camera: "demo", Format: format,
	}, demo)
	testkit.Must(t, err)
	if len(sent) != to-from {
		t.Fatalf("sent %d frames, want %d", len(sent), to-from)
	}
	return sent
}

// newTopic makes a topic, and returns a client that sends to partitions as it is told.
func newTopic(t testing.TB, broker, topic string, partitions int32) *kgo.Client {
	t.Helper()
	c := testkit.Kafka(t, broker, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	// Some tests send records of long ago, which Kafka would remove.
	created := testkit.Value(kadm.NewClient(c).CreateTopic(t.Context(), partitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic))(t)
	testkit.Must(t, created.Err)
	testkit.AwaitTopic(t, c, topic, int(partitions))
	return c
}

// send sends records one after the other.
func send(t testing.TB, c *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	testkit.Must(t, c.ProduceSync(t.Context(), records...).FirstErr())
}

// values returns the values of a topic's n records by topic+partition+offset.
func values(t testing.TB, broker, topic string, n int) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, r := range testkit.ReadKafka(t, broker, topic, n) {
		out[recordName(r.Topic, r.Partition, r.Offset)] = r.Value
	}
	return out
}

// recordName is a record's identity as a file name has it.
func recordName(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s+%d+%020d", topic, partition, offset)
}

func localFiles(t testing.TB, root string) map[string][]byte {
	t.Helper()
	out, in := map[string][]byte{}, os.DirFS(root)
	testkit.Must(t, fs.WalkDir(in, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[name], err = fs.ReadFile(in, name)
		}
		return err
	}))
	return out
}

// unpack removes the tables of pictures from the files of an output, and calls add with
// the pictures that were in them, by the names that they have as files.
func unpack[V any](t testing.TB, root string, files map[string]V, add func(table, name string, data []byte)) {
	t.Helper()
	seen := map[string]string{}
	for _, table := range slices.Sorted(maps.Keys(files)) {
		if !store.IsTable(table) {
			continue
		}
		for name, data := range picturesIn(t, store.Config{Root: root}, table) {
			if other, twice := seen[name]; twice {
				t.Errorf("%s is in %s and in %s", name, other, table)
			}
			seen[name] = table
			add(table, name, data)
		}
		delete(files, table)
	}
}

// picturesIn returns the pictures of a table, by the names that they have as files.
func picturesIn(t testing.TB, cfg store.Config, table string) map[string][]byte {
	t.Helper()
	in := testkit.Value(cfg.OpenTable(t.Context(), table))(t)
	defer in.Close()
	out := map[string][]byte{}
	for row, err := range in.Rows(math.MaxInt64) {
		testkit.Must(t, err)
		for _, p := range store.PicturesOf(&row) {
			out[p.Name] = testkit.Value(p.Read(in.File, row.Nth))(t)
		}
	}
	return out
}
