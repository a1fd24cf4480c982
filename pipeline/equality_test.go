package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/run"
	"facestream/internal/stack/services"
	"facestream/internal/stack/services/testservices"
	"facestream/internal/stack/state"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

func init() {
	beam.RegisterType(reflect.TypeFor[tallyFn]())
}

// allServices returns the addresses of real ones of every kind.
func allServices(t testing.TB) state.Addrs {
	t.Helper()
	return testservices.Start(t, services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true})
}

// onClusters are the flags of runs on clusters that have job servers, by name. There, the flag
// --worker is this test program, which is a worker where it is started as one.
func onClusters(addrs state.Addrs) map[string][]string {
	return map[string][]string{
		"flink-cluster": {"--runner=flink", "--parallelism=2", "--endpoint=" + addrs.Flink},
		"spark-cluster": {"--runner=spark", "--endpoint=" + addrs.Spark},
	}
}

// outcome is what must not depend on the runner.
type outcome struct {
	Summary run.Summary       // without times and windows
	Ledger  []store.Partition // of all windows together
	Files   map[string]string // by path, without ledgers and _SUCCESS; rows as the files that they would be
	Events  map[string]string // by record and face, without what differs each time
}

// Records of JPEG and raw frames on four partitions, some of them bad, give the same on
// every runner with each reader and store: the same pictures, and the same counts.
// The detector is a network; TestEveryRunnerLeavesOutTheSame has a cascade. On a cluster
// both slots work, though one partition has four of five records.
//
// Kafka, HDFS, the masters, and two workers of each cluster are on five hosts, and the driver on
// a sixth: nobody finds another one at an address of the loopback.
func TestEveryRunnerDoesTheSame(t *testing.T) {
	if !testkit.All() { // there, YARN's settings are in the environment
		t.Parallel()
	}
	hosts := newHosts(t, []string{"kafka"}, []string{"namenode", "datanode"},
		[]string{"jobmanager", "flink-jobserver", "spark-master", "spark-jobserver", "resourcemanager"},
		[]string{"taskmanager-1", "spark-worker-1", "nodemanager"}, []string{"taskmanager-2", "spark-worker-2", "nodemanager-2"})
	stack := testservices.Own(t, services.Options{Kafka: true, HDFS: true, Flink: true, Spark: true, YARN: testkit.All(), NodeManagers: 2, Hosts: hosts})
	j := job{stack.Addrs, "same", "same", "erin", "/user/erin/same", nil}
	const total = 240
	sendMixed(t, j.Kafka, j.topic, total)
	ways := map[string][]string{
		"prism":         {"--runner=prism"},
		"flink-local":   {"--runner=flink", "--parallelism=2"},
		"flink-cluster": {"--runner=flink", "--parallelism=2", "--master=" + strings.TrimPrefix(stack.FlinkWeb, "http://")},
		"spark-local":   {"--runner=spark", "--parallelism=2"},
		"spark-cluster": {"--runner=spark", "--parallelism=2", "--master=" + stack.SparkMaster},
	}
	if testkit.All() { // a session of Flink, and Spark to which this program is brought
		t.Setenv("HADOOP_CONF_DIR", stack.YARNConfig())
		testkit.Value(stack.FlinkOnYARN(t.Context()))(t)
		ways["flink-yarn"] = []string{"--runner=flink", "--parallelism=2", "--master=" + runners.YARN}
		ways["spark-yarn"] = []string{"--runner=spark", "--parallelism=2", "--master=" + runners.YARN}
	}
	for name, flags := range maps.Clone(ways) {
		ways[name+"-native"] = append(flags, "--reader=native")
	}
	rows := []string{"prism-native", "flink-local", "flink-cluster-native", "flink-yarn-native", "spark-local-native", "spark-cluster", "spark-yarn-native"}
	tested := slices.Collect(maps.Keys(ways))
	if !testkit.All() { // other tests have the others, with less to compare
		tested = []string{"prism", "prism-native", "flink-cluster-native", "spark-local-native", "spark-cluster"}
	}
	cluster := regexp.MustCompile("cluster|yarn")
	got := map[string]outcome{}
	for _, name := range tested {
		t.Run(name, func(t *testing.T) {
			j := j.as(name)
			flags := slices.Concat(j.endpoints(), ways[name], networkFlags(t), []string{"--window=10m", "--duration=10m", "--drain"})
			if slices.Contains(rows, name) {
				flags = append(flags, "--store=parquet")
			}
			tally := &tallyFn{t.TempDir()}
			summary, _ := runBuilt(t, tally.build, optionsFor(t, flags...))
			if summary.RecordsRead != total || summary.FramesWithFaces == 0 || summary.Skipped != 12 ||
				!maps.Equal(summary.Rejected, map[string]int64{frame.CorruptJPEG: 4, frame.WrongSize: 8}) {
				t.Errorf("summary %+v", summary)
			}
			seen := tally.seen(t)
			if workers := 2; cluster.MatchString(name) && (len(seen) != workers || slices.Min(seen) < total/(2*workers)) {
				t.Errorf("the workers have seen %d of %d records, want two with a quarter each at least", seen, total)
			}
			got[name] = outcomeOf(t, j, *summary)
		})
	}
	for name, o := range got {
		compareOutcomes(t, name, o, got["prism"])
	}
	for _, p := range stack.Processes() {
		if strings.HasPrefix(p.Name, "nodemanager") || p.Name == "resourcemanager" {
			for _, at := range testkit.Listeners(t, p.PID) {
				if host := hosts[p.Name]; host != "" && at.Addr().String() != host {
					t.Errorf("%s listens on %s, want %s only", p.Name, at, host)
				}
			}
		}
	}
}

// outcomeOf gathers what a run has left.
func outcomeOf(t *testing.T, j job, summary run.Summary) outcome {
	t.Helper()
	got := outcome{Summary: summary, Files: map[string]string{}, Events: map[string]string{}}
	got.Summary.Runner, got.Summary.Windows, got.Summary.Seconds = "", 0, 0
	got.Summary.FirstFileSeconds, got.Summary.Start = nil, time.Time{}
	got.Summary.LatencyMillis, got.Summary.Latency = nil, store.Latency{}
	files := j.files(t)
	unpack(t, j.HDFS+j.dir, files, func(table, name string, data []byte) {
		files[name] = hdfsFile{files[table].owner, data}
	})
	pictures(t, files, j.user)
	var all store.Ledger
	for _, l := range ledgers(t, j.HDFS+j.dir) {
		all = store.Merge(all, l)
	}
	for name, f := range files {
		if strings.HasPrefix(name, "_windows/") || name == "_SUCCESS" {
			continue
		}
		if strings.HasPrefix(name, "_events/") {
			for line := range strings.Lines(string(f.data)) {
				var e face.Event
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				key := fmt.Sprintf("%s face %d", recordName(e.Topic, e.Partition, e.Offset), e.Face)
				e.DetectMillis, e.SettingsSHA256 = 0, "" // which has the store
				again := testkit.Value(json.Marshal(e))(t)
				got.Events[key] += string(again) // twice would differ
			}
			continue
		}
		got.Files[name] = string(f.data)
	}
	got.Ledger = all.Partitions
	for i := range got.Ledger {
		got.Ledger[i].EventBytes = 0 // those of detect_ms, too
	}
	return got
}

// A window of 220 raw frames, 203 MB, goes through one reader's bundle. With
// messages of Beam's own size there would be more of them than a bundle may
// have, and the window would never end.
func TestWindowOfManyRawFrames(t *testing.T) {
	t.Parallel()
	j := newJob(t, "large", "erin", "--parallelism=2", "--window_bytes=400000000", "--window=10m", "--min_face=150", "--scale_factor=1.5", "--duration=10m", "--drain")
	const total = 220
	c, raws := newTopic(t, j.Kafka, j.topic, 4), frames(t, feed.Raw, 4)
	for i := range total {
		send(t, c, &kgo.Record{Partition: int32(i % 4), Value: raws[i%len(raws)]})
	}
	for _, runner := range []string{runners.Flink, runners.Spark} {
		t.Run(runner, func(t *testing.T) {
			t.Parallel()
			summary := j.as(runner).run(t, "--runner="+runner)
			if summary.Windows != 1 || summary.RecordsRead != total || summary.FramesDecoded != total {
				t.Errorf("%d windows of %d records, %d of them frames; want one of %d", summary.Windows, summary.RecordsRead, summary.FramesDecoded, total)
			}
		})
	}
}

// tallyFn passes records on. It leaves a file in Dir for each, in a folder of the
// process that has seen it.
type tallyFn struct{ Dir string }

func (fn *tallyFn) ProcessElement(r kafka.Record, emit func(kafka.Record)) error {
	dir := filepath.Join(fn.Dir, fmt.Sprint(os.Getpid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	emit(r)
	return os.WriteFile(filepath.Join(dir, recordName(r.Topic, r.Partition, r.Offset)), nil, 0o644)
}

// build is Build with the tally behind the reader.
func (fn *tallyFn) build(s beam.Scope, w run.Window) error {
	records, err := read(s, w)
	if err == nil {
		process(s, w, beam.ParDo(s, fn, records))
	}
	return err
}

// seen returns how many records each process has seen.
func (fn *tallyFn) seen(t *testing.T) (counts []int) {
	t.Helper()
	byProcess := map[string]int{}
	for name := range localFiles(t, fn.Dir) {
		byProcess[filepath.Dir(name)]++
	}
	return slices.Collect(maps.Values(byProcess))
}

func compareOutcomes(t *testing.T, name string, got, want outcome) {
	t.Helper()
	if !reflect.DeepEqual(got.Summary, want.Summary) {
		t.Errorf("%s: summary %+v, Prism's is %+v", name, got.Summary, want.Summary)
	}
	if !reflect.DeepEqual(got.Ledger, want.Ledger) {
		t.Errorf("%s: ledger %+v, Prism's is %+v", name, got.Ledger, want.Ledger)
	}
	if differ := differences(got.Files, want.Files); len(differ) > 0 {
		t.Errorf("%s: %d files that are not Prism's, or that only Prism has, such as %s", name, len(differ), differ[0])
	}
	if differ := differences(got.Events, want.Events); len(differ) > 0 {
		t.Errorf("%s: %d events that are not Prism's, such as of %s: %s, Prism's is %s", name, len(differ), differ[0], got.Events[differ[0]], want.Events[differ[0]])
	}
}

// differences returns the keys at which two maps differ, in order.
func differences(a, b map[string]string) []string {
	differ := maps.Clone(b)
	for key, value := range a {
		if other, ok := b[key]; ok && other == value {
			delete(differ, key)
		} else {
			differ[key] = value
		}
	}
	return slices.Sorted(maps.Keys(differ))
}

// sendMixed makes a topic of total records on four partitions, most of them on the first:
// of each ten, seven are JPEG frames of the demo video, two raw ones, and one is bad.
func sendMixed(t *testing.T, broker, topic string, total int) {
	t.Helper()
	jpegs := frames(t, feed.JPEG, 60)
	raws := frames(t, feed.Raw, 12)
	bad := [][]byte{nil, {}, make([]byte, 999), make([]byte, 5000), jpegs[0][:len(jpegs[0])/2], raws[0][:len(raws[0])-1]}
	c := newTopic(t, broker, topic, 4)
	at := time.Date(2026, 1, 31, 23, 59, 0, 0, time.UTC)
	var records []*kgo.Record
	for i := range total {
		r := &kgo.Record{Key: []byte("door"), Timestamp: at.Add(time.Duration(i) * 100 * time.Millisecond)}
		if i%5 == 0 {
			r.Partition = int32(1 + i/5%3)
		}
		switch i % 10 {
		case 9:
			r.Value = bad[i/10%len(bad)]
		case 3, 6:
			r.Value = raws[i%len(raws)]
		default:
			r.Value = jpegs[i%len(jpegs)]
		}
		records = append(records, r)
	}
	send(t, c, records...)
}

// frames returns the values of n frames of the demo video.
func frames(t *testing.T, format string, n int) [][]byte {
	t.Helper()
	demo := testkit.Value(video.NewDemo(n))(t)
	out := make([][]byte, n)
	for i := range out {
		p := demo.Frame(i)
		if out[i] = p.BGR; format == feed.JPEG {
			out[i] = jpegOf(t, p)
		}
	}
	return out
}
