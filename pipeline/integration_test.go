package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/internal/run"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
	"facestream/transforms/kafka"
)

// hdfsFile is one file as HDFS holds it.
type hdfsFile struct {
	owner string
	data  []byte
}

// hdfsFiles reads every file below a folder, by its path below it.
func hdfsFiles(t *testing.T, addr, dir string) map[string]hdfsFile {
	t.Helper()
	out := map[string]hdfsFile{}
	walk(t, addr, dir, func(client *hdfs.Client, name string, info fs.FileInfo) error {
		data, err := client.ReadFile(path.Join(dir, name))
		out[name] = hdfsFile{info.(*hdfs.FileInfo).Owner(), data}
		return err
	})
	return out
}

// walk gives every file below a folder, with its path below it. A missing
// folder has none.
func walk(t *testing.T, addr, dir string, visit func(client *hdfs.Client, name string, info fs.FileInfo) error) {
	t.Helper()
	client := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(addr, "hdfs://")}, User: "hdfs"}))(t)
	defer client.Close()
	err := client.Walk(dir, func(name string, info fs.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		return visit(client, strings.TrimPrefix(name, dir+"/"), info)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// pictures returns the pictures among files by record: topic+partition+offset.
// Every one must be a JPEG that can be decoded, every file owned by the user; no
// temporary file may be left.
func pictures(t *testing.T, files map[string]hdfsFile, user string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, f := range files {
		if f.owner != user {
			t.Errorf("%s is owned by %s, want %s", name, f.owner, user)
		}
		switch {
		case strings.HasPrefix(name, "_windows/"), strings.HasPrefix(name, "_rejects/"), strings.HasPrefix(name, "_events/"), name == "_SUCCESS":
			continue
		case strings.HasPrefix(name, "_"):
			t.Errorf("%s is left", name)
			continue
		}
		if _, err := jpeg.Decode(bytes.NewReader(f.data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out[strings.TrimSuffix(path.Base(name), ".jpg")] = f.data
	}
	return out
}

// withFaces returns the names of the records whose frames have a face.
func withFaces(sent []feed.Sent) []string {
	var out []string
	for _, s := range sent {
		if len(s.Faces) > 0 {
			out = append(out, recordName(s.Topic, s.Partition, s.Offset))
		}
	}
	slices.Sort(out)
	return out
}

func names(pictures map[string][]byte) []string { return slices.Sorted(maps.Keys(pictures)) }

// The whole job on real parts: the demo video through Kafka and Prism into
// HDFS. Exactly the frames with faces are there, and a second run goes on where
// the first stopped, with the other reader.
func TestDemoVideoIntoHDFS(t *testing.T) {
	addrs := realServices(t)
	const user, dir = "alice", "/user/alice/demo"
	flags := []string{"--topics=demo-jpeg,demo-raw", "--kafka=" + addrs.Kafka, "--group=demo", "--user=" + user, "--output=" + addrs.HDFS + dir}

	jpegs := sendDemo(t, addrs.Kafka, "demo-jpeg", feed.JPEG, 0, 30)
	raws := sendDemo(t, addrs.Kafka, "demo-raw", feed.Raw, 30, 45)
	first := runOnce(t, optionsFor(t, append(flags, "--drain")...))

	want := append(withFaces(jpegs), withFaces(raws)...)
	got := pictures(t, hdfsFiles(t, addrs.HDFS, dir), user)
	if !slices.Equal(names(got), want) {
		t.Errorf("pictures of %v, want %v", names(got), want)
	}
	if first.RecordsRead != 45 || first.FramesDecoded != 45 || first.FramesWithFaces != int64(len(want)) ||
		first.FilesWritten != int64(len(want)) || first.Faces < first.FramesWithFaces || first.FirstFileSeconds == nil {
		t.Errorf("summary %+v", first)
	}

	// A JPEG is stored as it came.
	for name, value := range values(t, addrs.Kafka, "demo-jpeg", len(jpegs)) {
		if data, ok := got[name]; ok && !bytes.Equal(data, value) {
			t.Errorf("%s: the stored bytes are not those of the record", name)
		}
	}

	more := sendDemo(t, addrs.Kafka, "demo-jpeg", feed.JPEG, 45, 51)
	second := runOnce(t, optionsFor(t, append(flags, "--drain", "--reader=native")...))
	if second.RecordsRead != 6 {
		t.Errorf("the second run read %d records, want the 6 new ones", second.RecordsRead)
	}
	want = append(want, withFaces(more)...)
	slices.Sort(want)
	if got := names(pictures(t, hdfsFiles(t, addrs.HDFS, dir), user)); !slices.Equal(got, want) {
		t.Errorf("after the second run: pictures of %v, want %v", got, want)
	}
}

// Cases 5 to 8 and 10: records without key or headers, records without a
// picture, lying headers, other kinds of pictures, and the same bytes twice. None
// of them ends this process, in which they are decoded.
func TestBadAndOddRecords(t *testing.T) {
	addrs := realServices(t)
	demo := testkit.Value(video.NewDemo(1))(t)
	raw := demo.Frame(0).BGR
	picture := jpegOf(t, demo.Frame(0))
	png16 := frametest.PNG(drawn(t, picture, image.NewGray16))
	header := func(value string) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: "content-type", Value: []byte(value)}}
	}
	records := []struct {
		value   []byte
		key     string
		headers []kgo.RecordHeader
		want    string // a reason, a skip's reason, or a camera
	}{
		{picture, "", nil, "unknown"},
		{picture, "door", nil, "door"},
		{picture, "door", nil, "door"},
		{raw, "", nil, "unknown"},
		{inRGB(raw), "door", header("video/x-raw;format=RGB;width=640;height=480"), "door"},
		{onlyGreen(raw), "door", header("video/x-raw;format=GRAY8;width=640;height=480"), "door"},
		{raw, "door", header("video/x-raw;format=GRAY8;width=640;height=480"), frame.WrongSize},
		{nil, "door", nil, frame.SkipNull},
		{[]byte{}, "door", nil, frame.SkipEmpty},
		{make([]byte, 999), "door", nil, frame.SkipSmall},
		{make([]byte, 1000), "door", nil, frame.WrongSize},
		{raw[:len(raw)-1], "door", nil, frame.WrongSize},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=1000000;height=1000000"), frame.TooLarge},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=-640;height=480"), frame.BadContentType},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=NaN;height=480"), frame.BadContentType},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=640"), frame.BadContentType},
		{picture[:len(picture)/2], "door", nil, frame.CorruptJPEG},
		{raw[:5000], "door", header("image/jpeg"), frame.FormatMismatch},
		{frametest.JPEG(drawn(t, picture, image.NewGray)), "door", nil, "door"},
		{padded("RIFF\x00\x00\x00\x00WEBPVP8 "), "door", header("image/webp"), frame.UnsupportedFormat},
		{padded("RIFF\x00\x00\x00\x00WEBPVP8 "), "door", nil, frame.UnsupportedFormat},
		{padded("II*\x00\x08\x00\x00\x00"), "door", header("image/tiff"), frame.UnsupportedFormat},
		{png16, "door", header("image/png"), "door"},
		{png16, "door", nil, "door"},
		{png16[:5000], "door", nil, frame.CorruptPNG},
		{frametest.PNG(image.NewGray(image.Rect(0, 0, 16000, 16000))), "door", header("image/png"), frame.TooLarge}, // a bomb
		{random(5000), "door", nil, frame.WrongSize},
		{append([]byte{0xFF, 0xD8, 0xFF}, random(5000)...), "door", nil, frame.CorruptJPEG},
	}
	const topic = "odd"
	c, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, topic, 2)
	wantFiles := map[string]string{} // record → camera, or reason
	frames := 0
	wantRejected := map[string]int64{}
	var wantSkipped int64
	at := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
	for i, r := range records {
		k := &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: r.value, Headers: r.headers, Timestamp: at}
		if r.key != "" {
			k.Key = []byte(r.key)
		}
		testkit.Must(t, c.ProduceSync(t.Context(), k).FirstErr())
		switch r.want {
		case "unknown", "door":
			wantFiles[r.want+"/2024/02/29/23/"+recordName(topic, k.Partition, k.Offset)+".jpg"] = r.want
			frames++
		case frame.SkipNull, frame.SkipEmpty, frame.SkipSmall:
			wantSkipped++
		default:
			wantRejected[r.want]++
			wantFiles["_rejects/door/2024/02/29/23/"+recordName(topic, k.Partition, k.Offset)+".json"] = r.want
			wantFiles["_rejects/door/2024/02/29/23/"+recordName(topic, k.Partition, k.Offset)+".bin"] = r.want
		}
	}
	const user, dir = "bob", "/user/bob/odd"
	summary := runOnce(t, optionsFor(t, "--kafka="+addrs.Kafka, "--topics="+topic, "--group="+topic, "--user="+user, "--output="+addrs.HDFS+dir, "--duration=10m", "--drain", "--keep_rejects"))
	files := hdfsFiles(t, addrs.HDFS, dir)
	pictures(t, files, user)
	maps.DeleteFunc(files, func(name string, _ hdfsFile) bool {
		return strings.HasPrefix(name, "_windows/") || strings.HasPrefix(name, "_events/") || name == "_SUCCESS"
	})
	if got, want := slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(wantFiles)); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	for name, reason := range wantFiles {
		var about struct {
			Reason, SHA256 string
		}
		kept, ok := files[strings.TrimSuffix(name, ".json")+".bin"]
		if !ok || !strings.HasSuffix(name, ".json") {
			continue
		}
		if err := json.Unmarshal(files[name].data, &about); err != nil || about.Reason != reason || about.SHA256 != fmt.Sprintf("%x", sha256.Sum256(kept.data)) {
			t.Errorf("%s: %s (%v), want the reason %s and the SHA-256 of the value, which is kept", name, files[name].data, err, reason)
		}
	}
	if !maps.Equal(summary.Rejected, wantRejected) || summary.Skipped != wantSkipped {
		t.Errorf("rejected %v and skipped %d, want %v and %d", summary.Rejected, summary.Skipped, wantRejected, wantSkipped)
	}
	if summary.RecordsRead != int64(len(records)) || summary.FramesDecoded != int64(frames) {
		t.Errorf("read %d and decoded %d, want %d and %d", summary.RecordsRead, summary.FramesDecoded, len(records), frames)
	}
}

// padded makes a value of what it begins with that is not too small to be
// looked at.
func padded(start string) []byte { return append([]byte(start), make([]byte, 2000)...) }

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // it never fails
	return data
}

// inRGB gives pixels of blue, green, red in the other order.
func inRGB(bgr []byte) []byte {
	rgb := bytes.Clone(bgr)
	for i := 0; i < len(rgb); i += 3 {
		rgb[i], rgb[i+2] = rgb[i+2], rgb[i]
	}
	return rgb
}

// onlyGreen gives a grey picture of pixels of blue, green, red.
func onlyGreen(bgr []byte) []byte {
	var grey []byte
	for i := 1; i < len(bgr); i += 3 {
		grey = append(grey, bgr[i])
	}
	return grey
}

// drawn draws a JPEG into another kind of picture.
func drawn[T draw.Image](t *testing.T, file []byte, newImage func(image.Rectangle) T) T {
	t.Helper()
	colour := testkit.Value(jpeg.Decode(bytes.NewReader(file)))(t)
	to := newImage(colour.Bounds())
	draw.Draw(to, to.Bounds(), colour, image.Point{}, draw.Src)
	return to
}

// Case 1: an empty topic ends with the duration.
func TestEmptyTopic(t *testing.T) {
	addrs := realServices(t)
	_, admin := kafkaClient(t, addrs.Kafka)
	createTopic(t, admin, "empty", 4)
	for _, runner := range []string{runners.Prism, runners.Direct} {
		dir := "/user/carol/" + runner
		summary := runOnce(t, optionsFor(t, "--kafka="+addrs.Kafka, "--runner="+runner, "--topics=empty", "--group=empty", "--user=carol",
			"--output="+addrs.HDFS+dir, "--duration=2s", "--window=1s"))
		if summary.RecordsRead != 0 || summary.Windows < 2 || summary.Seconds < 2 || summary.FirstFileSeconds != nil {
			t.Errorf("%s: summary %+v", runner, summary)
		}
		if files := slices.Collect(maps.Keys(hdfsFiles(t, addrs.HDFS, dir))); !slices.Equal(files, []string{"_SUCCESS"}) {
			t.Errorf("%s: files %v, want only _SUCCESS", runner, files)
		}
	}
}

// Case 2: a topic that does not exist is named, and not created.
func TestMissingTopic(t *testing.T) {
	addrs := realServices(t)
	_, err := run.Run(t.Context(), optionsFor(t, "--kafka="+addrs.Kafka, "--topics=nowhere", "--user=carol", "--output="+addrs.HDFS+"/user/carol/missing"), Build, t.TempDir(), io.Discard)
	if !errors.Is(err, kafka.ErrUnknownTopic) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v, want one that names the topic", err)
	}
	_, admin := kafkaClient(t, addrs.Kafka)
	topics := testkit.Value(admin.ListTopics(t.Context()))(t)
	if topics.Has("nowhere") {
		t.Error("the topic was created")
	}
	if files := hdfsFiles(t, addrs.HDFS, "/user/carol/missing"); len(files) != 0 {
		t.Errorf("files %v, want none", files)
	}
}

// Windows are bounded by bytes, also of a topic whose first records are small and whose
// later ones are large.
func TestWindowsAreBoundedByBytes(t *testing.T) {
	addrs := realServices(t)
	const dir, most = "/user/dave/bounded", 5 // raw frames in 5 MiB
	small := sendDemo(t, addrs.Kafka, "bounded", feed.JPEG, 0, 8)
	large := sendDemo(t, addrs.Kafka, "bounded", feed.Raw, 8, 20)
	var out strings.Builder
	summary, err := run.Run(t.Context(), optionsFor(t, "--kafka="+addrs.Kafka, "--topics=bounded", "--group=bounded", "--user=dave",
		"--output="+addrs.HDFS+dir, "--window_bytes=5MiB", "--drain"), Build, t.TempDir(), &out)
	if err != nil || summary.RecordsRead != int64(len(small)+len(large)) {
		t.Fatalf("read %d records, want %d (%v)", summary.RecordsRead, len(small)+len(large), err)
	}
	var held []int // records by window
	for line := range strings.Lines(out.String()) {
		var window, n int
		if _, err := fmt.Sscanf(line, "window %d: %d records", &window, &n); err == nil {
			held = append(held, n)
		}
	}
	if len(held) < 4 || slices.Max(held) > len(small)+most || slices.Max(held[2:]) > most {
		t.Errorf("the windows have %v records; of the large ones at most %d fit", held, most)
	}
}

// Without flags, a run looks for faces as OpenCV does by default.
func TestDefaultsAreOpenCVs(t *testing.T) {
	o := optionsFor(t, "--kafka=localhost:1", "--output="+t.TempDir())
	file := testkit.Value(face.PresetFile(face.Parity))(t)
	if path.Base(file) != "haarcascade_frontalface_alt.xml" {
		t.Errorf("default cascade %s", file)
	}
	if o.Face.ScaleFactor != 1.1 || o.Face.MinNeighbors != 3 || o.Face.MinFace != 0 {
		t.Errorf("defaults %v, %v, %v", o.Face.ScaleFactor, o.Face.MinNeighbors, o.Face.MinFace)
	}
}
