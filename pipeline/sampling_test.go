package main

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/video"
	"facestream/internal/run"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// samplingFlags are those of wantSampled.
var samplingFlags = []string{"--max_fps=2.5", "--cooldown=2s", "--min_face=100", "--scale_factor=1.3", "--write=frame,annotated,crops,events"}

// What a record of a samplingLog shows.
const (
	showsLeft    = "left" // a face
	showsRight   = "right"
	showsNothing = "nothing"
	showsBad     = "bad" // is a reject
	showsNull    = "null"
)

// sampledRecord is a record of which it is known what it shows.
type sampledRecord struct {
	partition int32
	offset    int64
	millis    int64
	camera    string
	shows     string
}

// samplingLog makes n records on two partitions, in an order in which a topic may hold
// them: ten a second and camera, with times that go back and forth by up to half a
// second.
func samplingLog(random *rand.Rand, n int) []sampledRecord {
	const begin = 1_700_000_000_000
	cameras := []string{"door", "gate", "a+b/ö"}
	var log []sampledRecord
	next := map[int32]int64{}
	for i := range n {
		r := sampledRecord{
			partition: int32(random.IntN(2)), camera: cameras[random.IntN(len(cameras))],
			millis: begin + int64(i)*100/3 + random.Int64N(1000) - 500,
			shows:  []string{showsLeft, showsLeft, showsLeft, showsRight, showsRight, showsNothing, showsBad, showsNull}[random.IntN(8)],
		}
		r.offset = next[r.partition]
		next[r.partition]++
		log = append(log, r)
	}
	return log
}

// wantSampled says what must become of a log: the counts of all, and which records
// have a picture or a reject, as topic+partition+offset.
func wantSampled(topic string, log []sampledRecord) (counts run.Summary, files []string) {
	counts.Rejected = map[string]int64{}
	looked, stored := map[string]bool{}, map[string]bool{}
	for _, r := range log {
		counts.RecordsRead++
		slot := fmt.Sprint(r.partition, r.camera, math.Floor(float64(r.millis)/400)) // 2.5 a second
		name := recordName(topic, r.partition, r.offset)
		switch {
		case r.shows == showsNull:
			counts.Skipped++
			continue
		case looked[slot]:
			counts.Sampled++
			continue
		case r.shows == showsBad:
			counts.Rejected[frame.WrongSize]++
			files = append(files, name)
			continue
		}
		looked[slot] = true
		counts.FramesDecoded++
		if r.shows == showsNothing {
			continue
		}
		counts.FramesWithFaces++
		counts.Faces++
		slot = fmt.Sprint(r.partition, r.camera, r.millis/2000, r.shows)
		if stored[slot] {
			counts.Cooled++
			continue
		}
		stored[slot] = true
		counts.FilesWritten += 3 // the frame, annotated, and its one face
		files = append(files, name)
	}
	slices.Sort(files)
	return counts, files
}

// counted returns what of a summary wantSampled says.
func counted(s run.Summary) string {
	return fmt.Sprintf("%d read, %d decoded, %d skipped, %d sampled, %v rejected, %d with faces, %d cooled, %d faces, %d files",
		s.RecordsRead, s.FramesDecoded, s.Skipped, s.Sampled, s.Rejected, s.FramesWithFaces, s.Cooled, s.Faces, s.FilesWritten)
}

// recordsIn returns the records that the paths of pictures and rejects name.
func recordsIn[V any](files map[string]V) (records []string) {
	for name := range files {
		if kind, n := store.KindOf(name); kind == store.KindPicture || kind == store.KindReject {
			records = append(records, recordName(n.Topic, n.Partition, n.Offset))
		}
	}
	slices.Sort(records)
	return records
}

// samplingFrames returns the pixels of demo frames for what a record shows: blue,
// green, red. The two faces have no pixel in common.
func samplingFrames(t *testing.T) map[string]video.Picture {
	t.Helper()
	demo := testkit.Value(video.NewDemoOf(video.DemoConfig{Width: video.DemoWidth, Height: video.DemoHeight, Faces: 1}))(t)
	none := testkit.Value(video.NewDemoOf(video.DemoConfig{Width: video.DemoWidth, Height: video.DemoHeight}))(t)
	out := map[string]video.Picture{showsNothing: none.Frame(0)}
	for i := 0; len(out) < 3; i++ {
		if i == 1000 {
			t.Fatal("the demo has no two such frames")
		}
		p := demo.Frame(i)
		switch b := p.Faces[0]; {
		case b.Width < 120: // smaller ones are not looked for
		case b.X+b.Width <= video.DemoWidth/2:
			out[showsLeft] = p
		case b.X >= video.DemoWidth/2:
			out[showsRight] = p
		}
	}
	return out
}

// samplingValues returns the value of a record for what it shows; encode makes that of
// a frame.
func samplingValues(t *testing.T, encode func(video.Picture) []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{showsBad: make([]byte, 5000), showsNull: nil}
	for shows, p := range samplingFrames(t) {
		out[shows] = encode(p)
	}
	return out
}

func (r sampledRecord) record(topic string, values map[string][]byte) kafka.Record {
	key := []byte(r.camera)
	out := kafka.Record{Topic: topic, Partition: r.partition, Offset: r.offset, Timestamp: r.millis, Key: &key}
	if value := values[r.shows]; value != nil {
		out.Value = &value
	}
	return out
}

// sampledRecords are the records of a log, as they are sent.
func sampledRecords(log []sampledRecord, values map[string][]byte) (records []*kgo.Record) {
	for _, r := range log {
		records = append(records, &kgo.Record{Partition: r.partition, Key: []byte(r.camera), Timestamp: time.UnixMilli(r.millis), Value: values[r.shows]})
	}
	return records
}

// jpegOf returns a picture as a JPEG file.
func jpegOf(t *testing.T, p video.Picture) []byte {
	t.Helper()
	return testkit.Value(video.EncodeJPEG(p, 0))(t)
}

// However a log is cut into windows, and in whatever order the records of one
// come, the same is stored and counted. So it is when they come in order and each is
// decided at once. Half of a window that was stored before, by a run that has died or a
// bundle that has failed, makes no difference either.
func TestBordersOfWindowsMakeNoDifference(t *testing.T) {
	t.Parallel()
	const topic, n = "cut", 48
	random := rand.New(rand.NewPCG(1, 2))
	log := samplingLog(random, n)
	values := samplingValues(t, func(p video.Picture) []byte { return p.BGR })
	wantCounts, wantFiles := wantSampled(topic, log)
	if wantCounts.Sampled < 5 || wantCounts.Cooled < 3 || wantCounts.Rejected["wrong_size"] < 2 {
		t.Fatalf("the log is too simple: %s", counted(wantCounts))
	}
	everyRecord := make([]int, n)
	for i := range everyRecord {
		everyRecord[i] = i
	}
	cuts := [][]int{nil, everyRecord}
	for range 4 {
		cuts = append(cuts, slices.Sorted(slices.Values(random.Perm(n)[:1+random.IntN(6)])))
	}
	runner := testkit.Value(runners.Open(t.Context(), runners.Config{Name: runners.Direct}))(t)
	defer runner.Close()
	for i, cut := range slices.Concat(cuts, cuts) {
		inOrder := i < len(cuts)
		root := t.TempDir()
		o := optionsFor(t, append(slices.Clone(samplingFlags), "--kafka=localhost:1", "--output="+root)...)
		w := windowOf(o, testStore(root))
		w.Sampling.Frames.InOrder, w.Face.InOrder = inOrder, inOrder
		var carry store.Carry
		counts := run.NewSummary("", time.Now())
		first := 0
		for i, border := range append(slices.Clone(cut), n) {
			var window []any
			for _, r := range log[first:border] {
				window = append(window, r.record(topic, values))
			}
			if first = border; len(window) == 0 {
				continue
			}
			for _, attempt := range [][]any{slices.Clone(window[:len(window)/2]), window} {
				if len(attempt) == 0 {
					continue
				}
				if !inOrder {
					random.Shuffle(len(attempt), func(i, j int) { attempt[i], attempt[j] = attempt[j], attempt[i] })
				}
				p, s := beam.NewPipelineWithRoot()
				w.Name = fmt.Sprintf("w%d of %d", i, len(attempt))
				process(s, w.Following(carry), beam.Create(s, attempt...))
				testkit.Must(t, runner.Run(t.Context(), w.Name, p))
			}
			l := testkit.Value(store.ReadWritten(t.Context(), w.Store, w.Name))(t)
			counts.Add(l)
			carry = carry.After(l)
		}
		testkit.Must(t, store.End(t.Context(), w.Store))
		if counted(*counts) != counted(wantCounts) {
			t.Errorf("cut at %v, in order %t: %s; want %s", cut, inOrder, counted(*counts), counted(wantCounts))
		}
		if got := recordsIn(localFiles(t, root)); !slices.Equal(got, wantFiles) {
			t.Errorf("cut at %v, in order %t: there are files of %v; want %v", cut, inOrder, got, wantFiles)
		}
	}
}

// With max_fps and cooldown, every runner leaves out the same, and so do small
// windows and two runs, of which the second begins in the middle of slots; and shards that
// share a partition and follow it, which do so at once, and again when their window is read
// again. What verify reads of it agrees.
func TestEveryRunnerLeavesOutTheSame(t *testing.T) {
	addrs := allServices(t)
	const total = 160
	j := newJob(t, "sampling", "erin", slices.Concat(samplingFlags, []string{"--duration=10m", "--drain"})...)
	log := samplingLog(rand.New(rand.NewPCG(7, 8)), total)
	values := samplingValues(t, func(p video.Picture) []byte { return jpegOf(t, p) })
	c := newTopic(t, j.Kafka, j.topic, 2)
	wantCounts, wantFiles := wantSampled(j.topic, log)
	send(t, c, sampledRecords(log[:total/2], values)...)
	const twice, live = "twice", "live"
	j.as(twice).run(t, "--runner=direct")
	shared := []string{"--runner=flink", "--parallelism=3", "--reader=native", "--window=10m"} // of two partitions
	ended, interrupt := j.as(live).begin(t, t.Output(), append(shared, "--drain=false")...)
	stored := func(log []sampledRecord) {
		t.Helper()
		_, want := wantSampled(j.topic, slices.DeleteFunc(slices.Clone(log), func(r sampledRecord) bool { return r.shows == showsBad }))
		testkit.Await(t, fmt.Sprintf("the pictures of %v", want), func() bool {
			files := j.as(live).files(t)
			maps.DeleteFunc(files, func(name string, _ hdfsFile) bool { return strings.HasPrefix(name, "_") })
			return slices.Equal(recordsIn(files), want) || len(ended) > 0
		})
	}
	stored(log[:total/2])
	send(t, c, sampledRecords(log[total/2:], values)...)
	stored(log)
	interrupt()
	all := onClusters(addrs)
	all["flink-cluster-native"] = append(all["flink-cluster"], "--reader=native", "--window=10m", "--store=parquet")
	all["spark-cluster"] = append(all["spark-cluster"], "--store=parquet")
	all[live] = shared
	all[twice] = []string{"--runner=prism", "--reader=native"}
	all["small"] = []string{"--runner=prism", "--window_bytes=1MiB"}
	if !testkit.All() {
		delete(all, "flink-cluster-native")
	}
	got := map[string]outcome{}
	for name, flags := range all {
		t.Run(name, func(t *testing.T) {
			j := j.as(name)
			summary := j.run(t, flags...)
			if name == "small" && summary.Windows < 3 {
				t.Errorf("%d windows: their borders are not tested", summary.Windows)
			}
			if name == twice {
				summary = run.NewSummary("", time.Now()) // of both
				for _, l := range ledgers(t, j.HDFS+j.dir) {
					summary.Add(l)
				}
				summary.State = "DONE"
			}
			if counted(*summary) != counted(wantCounts) {
				t.Errorf("%s; want %s", counted(*summary), counted(wantCounts))
			}
			got[name] = outcomeOf(t, j, *summary)
			if records := recordsIn(got[name].Files); !slices.Equal(records, wantFiles) {
				t.Errorf("there are files of %v; want %v", records, wantFiles)
			}
			j.verify(t, fmt.Sprintf("%d records rechecked (0 differ)", total), "--recheck=1000")
		})
	}
	for name, o := range got {
		compareOutcomes(t, name, o, got["small"])
	}
}
