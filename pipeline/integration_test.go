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
	"facestream/internal/stack/services/testservices"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
	"facestream/transforms/frame/frametest"
)

// hdfsFile is one file as HDFS holds it.
type hdfsFile struct {
	owner string
	data  []byte
}

// hdfsFiles reads every file below a folder, by its path below it. A missing folder has none.
func hdfsFiles(t *testing.T, addr, dir string) map[string]hdfsFile {
	t.Helper()
	client := testkit.Value(hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(addr, "hdfs://")}, User: "hdfs"}))(t)
	defer client.Close()
	out := map[string]hdfsFile{}
	err := client.Walk(dir, func(name string, info fs.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := client.ReadFile(name)
		if _, gone := client.Stat(name); errors.Is(gone, fs.ErrNotExist) { // renamed meanwhile, by a run that goes on
			return nil
		}
		out[strings.TrimPrefix(name, dir+"/")] = hdfsFile{info.(*hdfs.FileInfo).Owner(), data}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
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
	t.Parallel()
	jpegTopic, rawTopic := testservices.Name("demo-jpeg"), testservices.Name("demo-raw")
	j := newJob(t, "demo", "alice", "--drain")
	j.topic = jpegTopic + "," + rawTopic
	jpegs := sendDemo(t, j.Kafka, jpegTopic, feed.JPEG, 0, 30)
	raws := sendDemo(t, j.Kafka, rawTopic, feed.Raw, 30, 45)
	first := j.run(t)

	want := append(withFaces(jpegs), withFaces(raws)...)
	got := pictures(t, j.files(t), j.user)
	if !slices.Equal(names(got), want) {
		t.Errorf("pictures of %v, want %v", names(got), want)
	}
	if first.RecordsRead != 45 || first.FramesDecoded != 45 || first.FramesWithFaces != int64(len(want)) ||
		first.FilesWritten != int64(len(want)) || first.Faces < first.FramesWithFaces || first.FirstFileSeconds == nil {
		t.Errorf("summary %+v", first)
	}

	// A JPEG is stored as it came.
	for name, value := range values(t, j.Kafka, jpegTopic, len(jpegs)) {
		if data, ok := got[name]; ok && !bytes.Equal(data, value) {
			t.Errorf("%s: the stored bytes are not those of the record", name)
		}
	}

	more := sendDemo(t, j.Kafka, jpegTopic, feed.JPEG, 45, 51)
	if second := j.run(t, "--reader=native"); second.RecordsRead != 6 {
		t.Errorf("the second run read %d records, want the 6 new ones", second.RecordsRead)
	}
	want = append(want, withFaces(more)...)
	slices.Sort(want)
	if got := j.pictures(t); !slices.Equal(got, want) {
		t.Errorf("after the second run: pictures of %v, want %v", got, want)
	}
}

// Cases 5 to 8 and 10: records without key or headers, records without a
// picture, lying headers, other kinds of pictures, and the same bytes twice. None
// of them ends this process, in which they are decoded. TestParseRejects has every reason.
func TestBadAndOddRecords(t *testing.T) {
	t.Parallel()
	j := newJob(t, "odd", "bob", "--runner=direct", "--duration=10m", "--drain", "--keep_rejects")
	topic := j.topic
	demo := testkit.Value(video.NewDemo(1))(t)
	raw := demo.Frame(0).BGR
	rgb, grey := bytes.Clone(raw), make([]byte, len(raw)/3)
	for i := range grey {
		rgb[3*i], rgb[3*i+2], grey[i] = raw[3*i+2], raw[3*i], raw[3*i+1]
	}
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
		{rgb, "door", header("video/x-raw;format=RGB;width=640;height=480"), "door"},
		{grey, "door", header("video/x-raw;format=GRAY8;width=640;height=480"), "door"},
		{nil, "door", nil, frame.SkipNull},
		{[]byte{}, "door", nil, frame.SkipEmpty},
		{make([]byte, 999), "door", nil, frame.SkipSmall},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=1000000;height=1000000"), frame.TooLarge},
		{raw[:5000], "door", header("video/x-raw;format=BGR;width=-640;height=480"), frame.BadContentType},
		{picture[:len(picture)/2], "door", nil, frame.CorruptJPEG},
		{raw[:5000], "door", header("image/jpeg"), frame.FormatMismatch},
		{frametest.JPEG(drawn(t, picture, image.NewGray)), "door", nil, "door"},
		{append([]byte("RIFF\x00\x00\x00\x00WEBPVP8 "), make([]byte, 2000)...), "door", header("image/webp"), frame.UnsupportedFormat},
		{png16, "door", header("image/png"), "door"},
		{png16, "door", nil, "door"},
		{png16[:5000], "door", nil, frame.CorruptPNG},
		{frametest.PNG(image.NewGray(image.Rect(0, 0, 16000, 16000))), "door", header("image/png"), frame.TooLarge}, // a bomb
		{random(5000), "door", nil, frame.WrongSize},
		{append([]byte{0xFF, 0xD8, 0xFF}, random(5000)...), "door", nil, frame.CorruptJPEG},
	}
	c := newTopic(t, j.Kafka, topic, 2)
	wantFiles := map[string]string{} // record → camera, or reason
	frames := 0
	wantRejected := map[string]int64{}
	var wantSkipped int64
	at := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
	for i, r := range records {
		k := &kgo.Record{Partition: int32(i % 2), Value: r.value, Headers: r.headers, Timestamp: at}
		if r.key != "" {
			k.Key = []byte(r.key)
		}
		send(t, c, k)
		switch r.want {
		case "unknown", "door":
			wantFiles[r.want+"/2024/02/29/23/"+recordName(topic, k.Partition, k.Offset)+".jpg"] = r.want
			frames++
		case frame.SkipNull, frame.SkipEmpty, frame.SkipSmall:
			wantSkipped++
		default:
			wantRejected[r.want]++
			about := "_rejects/door/2024/02/29/23/" + recordName(topic, k.Partition, k.Offset)
			wantFiles[about+".json"], wantFiles[about+".bin"] = r.want, r.want
		}
	}
	summary, files := j.run(t), j.files(t)
	pictures(t, files, j.user)
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

func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data) // it never fails
	return data
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
	j := newJob(t, "empty", "carol", "--runner=direct", "--duration=2s", "--window=1s")
	newTopic(t, j.Kafka, j.topic, 4)
	summary := j.run(t)
	if summary.RecordsRead != 0 || summary.Windows == 0 || summary.Seconds < 2 || summary.FirstFileSeconds != nil {
		t.Errorf("summary %+v", summary)
	}
	if files := slices.Collect(maps.Keys(j.files(t))); !slices.Equal(files, []string{"_SUCCESS"}) {
		t.Errorf("files %v, want only _SUCCESS", files)
	}
}
