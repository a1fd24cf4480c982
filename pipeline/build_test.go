package main

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/vet"

	"facestream/internal/testkit"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"
)

func testStore(root string) store.Config { return store.Config{Root: root, Run: "test"} }

// Every function and type is registered, so that the pipeline can run in
// another process. (The second half of what --beam_strict asks for, call shims,
// cannot be had for functions of records, whose type has no name.)
func TestBuildIsRegistered(t *testing.T) {
	p, s := beam.NewPipelineWithRoot()
	w := windowOf(optionsFor(t, "--kafka=localhost:1", "--output=/unused"), testStore("/unused"))
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
