package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"facestream/transforms/store"
)

// The states of a run.
const (
	stateDone      = "DONE"
	stateFailed    = "FAILED"
	stateCancelled = "CANCELLED"
)

// Summary is what a run did: the sum of its windows' ledgers.
// RecordsRead = FramesDecoded + Skipped + the sum of Rejected.
type Summary struct {
	Runner           string           `json:"runner"`
	State            string           `json:"state"`
	Windows          int              `json:"windows"`
	RecordsRead      int64            `json:"records_read"`
	FramesDecoded    int64            `json:"frames_decoded"`
	Rejected         map[string]int64 `json:"rejected"`
	Skipped          int64            `json:"skipped"`
	FramesWithFaces  int64            `json:"frames_with_faces"`
	Faces            int64            `json:"faces"`
	FilesWritten     int64            `json:"files_written"`
	BytesWritten     int64            `json:"bytes_written"`
	Seconds          float64          `json:"seconds"`
	FirstFileSeconds *float64         `json:"first_file_seconds"` // from the start of the run; null without a file

	start time.Time
}

func newSummary(runner string, start time.Time) *Summary {
	return &Summary{Runner: runner, State: stateFailed, Rejected: map[string]int64{}, start: start}
}

// add counts a window that is done.
func (s *Summary) add(l store.Ledger) {
	sum := l.Sum()
	s.RecordsRead += sum.Read
	s.FramesDecoded += sum.Decoded
	s.Skipped += sum.Skipped
	s.FramesWithFaces += sum.FramesWithFaces
	s.Faces += sum.Faces
	s.FilesWritten += sum.Files
	s.BytesWritten += sum.Bytes
	for reason, n := range sum.Rejected {
		s.Rejected[reason] += n
	}
	if s.FirstFileSeconds == nil && l.FirstMillis > 0 {
		seconds := float64(l.FirstMillis-s.start.UnixMilli()) / 1000
		s.FirstFileSeconds = &seconds
	}
}

func (s *Summary) end(state string) {
	s.State = state
	s.Seconds = time.Since(s.start).Seconds()
}

func (s *Summary) rejected() (n int64) {
	for _, k := range s.Rejected {
		n += k
	}
	return n
}

// save writes the summary as JSON.
func (s *Summary) save(file string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}

// print writes a short table for a person.
func (s *Summary) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, n any, note string) { fmt.Fprintf(w, "%v\t%s\t%s\t\n", n, what, note) }
	row("windows", s.Windows, "")
	row("records read", s.RecordsRead, "")
	row("skipped", s.Skipped, "")
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(s.Rejected)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, s.Rejected[reason]))
	}
	row("rejected", s.rejected(), strings.Join(reasons, ", "))
	row("frames decoded", s.FramesDecoded, "")
	row("frames with faces", s.FramesWithFaces, "")
	row("faces", s.Faces, "")
	row("files written", s.FilesWritten, fmt.Sprintf("%.1f MB", float64(s.BytesWritten)/1e6))
	_ = w.Flush() // out is a terminal or a buffer
}
