package main

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/vet"

	"facestream/internal/camera/video"
	"facestream/internal/run"
	"facestream/internal/testkit"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

// sampleRecords are a demo frame with a face, one without, each raw; the same
// bytes as the first again; a null value and a frame cut short.
func sampleRecords(t *testing.T) []any {
	t.Helper()
	demo := testkit.Value(video.NewDemo(3))(t)
	face, wall := demo.Frame(0), demo.Frame(2)
	if len(face.Faces) == 0 || len(wall.Faces) != 0 {
		t.Fatal("the demo's frame 0 must have a face, its frame 2 none")
	}
	short := face.BGR[:len(face.BGR)-1]
	record := func(offset int64, value *[]byte) kafka.Record {
		key := []byte("gate")
		return kafka.Record{Topic: "injected", Partition: 1, Offset: offset, Timestamp: 1_700_000_000_123, Key: &key, Value: value}
	}
	return []any{record(7, &face.BGR), record(8, &wall.BGR), record(9, &face.BGR), record(10, nil), record(11, &short)}
}

func testStore(root string) store.Config { return store.Config{Root: root, Run: "test"} }

func sampleWindow(t *testing.T, root string) run.Window {
	t.Helper()
	return windowOf(optionsFor(t, "--kafka=localhost:1", "--output="+root), testStore(root))
}

// The graph gives the same files and the same ledger on both runners.
func TestProcessInjectedRecords(t *testing.T) {
	for _, name := range []string{runners.Prism, runners.Direct} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			p, s := beam.NewPipelineWithRoot()
			process(s, sampleWindow(t, root), beam.Create(s, sampleRecords(t)...))
			r := testkit.Value(runners.Open(t.Context(), runners.Config{Name: name, Dir: t.TempDir()}))(t)
			defer r.Close()
			testkit.Must(t, r.Run(t.Context(), "test", p))
			got := testkit.Value(store.ReadWritten(t.Context(), testStore(root), "w"))(t)
			events, err := os.ReadFile(filepath.Join(root, "_tmp", "test", "w.jsonl"))
			if lines := strings.Split(string(events), "\n"); err != nil || len(lines) != 3 || !strings.Contains(lines[0], `"offset":7,`) || !strings.Contains(lines[1], `"offset":9,`) || lines[2] != "" {
				t.Errorf("the events are %q (%v)", lines, err)
			}
			testkit.Must(t, store.End(t.Context(), testStore(root)))
			files := localFiles(t, root)
			const reject = "_rejects/gate/2023/11/14/22/injected+1+00000000000000000011.json"
			if !bytes.Contains(files[reject], []byte(`"reason": "wrong_size"`)) {
				t.Errorf("%s: %s", reject, files[reject])
			}
			delete(files, reject)

			// 1,700,000,000 s after 1970 is 2023-11-14 22:13:20 UTC.
			for _, name := range []string{"injected+1+00000000000000000007.jpg", "injected+1+00000000000000000009.jpg"} {
				data := files[filepath.Join("gate", "2023", "11", "14", "22", name)]
				if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if len(files) != 2 {
				t.Errorf("%d pictures, want 2", len(files))
			}
			if len(got.Partitions) != 1 || got.FirstMillis == 0 {
				t.Fatalf("ledger %+v", got)
			}
			g := got.Partitions[0]
			if g.Topic != "injected" || g.Partition != 1 || g.FirstOffset != 7 || g.LastOffset != 11 ||
				g.Read != 5 || g.Decoded != 3 || g.Skipped != 1 || len(g.Rejected) != 1 || g.Rejected[frame.WrongSize] != 1 ||
				g.FramesWithFaces != 2 || g.Faces != 2 || g.Files != 2 {
				t.Errorf("ledger %+v", got)
			}
		})
	}
}

// Every function and type is registered, so that the pipeline can run in
// another process. (The second half of what --beam_strict asks for, call shims,
// cannot be had for functions of records, whose type has no name.)
func TestBuildIsRegistered(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	w := sampleWindow(t, t.TempDir())
	w.Reader = kafka.Native // which is in Go, too
	w.Read = kafka.Window{Brokers: "localhost:1", Topics: []string{"t"}, Group: "g", Shards: [][]kafka.Piece{{}}}
	w.Sampling = face.Sampling{Frames: frame.Sampling{MaxFPS: 1}, CooldownMillis: 1000}
	testkit.Must(t, Build(s, w))
	found := testkit.Value(vet.Evaluate(t.Context(), p))(t)
	if found.RequiresRegistrations() {
		found.Generate("main")
		t.Errorf("not registered:\n%s", found.Bytes())
	}
}
