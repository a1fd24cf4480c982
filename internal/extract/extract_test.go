package extract

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/tracedfs"
	"facestream/transforms/face"
	"facestream/transforms/store"
)

// What a run gathers while it is looked for is found at its new place, and once. Two groups
// that have read the same records give each picture once.
func TestBesideARun(t *testing.T) {
	root := filepath.Join(t.TempDir(), "faces")
	var books []*store.Book
	var next int64
	keep := func(book *store.Book, window string) {
		id := record.In("t", 0).At(next)
		next++
		name := store.Name{ID: id, Camera: "door"}
		event := testkit.Value(json.Marshal(face.Event{ID: id, Camera: "door", Face: 1, Faces: 1, Picture: name.Path()}))(t)
		for name, data := range map[string][]byte{name.Path(): []byte(id.String()), "_tmp/run/" + window + ".jsonl": append(event, '\n')} {
			testkit.WriteFile(t, filepath.Join(root, name), data)
		}
		p := store.Partition{
			TopicPartition: id.TopicPartition, From: id.Offset, FirstOffset: id.Offset, LastOffset: id.Offset, Offsets: []record.Range{id.Range()}, Read: 1, ReadBytes: 1000, Decoded: 1,
			FramesWithFaces: 1, Faces: 1, Files: 1, Bytes: 1, Events: 1, Pictures: []record.Range{id.Range()},
		}
		testkit.Value(book.Keep(t.Context(), window, store.Ledger{Partitions: []store.Partition{p}}, []record.ID{id.TopicPartition.At(next)}))(t)
	}
	for _, group := range []string{"a", "b"} {
		run := store.Run{ID: "run", Group: group, Settings: []byte(`{"write":"frame,events"}`), SettingsSHA256: "s"}
		books = append(books, testkit.Value(store.OpenBook(t.Context(), store.Config{Root: root, Run: "run"}, run, []string{"t"}, nil))(t))
		next = 0
		keep(books[len(books)-1], "20261124T093000.123Z-0000000"+group)
	}
	keep(books[1], "20261124T093001.123Z-0000000c")
	gathered := false
	tracedfs.Register(func(call, path string) {
		if call == "OpenRead" && strings.HasSuffix(path, ".jsonl") && !gathered {
			gathered = true
			for _, book := range books {
				testkit.Must(t, book.Gather(t.Context()))
			}
		}
	})
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "faces.tar")
	o := options{root: tracedfs.Name(root), tar: file, write: face.Output{Frame: true}}
	if err := run(t.Context(), o, &out, &out); err != nil || !gathered || !strings.Contains(out.String(), "frames: 2, files: 2,") {
		t.Errorf("gathered: %v, %v: %s", gathered, err, &out)
	}
	testkit.Value(os.Stat(file))(t)
}
