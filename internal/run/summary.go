package run

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
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
// RecordsRead = FramesDecoded + Skipped + Sampled + the sum of Rejected.
type Summary struct {
	Runner           string           `json:"runner"`
	State            string           `json:"state"`
	Windows          int              `json:"windows"`
	RecordsRead      int64            `json:"records_read"`
	RecordsLost      int64            `json:"records_lost"` // offsets that Kafka had removed before they could be read
	FramesDecoded    int64            `json:"frames_decoded"`
	Rejected         map[string]int64 `json:"rejected"`
	Skipped          int64            `json:"skipped"`
	Sampled          int64            `json:"sampled"` // passed over because of --max_fps
	FramesWithFaces  int64            `json:"frames_with_faces"`
	Cooled           int64            `json:"cooled"` // of those, the ones not stored because of --cooldown
	Faces            int64            `json:"faces"`
	FilesWritten     int64            `json:"files_written"`
	BytesWritten     int64            `json:"bytes_written"`
	Seconds          float64          `json:"seconds"`
	FirstFileSeconds *float64         `json:"first_file_seconds"` // from the start of the run; null without a file

	// LatencyMillis is how long after their records' timestamps pictures had their names;
	// null without a picture.
	LatencyMillis *store.Percentiles `json:"latency_ms"`

	Start   time.Time     `json:"-"`
	Latency store.Latency `json:"-"`
}

// NewSummary returns the summary of a run that has begun.
func NewSummary(runner string, start time.Time) *Summary {
	return &Summary{Runner: runner, State: stateFailed, Rejected: map[string]int64{}, Start: start}
}

// Add counts a window that is done.
func (s *Summary) Add(l store.Ledger) {
	sum := l.Sum()
	s.RecordsRead += sum.Read
	s.RecordsLost += l.Lost()
	s.FramesDecoded += sum.Decoded
	s.Skipped += sum.Skipped
	s.Sampled += sum.Sampled
	s.FramesWithFaces += sum.FramesWithFaces
	s.Cooled += sum.Cooled
	s.Faces += sum.Faces
	s.FilesWritten += sum.Files
	s.BytesWritten += sum.Bytes
	for reason, n := range sum.Rejected {
		s.Rejected[reason] += n
	}
	s.Latency = s.Latency.Plus(l.Latency)
	s.LatencyMillis = s.Latency.Percentiles()
	if s.FirstFileSeconds == nil && l.FirstMillis > 0 {
		seconds := float64(l.FirstMillis-s.Start.UnixMilli()) / 1000
		s.FirstFileSeconds = &seconds
	}
}

func (s *Summary) end(state string) {
	s.State = state
	s.Seconds = time.Since(s.Start).Seconds()
}

// success is what _SUCCESS says.
func (s *Summary) success(about store.Run) any {
	return struct {
		Run store.Run `json:"run"`
		*Summary
	}{about, s}
}

// Save writes the summary as JSON.
func (s *Summary) Save(file string) error {
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
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(s.Rejected)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, s.Rejected[reason]))
	}
	for _, row := range []struct {
		n    int64
		what string
	}{
		{int64(s.Windows), "windows"},
		{s.RecordsRead, "records read"},
		{s.RecordsLost, "lost before they were read"},
		{s.Skipped, "skipped"},
		{s.Sampled, "sampled out"},
		{store.Partition{Rejected: s.Rejected}.RejectedSum(), strings.TrimSuffix("rejected: "+strings.Join(reasons, ", "), ": ")},
		{s.FramesDecoded, "frames decoded"},
		{s.FramesWithFaces, "frames with faces"},
		{s.Cooled, "of them cooling down, not stored"},
		{s.Faces, "faces"},
		{s.FilesWritten, fmt.Sprintf("files written, %.1f MB", float64(s.BytesWritten)/1e6)},
	} {
		fmt.Fprintf(out, "%10d  %s\n", row.n, row.what)
	}
	if s.LatencyMillis != nil {
		fmt.Fprintln(out, s.LatencyMillis)
	}
}
