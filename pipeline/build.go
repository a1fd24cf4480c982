package main

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"facestream/internal/run"
	"facestream/runners"
	"facestream/transforms/face"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
	"facestream/transforms/store"

	// The file system of hdfs:// URLs.
	_ "facestream/transforms/hdfs"
)

// Build is the whole graph of one window: the way of a record from Kafka to its
// picture and its entry in the window's ledger.
func Build(s beam.Scope, w run.Window) error {
	records, err := read(s, w)
	if err != nil {
		return err
	}
	files := process(s, w, records)
	if w.Runner == runners.Prism {
		// Prism waits in a busy loop for a stage without output, so the names of the files
		// become one. Spark would write both files in one action, and decode twice.
		beam.Flatten(s, files...)
	}
	return nil
}

// read returns the window's records, a PCollection<kafka.Record>.
func read(s beam.Scope, w run.Window) (beam.PCollection, error) {
	if w.Reader == kafka.Native {
		return kafka.ReadNative(s, w.Read), nil
	}
	records, err := kafka.Read(s, w.Read, w.Expansion)
	// One reader reads the window. On a cluster a Reshuffle has all slots work on it,
	// unless sampling shuffles what it keeps.
	if err != nil || w.Runner == runners.Prism || w.Sampling.Frames.MaxFPS > 0 {
		return records, err
	}
	return beam.Reshuffle(s, records), nil
}

// process stores what is in records, and returns the PCollections of the names of the
// ledger and of the file of events.
func process(s beam.Scope, w run.Window, records beam.PCollection) []beam.PCollection {
	frames, rejects := frame.Decode(s, w.Frame, w.Sampling.Frames, records)
	detections, damaged := face.Detect(s, w.Frame, w.Face, frames)
	detections = face.Cooldown(s, w.Sampling, detections)
	entries := face.Render(s, w.Output, w.Sampling, detections)
	var written beam.PCollection
	if w.Output.Rows {
		written = store.WriteRows(s, w.Store, w.Name, entries)
	} else {
		written = store.Write(s, w.Store, entries)
	}
	rejected := store.WriteRejects(s, w.Store, beam.Flatten(s, rejects, damaged))
	files := []beam.PCollection{store.WriteLedger(s, w.Store, w.Name, written, rejected)}
	if w.Output.Events {
		files = append(files, store.WriteEvents(s, w.Store, w.Name, written))
	}
	return files
}
