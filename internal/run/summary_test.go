package run

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/store"
)

func sampleSummary() *Summary {
	s := NewSummary("prism", time.UnixMilli(1000))
	s.Windows = 2
	s.Add(store.Ledger{FirstMillis: 3500, Latency: store.Latency{Counts: map[int]int64{80: 2}, MaxMillis: 1000}, Partitions: []store.Partition{
		{TopicPartition: record.In("a", 0), Read: 5, Decoded: 3, Skipped: 1, Rejected: map[string]int64{"wrong_size": 1}, FramesWithFaces: 2, Faces: 3, Files: 2, Bytes: 70},
		{TopicPartition: record.In("a", 1), Read: 2, Decoded: 1, Rejected: map[string]int64{"corrupt_jpeg": 1}, FramesWithFaces: 1, Faces: 1, Files: 1, Bytes: 30},
	}})
	s.Add(store.Ledger{FirstMillis: 9000, Partitions: []store.Partition{
		{TopicPartition: record.In("a", 0), Read: 5, Decoded: 2, Sampled: 2, FramesWithFaces: 1, Cooled: 1, Faces: 1, Lost: []record.Range{{First: 6, Last: 9}}, Rejected: map[string]int64{"wrong_size": 1}},
	}})
	s.State, s.Seconds = "DONE", 12.5
	return s
}

// Other programs read these names.
func TestSummarySave(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary.json")
	testkit.Must(t, sampleSummary().Save(file))
	got := testkit.Value(os.ReadFile(file))(t)
	const want = `{
  "runner": "prism",
  "state": "DONE",
  "windows": 2,
  "records_read": 12,
  "records_lost": 4,
  "frames_decoded": 6,
  "rejected": {
    "corrupt_jpeg": 1,
    "wrong_size": 2
  },
  "skipped": 1,
  "sampled": 2,
  "frames_with_faces": 4,
  "cooled": 1,
  "faces": 5,
  "files_written": 3,
  "bytes_written": 100,
  "seconds": 12.5,
  "first_file_seconds": 2.5,
  "latency_ms": {
    "p50": 1000,
    "p95": 1000,
    "p99": 1000,
    "max": 1000
  }
}
`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestSummaryPrint(t *testing.T) {
	var out strings.Builder
	sampleSummary().print(&out)
	for _, want := range []string{"12  records read\n", "2  sampled out\n", "4  frames with faces\n", "1  of them cooling down, not stored\n", "4  lost before they were read\n", "3  rejected: corrupt_jpeg 1, wrong_size 2\n", "3  files written, 0.0 MB\n", "\nlatency 1.00 s (p95 1.00, "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
