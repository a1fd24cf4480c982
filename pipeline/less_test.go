package main

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/video"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// lessSettings are those of wantLess.
var lessSettings = []string{"--max_fps=2.5", "--cooldown=2s", "--min_face=100", "--scale_factor=1.3", "--write=frame,annotated,crops,events"}

// What a record of a lessLog shows.
const (
	showsLeft    = "left" // a face
	showsRight   = "right"
	showsNothing = "nothing"
	showsBad     = "bad" // is a reject
	showsNull    = "null"
)

// lessRecord is a record of which it is known what it shows.
type lessRecord struct {
	partition int32
	offset    int64
	millis    int64
	camera    string
	shows     string
}

// lessLog makes n records on two partitions, in an order in which a topic may hold
// them: ten a second and camera, with times that go back and forth by up to half a
// second.
func lessLog(random *rand.Rand, n int) []lessRecord {
	const begin = 1_700_000_000_000
	cameras := []string{"door", "gate", "a+b/ö"}
	var log []lessRecord
	next := map[int32]int64{}
	for i := range n {
		r := lessRecord{
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

// wantLess says what must become of a log: the counts of all, and which records
// have a picture or a reject, as topic+partition+offset.
func wantLess(topic string, log []lessRecord) (counts Summary, files []string) {
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

// counted returns what of a summary wantLess says.
func counted(s Summary) string {
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

// lessFrames returns the pixels of demo frames for what a record shows: blue,
// green, red. The two faces have no pixel in common.
func lessFrames(t *testing.T) map[string]video.Picture {
	t.Helper()
	demo, err := video.NewDemoOf(video.DemoConfig{Width: video.DemoWidth, Height: video.DemoHeight, Faces: 1})
	if err != nil {
		t.Fatal(err)
	}
	none, err := video.NewDemoOf(video.DemoConfig{Width: video.DemoWidth, Height: video.DemoHeight})
	if err != nil {
		t.Fatal(err)
	}
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

// lessValues returns the value of a record for what it shows; encode makes that of
// a frame.
func lessValues(t *testing.T, encode func(video.Picture) []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{showsBad: make([]byte, 5000), showsNull: nil}
	for shows, p := range lessFrames(t) {
		out[shows] = encode(p)
	}
	return out
}

func (r lessRecord) record(topic string, values map[string][]byte) kafka.Record {
	key := []byte(r.camera)
	out := kafka.Record{Topic: topic, Partition: r.partition, Offset: r.offset, Timestamp: r.millis, Key: &key}
	if value := values[r.shows]; value != nil {
		out.Value = &value
	}
	return out
}

// jpegOf returns a picture as a JPEG file.
func jpegOf(t *testing.T, p video.Picture) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(img.Pix[4*i:], []byte{p.BGR[3*i+2], p.BGR[3*i+1], p.BGR[3*i], 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// With max_fps and cooldown, every runner leaves out the same, and so do small
// windows and two runs, of which the second begins in the middle of slots. What
// verify reads of it agrees.
func TestEveryRunnerLeavesOutTheSame(t *testing.T) {
	addrs := allServices(t)
	const topic, total = "less", 160
	log := lessLog(rand.New(rand.NewPCG(7, 8)), total)
	values := lessValues(t, func(p video.Picture) []byte { return jpegOf(t, p) })
	c, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 2)
	send := func(log []lessRecord) {
		for _, r := range log {
			if err := c.ProduceSync(t.Context(), &kgo.Record{
				Topic: topic, Partition: r.partition, Key: []byte(r.camera), Timestamp: time.UnixMilli(r.millis), Value: values[r.shows],
			}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	run := func(name string, flags ...string) *Summary {
		return runOnce(t, optionsFor(t, slices.Concat(flags, lessSettings, []string{
			"--kafka=" + addrs.Kafka, "--topics=" + topic, "--group=less-" + name, "--user=erin", "--output=" + addrs.HDFS + "/user/erin/less-" + name,
			"--duration=10m", "--drain"})...))
	}
	verify := filepath.Join(t.TempDir(), "verify")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", verify, "facestream/scripts/verify").CombinedOutput(); err != nil {
		t.Fatalf("building verify: %v\n%s", err, out)
	}

	send(log[:total/2])
	first := run("twice", "--runner=prism")
	send(log[total/2:])
	all := everyRunner(addrs)
	wantCounts, wantFiles := wantLess(topic, log)
	got := map[string]outcome{}
	for _, name := range []string{"twice", "small", "flink-cluster", "spark-cluster"} {
		t.Run(name, func(t *testing.T) {
			var summary *Summary
			switch name {
			case "twice":
				summary = run(name, "--runner=prism")
				addTo(summary, first)
			case "small":
				summary = run(name, "--runner=prism", "--window_bytes=1048576")
				if summary.Windows < 3 {
					t.Errorf("%d windows: their borders are not tested", summary.Windows)
				}
			default:
				summary = run(name, all[name]...)
			}
			if counted(*summary) != counted(wantCounts) {
				t.Errorf("%s; want %s", counted(*summary), counted(wantCounts))
			}
			got[name] = outcomeOf(t, addrs, "/user/erin/less-"+name, *summary)
			if records := recordsIn(got[name].Files); !slices.Equal(records, wantFiles) {
				t.Errorf("there are files of %v; want %v", records, wantFiles)
			}
			out, err := exec.CommandContext(t.Context(), verify, "--kafka="+addrs.Kafka, "--topics="+topic, "--group=less-"+name, "--user=erin",
				"--output="+addrs.HDFS+"/user/erin/less-"+name, "--recheck=1000").CombinedOutput()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d records rechecked (0 differ)", total)) {
				t.Errorf("verify: %v\n%s", err, out)
			}
		})
	}
	for name, o := range got {
		compareOutcomes(t, name, o, got["small"])
	}
}

// addTo adds the counts of an earlier run.
func addTo(s, earlier *Summary) {
	s.RecordsRead += earlier.RecordsRead
	s.FramesDecoded += earlier.FramesDecoded
	s.Skipped += earlier.Skipped
	s.Sampled += earlier.Sampled
	s.FramesWithFaces += earlier.FramesWithFaces
	s.Cooled += earlier.Cooled
	s.Faces += earlier.Faces
	s.FilesWritten += earlier.FilesWritten
	s.BytesWritten += earlier.BytesWritten
	for reason, n := range earlier.Rejected {
		s.Rejected[reason] += n
	}
}
