package store

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/transforms/frame"
)

func init() { beam.RegisterFunction(showRejected) }

func showRejected(w Written) string {
	return fmt.Sprintf("%s: %s, %d bytes, files: %d", w.ID, w.Rejected, w.Size, w.Files)
}

func TestWriteRejects(t *testing.T) {
	bad := frame.Reject{ID: record.In("door/../x", 3).At(42), TimestampMillis: 1_700_000_000_123, Camera: "gate", Reason: frame.WrongSize, Detail: "too short", Size: 5000, SHA256: "abc", Head: []byte{0, 255}, Headers: []frame.Header{{Key: "content-type", Value: []byte("image/png"), Size: 9}, {Key: "raw", Value: []byte{0xff}, Size: 2000}, {Key: "null", Size: -1}}}
	kept := frame.Reject{ID: record.In("t", 0).At(1), Reason: frame.CorruptJPEG, Size: 3000, Kept: []byte("the value")}
	sampled := frame.Reject{ID: record.In("t", 0).At(3), Reason: frame.Sampled, Size: 4000}
	skipped := frame.Reject{ID: record.In("t", 0).At(2), Reason: frame.SkipSmall, Size: 999}
	everywhere(t, func(t *testing.T, root string) {
		p, s := beam.NewPipelineWithRoot()
		rejected := WriteRejects(s, testConfig(root), beam.Create(s, bad, kept, skipped, sampled))
		passert.Equals(s, beam.ParDo(s, showRejected, rejected),
			"offset 42 of partition 3 of topic door/../x: wrong_size, 5000 bytes, files: 1",
			"offset 1 of partition 0 of topic t: corrupt_jpeg, 3000 bytes, files: 2",
			"offset 2 of partition 0 of topic t: skipped_small, 999 bytes, files: 0",
			"offset 3 of partition 0 of topic t: sampled, 4000 bytes, files: 0")
		var first map[string]string
		var seen sync.Map
		stop := Watch(testConfig(root), func(l Ledger) { seen.Store(l.Partitions[0].FirstOffset, l.Sum()) })
		defer stop()
		for range 2 { // a run again over the same records
			ptest.RunAndValidate(t, p)
			got := files(t, root)
			if len(got) != 3 || got["_rejects/unknown/undated/0/000/t+0+00000000000000000001.bin"] != "the value" {
				t.Errorf("the root holds %v", got)
			}
			var about map[string]any
			testkit.Must(t, json.Unmarshal([]byte(got["_rejects/gate/2023/11/14/22/door%2F..%2Fx+3+00000000000000000042.json"]), &about))
			want := map[string]any{
				"topic": "door/../x", "partition": 3.0, "offset": 42.0, "timestamp_ms": 1_700_000_000_123.0, "camera": "gate",
				"reason": "wrong_size", "detail": "too short", "size": 5000.0, "sha256": "abc", "first_bytes": "00ff", "kept_bytes": 0.0,
				"headers": []any{
					map[string]any{"key": "content-type", "size": 9.0, "value": "image/png"},
					map[string]any{"key": "raw", "size": 2000.0, "value_hex": "ff"},
					map[string]any{"key": "null", "size": -1.0},
				},
			}
			testkit.Equal(t, "the file", about, want)
			if first == nil {
				first = got
			}
			testkit.Equal(t, "the files, the second time", got, first)
		}
		for offset, want := range map[int64]Partition{1: {Rejected: map[string]int64{frame.CorruptJPEG: 1}}, 2: {Skipped: 1}, 3: {Sampled: 1}} {
			got, _ := seen.Load(offset)
			if p, ok := got.(Partition); !ok || p.Read != 1 || p.Rejected[frame.CorruptJPEG] != want.Rejected[frame.CorruptJPEG] || p.Skipped != want.Skipped || p.Sampled != want.Sampled {
				t.Errorf("of offset %d was told %+v, want %+v", offset, got, want)
			}
		}
	})
}
