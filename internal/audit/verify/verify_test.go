package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	client "github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/audit"
	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/paths"
	"facestream/internal/record"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/hdfs"
	"facestream/transforms/store"
)

func TestMain(m *testing.M) { os.Exit(testservices.Main(m.Run)) }

const (
	testUser   = "zoe"
	partitions = 2
)

// bad are records of which no picture comes: two are skipped, two rejected.
var bad = [][]byte{nil, make([]byte, 999), make([]byte, 5000), bytes.Repeat([]byte("no picture "), 1000)}

// world is a topic, and an output of what the pipeline has read of it.
type world struct {
	topic    string
	folder   string // of the output
	addrs    state.Addrs
	client   *client.Client
	kafka    *kgo.Client
	output   string // the same as hdfs://user@host:port/path
	pipeline string // the program
}

func newWorld(t *testing.T, name string) *world {
	t.Helper()
	w := &world{addrs: testservices.Start(t, services.Options{Kafka: true, HDFS: true}), topic: testservices.Name(name)}
	w.folder = "/user/" + testUser + "/" + w.topic
	nameNode := state.HostPort(w.addrs.HDFS)
	w.output = "hdfs://" + testUser + "@" + nameNode + w.folder
	w.kafka = testkit.Kafka(t, w.addrs.Kafka)
	w.client = testservices.DialHDFS(t, nameNode, testUser)
	w.pipeline = filepath.Join(testkit.Value(paths.Programs(t.Context()))(t), "pipeline")
	return w
}

// run runs the pipeline until no record is waiting.
func (w *world) run(t *testing.T, more ...string) {
	t.Helper()
	testkit.Output(t, exec.CommandContext(t.Context(), w.pipeline, w.flags(slices.Concat(testkit.Quick, more, []string{"--runner=direct", "--drain", "--state_dir=" + t.TempDir()})...)...))
}

// makeOld gives the only book's only ledger the form of an older version.
func (w *world) makeOld(t *testing.T) {
	t.Helper()
	name := w.files(t)[store.KindLedger][0]
	data := testkit.Value(w.client.ReadFile(path.Join(w.folder, name)))(t)
	var hour store.Hour
	testkit.Must(t, json.Unmarshal(data, &hour))
	l := hour.Ledgers[0]
	l.Number = 0
	data = testkit.Value(json.Marshal(l))(t)
	w.write(t, "_windows/"+strings.TrimSuffix(path.Base(hour.Events[0].File), ".jsonl")+".json", data)
	testkit.Must(t, w.client.RemoveAll(path.Join(w.folder, path.Dir(name))))
}

// flags are those that the pipeline and this command have in common.
func (w *world) flags(more ...string) []string {
	return append([]string{"--kafka=" + w.addrs.Kafka, "--topics=" + w.topic, "--user=" + testUser, "--output=" + w.output}, more...)
}

// send sends six frames, of which four have faces, and the bad records.
func (w *world) send(t *testing.T, format string) {
	t.Helper()
	demo := testkit.Value(video.NewDemo(6))(t)
	defer demo.Close()
	testkit.Value(feed.Send(t.Context(), feed.Config{Brokers: []string{w.addrs.Kafka}, Topic: w.topic, Partitions: partitions, Camera: "demo", Format: format}, demo))(t)
	for i, value := range bad {
		r := &kgo.Record{Topic: w.topic, Partition: int32(i % partitions), Value: value}
		testkit.Must(t, w.kafka.ProduceSync(t.Context(), r).FirstErr())
	}
}

// verify runs the command and returns its report, which must fit the status.
func (w *world) verify(t *testing.T, status int, flags ...string) audit.Report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	got := Command("verify").Main(t.Context(), w.flags(append(flags, "--json")...), &stdout, &stderr)
	var r audit.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("status %d, %v: %s%s", got, err, &stdout, &stderr)
	}
	if got != status || r.Agrees != (status == 0) || r.Agrees != (len(r.Problems) == 0) {
		t.Errorf("status %d, want %d: %s%s", got, status, &stdout, &stderr)
	}
	return r
}

// files returns the names of all files by their kind, in order.
func (w *world) files(t *testing.T) map[store.Kind][]string {
	t.Helper()
	out := map[store.Kind][]string{}
	testkit.Must(t, store.List(t.Context(), store.Config{Root: w.output}, func(name string, _ int64, _ time.Time) error {
		kind, _ := store.KindOf(name)
		out[kind] = append(out[kind], name)
		return nil
	}))
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}

func (w *world) remove(t *testing.T, name string) {
	t.Helper()
	testkit.Must(t, w.client.Remove(path.Join(w.folder, name)))
}

func (w *world) write(t *testing.T, name string, data []byte) {
	t.Helper()
	testkit.Must(t, w.client.MkdirAll(path.Dir(path.Join(w.folder, name)), 0o755))
	testkit.Must(t, filesystem.Write(t.Context(), hdfs.New(t.Context()), w.output+"/"+name, data))
}

// kinds counts problems by their kinds.
func kinds(r audit.Report) map[string]int {
	out := map[string]int{}
	for _, p := range r.Problems {
		out[p.Kind]++
	}
	return out
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "verify")
	// The second run reads with other settings than the first, which leaves what an older
	// version would have left.
	w.send(t, feed.JPEG)
	w.run(t, "--keep_rejects", "--write=frame,annotated,crops,events")
	w.makeOld(t)
	w.send(t, feed.Raw)
	w.run(t)
	r := w.verify(t, 0, "--recheck=1000")
	testkit.Equal(t, "what was rechecked", r.Recheck, &audit.Recheck{Records: 20})
	if r.Ledgers != 2 || len(r.Partitions) != partitions {
		t.Errorf("%d ledgers, partitions %+v", r.Ledgers, r.Partitions)
	}
	for _, p := range r.Partitions {
		if p.Records != 10 || p.Waiting != 0 || p.Committed == nil || *p.Committed != 10 || p.Pictures.Present != 4 || p.Rejects.Present != 2 {
			t.Errorf("partition %+v, want 10 records, 4 pictures, 2 rejects", p)
		}
	}
	files := w.files(t)
	pictures, rejects, kept, ledgers := files[store.KindPicture], files[store.KindReject], files[store.KindKept], files[store.KindLedger]
	annotated, crops, events := files[store.KindAnnotated], files[store.KindFace], files[store.KindEvents]
	if len(pictures) != 8 || len(rejects) != 4 || len(kept) != 2 || len(ledgers) != 2 || len(annotated) != 4 || len(crops) != 5 || len(events) != 2 {
		t.Fatalf("there are %v", files)
	}
	about := func(name string) string { // as a problem names it
		_, id := store.KindOf(name)
		return id.String()
	}
	second := strings.Replace(pictures[0], "demo/", "other/", 1)
	w.mustFind(t, []damage{
		{"a picture is gone", pictures[0], nil, nil, map[string]int{"picture_missing": 1}, about(pictures[0])},
		{"a picture has a wrong byte", pictures[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, pictures[0]},
		{"a picture is too many for its record", second, one, []string{recheckAll}, map[string]int{"picture_twice": 1, "ledger_bytes": 1, "differs": 1}, ""},
		{"an annotated picture has a wrong byte", annotated[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, annotated[0]},
		{"a crop has a wrong byte", crops[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, crops[0]},
		{"events are gone", events[0], nil, nil, map[string]int{"events_missing": 3}, ""},
		{"an event is another", events[1], func(data []byte) []byte {
			return bytes.Replace(data, []byte(`"face":1,`), []byte(`"face":2,`), 1)
		}, []string{recheckAll}, map[string]int{"differs": 1, "events_unknown": 1}, ""},
		{"a reject has a wrong byte", rejects[0], flip, []string{recheckAll}, map[string]int{"differs": 1}, rejects[0]},
		{"the first ledger is gone", ledgers[0], nil, nil, map[string]int{
			"gap": 2, "picture_unknown": 4, "annotated_unknown": 4, "crop_unknown": 5, "events_unknown": 1, "reject_unknown": 2, "kept_reject_unknown": 2}, ""},
		{"a ledger is torn", ledgers[1], cut, nil, map[string]int{"ledger_unreadable": 1, "committed_unknown": 2, "picture_unknown": 4, "reject_unknown": 2}, ""},
		{"a crop is cut", crops[0], cut, nil, map[string]int{"ledger_bytes": 1}, "bytes_written"},
	})
	t.Run("a temporary file is old", func(t *testing.T) {
		const temporary = "_tmp/run/x"
		w.write(t, temporary, []byte("x"))
		old := time.Now().Add(-2 * store.TmpAge)
		testkit.Must(t, w.client.Chtimes(path.Join(w.folder, temporary), old, old))
		var out bytes.Buffer
		status := Command("verify").Main(t.Context(), w.flags(), &out, &out)
		if status != 1 || !strings.HasSuffix(out.String(), "\n- _tmp/run/x was left by an attempt that is dead; the next run removes it\n1 problem\n") {
			t.Errorf("status %d: %s", status, &out)
		}
		t.Logf("%s", &out)
		w.remove(t, temporary)
	})

	t.Run("another cascade", func(t *testing.T) {
		var stderr bytes.Buffer
		parity := testkit.Value(face.PresetFile(face.Parity))(t)
		another := filepath.Join(filepath.Dir(parity), "haarcascade_frontalface_default.xml")
		if status := Command("verify").Main(t.Context(), w.flags(recheckAll, "--cascade="+another), io.Discard, &stderr); status != 2 || !strings.Contains(stderr.String(), "SHA-256") {
			t.Errorf("status %d, want 2: %s", status, &stderr)
		}
		w.verify(t, 0, recheckAll, "--cascade="+another, "--cascade="+parity)
	})

	// What Kafka knows of the group makes no difference, and a run of another group that
	// finds nothing overwrites nothing: what the first runs' ledgers say still holds.
	t.Run("windows overlap", func(t *testing.T) {
		w.commit(t, 0)
		w.verify(t, 0)
		w.run(t, "--group=another", "--keep_rejects", "--detector=fast", "--profile", "--min_face=1000")
		r := w.verify(t, 0, recheckAll)
		if want := (audit.Recheck{Records: 20, Mixed: 20}); *r.Recheck != want || r.Ledgers != 3 {
			t.Errorf("%d ledgers, rechecked %+v, want 3 and %+v", r.Ledgers, r.Recheck, want)
		}
	})

	t.Run("a window is under way", func(t *testing.T) {
		w.send(t, feed.JPEG)
		if r := w.verify(t, 0); r.Partitions[0].Waiting != 5 || r.Partitions[1].Waiting != 5 {
			t.Errorf("%+v, want 5 records to wait in each partition", r.Partitions)
		}
		w.write(t, store.Name{ID: record.In(w.topic, 0).At(11), Camera: "demo"}.Path(), []byte("x"))
		testkit.Equal(t, "the problems", kinds(w.verify(t, 1)), map[string]int{"pending": 1})
		w.commit(t, 12)
		testkit.Equal(t, "the problems", kinds(w.verify(t, 1)), map[string]int{"committed_unknown": 2, "picture_unknown": 1})
	})
}

const recheckAll = "--recheck=1000"

// damage is what is done to a file, and what verify must say of it.
type damage struct {
	name   string
	file   string
	change func([]byte) []byte // nil removes it
	flags  []string
	want   map[string]int // problems by kind
	text   string         // in the problem, if it is one
}

// mustFind does each damage, and takes it back.
func (w *world) mustFind(t *testing.T, all []damage) {
	t.Helper()
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			data, err := w.client.ReadFile(path.Join(w.folder, d.file))
			if d.change == nil {
				w.remove(t, d.file)
			} else {
				w.write(t, d.file, d.change(bytes.Clone(data)))
			}
			r := w.verify(t, min(len(d.want), 1), d.flags...)
			testkit.Equal(t, fmt.Sprintf("%+v", r.Problems), kinds(r), d.want)
			if len(r.Problems) == 1 && !strings.Contains(r.Problems[0].Text, d.text) {
				t.Errorf("%q does not name %q", r.Problems[0].Text, d.text)
			}
			if err == nil {
				w.write(t, d.file, data)
			} else {
				w.remove(t, d.file)
			}
		})
	}
	w.verify(t, 0)
}

func cut(data []byte) []byte { return data[:len(data)/2] }

func flip(data []byte) []byte {
	data[len(data)/2] ^= 0xFF
	return data
}

// one makes a file of one byte.
func one([]byte) []byte { return []byte("x") }

// commit makes the pipeline's group stand at an offset of each partition.
func (w *world) commit(t *testing.T, offset int64) {
	t.Helper()
	var next kadm.Offsets
	for p := range int32(partitions) {
		next.AddOffset(w.topic, p, offset, -1)
	}
	testkit.Must(t, kadm.NewClient(w.kafka).CommitAllOffsets(t.Context(), "facestream", next))
}

func TestStatus(t *testing.T) {
	addrs := testservices.Start(t, services.Options{Kafka: true, HDFS: true})
	topic := testservices.Name("status")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	flags := func(broker, topic string, more ...string) []string {
		return append([]string{"--kafka=" + broker, "--topics=" + topic, "--user=" + testUser, "--output=" + addrs.HDFS + "/user/nothing"}, more...)
	}
	good := flags(addrs.Kafka, topic)
	c := testkit.Kafka(t, addrs.Kafka)
	testkit.Value(kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, topic))(t)
	testkit.AwaitTopic(t, c, topic, 1)
	for name, test := range map[string]struct {
		ctx    context.Context
		flags  []string
		status int
		want   string
	}{
		"help":          {t.Context(), []string{"--help"}, 0, "Exit status"},
		"wrong setting": {t.Context(), append(good, "--recheck=-1"), 2, "0 or more"},
		"no recheck":    {t.Context(), append(good, "--cascade=x.xml"), 2, "--recheck=NUMBER, which is not set"},
		"no cascade":    {t.Context(), append(good, "--recheck=1", "--model=/no/no"), 2, "no such file"},
		"no topic":      {t.Context(), flags(addrs.Kafka, "nowhere"), 2, "nowhere"},
		"no broker":     {t.Context(), flags("127.0.0.1:1", topic), 1, "127.0.0.1:1"},
		"no folder":     {t.Context(), good, 2, "give the folder that a run was given"},
		"a file":        {t.Context(), append(good, "--output=verify.go"), 2, "give the folder that a run was given"},
		"interrupted":   {cancelled, good, 130, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if status := Command("verify").Main(test.ctx, test.flags, &out, &out); status != test.status || !strings.Contains(out.String(), test.want) {
				t.Errorf("status %d, want %d and %q: %s", status, test.status, test.want, &out)
			}
		})
	}
}
