package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"testing"

	"facestream/internal/camera"
	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/face"
)

// golden is a line of faces.golden.jsonl: one face of the video, frame by frame.
type golden struct {
	Offset int64      `json:"offset"`
	Face   int        `json:"face"`
	Faces  int        `json:"faces"`
	Box    record.Box `json:"box"`
	Blur   float64    `json:"blur"`
	Crop   [2]int     `json:"crop"` // width and height
}

func readGolden(t *testing.T) (lines []golden) {
	t.Helper()
	for line := range bytes.Lines(testkit.ReadFile(t, "../testdata/faces.golden.jsonl")) {
		var g golden
		testkit.Must(t, json.Unmarshal(line, &g))
		lines = append(lines, g)
	}
	return lines
}

// A video file goes through the camera tool, Kafka and the job into HDFS, with
// all four outputs.
func TestVideoFileWithAllOutputs(t *testing.T) {
	t.Parallel()
	j := newJob(t, "golden", "erin", "--runner=direct", "--min_face=0", "--scale_factor=1.1", "--write=frame,annotated,crops,events", "--latest", "--drain")
	topic := j.topic
	saidBy(t.Context(), t, camera.Command("camera"), 0, "", "--kafka="+j.Kafka, "--topic="+topic, "--partitions=1", "--source=../testdata/faces.mp4", "--camera=phone")
	records := values(t, j.Kafka, topic, 12)
	summary, files := j.run(t), j.files(t)
	pictures := map[string][]byte{} // by the base of the name
	var lines []string
	for name, f := range files {
		switch {
		case strings.HasPrefix(name, "_events/"):
			lines = strings.Split(strings.TrimSuffix(string(f.data), "\n"), "\n")
		case strings.HasPrefix(name, "phone/"):
			pictures[path.Base(name)] = f.data
		}
	}
	want := readGolden(t)
	wantFiles := map[string]bool{}
	if len(lines) != len(want) {
		t.Fatalf("%d events, want %d: %q", len(lines), len(want), lines)
	}
	for i, g := range want {
		var e face.Event
		if err := json.Unmarshal([]byte(lines[i]), &e); err != nil {
			t.Fatalf("event %q: %v", lines[i], err)
		}
		if e.Topic != topic || e.Camera != "phone" || e.Offset != g.Offset || e.Face != g.Face || e.Faces != g.Faces || e.Box != g.Box ||
			e.FrameWidth != 320 || e.FrameHeight != 240 || math.Abs(e.Blur-g.Blur) > g.Blur/100 || e.DetectMillis <= 0 {
			t.Errorf("event %s, want %+v", lines[i], g)
		}
		record := recordName(topic, 0, g.Offset)
		crop := fmt.Sprintf("%s.face-%d.jpg", record, g.Face)
		wantFiles[record+".jpg"], wantFiles[record+".annotated.jpg"], wantFiles[crop] = true, true, true
		for suffix, stored := range map[string]string{".jpg": e.Picture, ".annotated.jpg": e.Annotated, strings.TrimPrefix(crop, record): e.Crop} {
			if files[stored].data == nil || !strings.HasSuffix(stored, record+suffix) {
				t.Errorf("event %s names no file for %s", lines[i], suffix)
			}
		}
		if !bytes.Equal(pictures[record+".jpg"], records[record]) {
			t.Errorf("%s.jpg is not what the camera sent", record)
		}
		for name, size := range map[string]image.Point{record + ".annotated.jpg": image.Pt(320, 240), crop: image.Pt(g.Crop[0], g.Crop[1])} {
			if img, err := jpeg.Decode(bytes.NewReader(pictures[name])); err != nil || img.Bounds().Size() != size {
				t.Errorf("%s is not a JPEG of %v: %v", name, size, err)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(pictures)); !slices.Equal(got, slices.Sorted(maps.Keys(wantFiles))) {
		t.Errorf("there are the files %v, want %v", got, slices.Sorted(maps.Keys(wantFiles)))
	}
	last := recordName(topic, 0, want[len(want)-1].Offset)
	if !bytes.Equal(files["face.jpg"].data, records[last]) {
		t.Errorf("face.jpg is not the last frame with a face, %s", last)
	}
	if summary.RecordsRead != 12 || summary.Faces != int64(len(want)) || summary.FilesWritten != int64(len(wantFiles)) {
		t.Errorf("summary %+v", summary)
	}
}
