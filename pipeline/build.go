package main

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/store"

	// The file system of hdfs:// URLs.
	_ "facestream/transforms/hdfs"
)

// Source gives a window's records, a PCollection<kafka.Record>.
type Source func(beam.Scope) (beam.PCollection, error)

// Config is what the stages need to know.
type Config struct {
	Frame  frame.Config
	Face   face.Params
	Less   face.Less
	Output face.Output
	Store  store.Config
}

// Build assembles the pipeline of one window: it stores the pictures of the
// source's records, a line for each face, a file about each record that is
// rejected, and a ledger under the window's name that says what became of each. It
// returns the PCollections of the names of the ledger and of the file of lines.
func Build(s beam.Scope, src Source, cfg Config, window string) ([]beam.PCollection, error) {
	records, err := src(s)
	if err != nil {
		return nil, err
	}
	frames, rejects := frame.Decode(s, cfg.Frame, cfg.Less.Sampling, records)
	detections := face.Detect(s, cfg.Face, frames)
	detections = face.Cooldown(s, cfg.Less, detections)
	entries := face.Render(s, cfg.Output, cfg.Less, detections)
	written := store.Write(s, cfg.Store, entries)
	rejected := store.WriteRejects(s, cfg.Store, rejects)
	files := []beam.PCollection{store.WriteLedger(s, cfg.Store, window, written, rejected)}
	if cfg.Output.Events {
		files = append(files, store.WriteEvents(s, cfg.Store, window, written))
	}
	return files, nil
}
