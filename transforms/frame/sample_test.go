package frame

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/testkit/testcoder"
	"facestream/transforms/kafka"
)

func init() {
	beam.RegisterFunction(showFrame)
	beam.RegisterFunction(showReject)
}

func showFrame(f Frame) string {
	return fmt.Sprintf("%s+%d+%d %s %d %d bytes", f.Topic, f.Partition, f.Offset, f.Camera, sinceBegin(f.TimestampMillis), len(f.Data))
}

func showReject(r Reject) string {
	return fmt.Sprintf("%s+%d+%d %s %d %s %d %d bytes", r.Topic, r.Partition, r.Offset, r.Camera, sinceBegin(r.TimestampMillis), r.Reason, len(r.Head), r.Size)
}

// begin is when the records of these tests begin.
const begin = 1_700_000_000_000

// sinceBegin leaves the timestamp of an undated record as it is.
func sinceBegin(millis int64) int64 {
	if record.Dated(millis) {
		return millis - begin
	}
	return millis
}

func TestSlots(t *testing.T) {
	const none = -1
	for _, tt := range []struct {
		fps    float64
		millis int64
		want   int64
	}{
		{1, 1_700_000_000_000, 1_700_000_000}, {1, 1_700_000_000_999, 1_700_000_000}, {1, 1_700_000_001_000, 1_700_000_001},
		{2, 1_700_000_000_499, 3_400_000_000}, {2, 1_700_000_000_500, 3_400_000_001},
		{0.5, 1_700_000_001_999, 850_000_000}, {0.5, 1_700_000_002_000, 850_000_001},
		{0.1, 1_700_000_009_999, 170_000_000}, {0.1, 1_700_000_010_000, 170_000_001},
		{29.97, 1_700_000_000_033, 50_949_000_000}, {29.97, 1_700_000_000_034, 50_949_000_001}, // a slot has 33.37 ms
		{1000, 1_700_000_000_123, 1_700_000_000_123},
		{1e-9, 1_700_000_000_123, 1},
		{0, 1_700_000_000_000, none},
		{1, none, none}, {1, math.MinInt64, none}, {1, math.MaxInt64, none}, {1, 1_700_000_000_000_000, none},
		{1, 946_684_799_999, none}, {1, 946_684_800_000, 946_684_800}, // 2000 begins
		{1, 4_133_980_799_999, 4_133_980_799}, {1, 4_133_980_800_000, none}, // 2100 ends
		{1000, 4_133_980_799_999, 4_133_980_799_999},
	} {
		got, ok := Sampling{MaxFPS: tt.fps}.Slot(tt.millis)
		if !ok {
			got = none
		}
		testkit.Equal(t, fmt.Sprintf("%v fps, %d ms", tt.fps, tt.millis), got, tt.want)
	}
}

func TestGroupsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, topic := range []string{"t", "t1"} {
		for _, partition := range []int32{1, 11} {
			for _, camera := range []string{"", "1", "1+1", "+1", "offset"} {
				for _, slot := range []int64{0, 1, 11} {
					seen[Group(record.In(topic, partition), camera, slot)] = true
				}
			}
		}
	}
	testkit.Equal(t, "keys of 60 groups", len(seen), 2*2*5*3)
}

// Which records of a group are kept depends on their offsets alone: not on the
// order in which they come. In order it is known at once.
func TestDecodeWithSampling(t *testing.T) {
	good, bad := make([]byte, 1200), make([]byte, 5000)
	at := func(offset, millis int64, camera string, value []byte) kafka.Record {
		r := recordOf(value, ContentType, raw10x40, Camera, camera)
		r.Offset, r.Timestamp = offset, millis
		if millis >= 0 && millis < math.MaxInt64 {
			r.Timestamp += begin
		}
		return r
	}
	null := at(15, 1400, "door", nil)
	null.Value = nil
	other := at(13, 1300, "door", good)
	other.Partition = 3
	records := []kafka.Record{
		at(10, 1000, "door", bad), // before the first that gives a frame
		at(11, 1999, "door", good),
		at(12, 1200, "door", good), // earlier by its time, later by its offset
		other,
		at(14, 1300, "gate", good),
		null,
		at(16, 1500, "door", bad),
		at(17, 2000, "door", good), // the next slot
		at(18, -1, "door", good),   // no time at all
		at(19, -1, "door", good),
		at(20, math.MaxInt64, "door", good),
		at(21, 3000, "door", good), // of a slot that was taken by 22: read again
		at(22, 3000, "door", good),
		at(23, 3100, "door", good),
		at(24, 4000, "door", good), // of a slot that an earlier window has taken
		at(25, 4000, "door", []byte{1}),
	}
	sampling := Sampling{MaxFPS: 1, Taken: map[string]int64{
		Group(record.In("video", 2), "door", begin/1000+3): 22, Group(record.In("video", 2), "door", begin/1000+4): 9,
		Group(record.In("other", 2), "door", begin/1000+2): 1, Group(record.In("video", 2), "hall", begin/1000+2): 1,
	}}
	var frames, rejects []any
	for _, r := range []string{
		"video+2+11 door 1999", "video+3+13 door 1300", "video+2+14 gate 1300", "video+2+17 door 2000", "video+2+18 door -1", "video+2+19 door -1",
		"video+2+20 door 9223372036854775807", "video+2+21 door 3000",
	} {
		frames = append(frames, r+" 1200 bytes")
	}
	for _, r := range []string{
		"10 door 1000 wrong_size 64 5000", "12 door 1200 sampled 0 1200", "15 door 1400 skipped_null 0 0", "16 door 1500 sampled 0 5000",
		"22 door 3000 sampled 0 1200", "23 door 3100 sampled 0 1200", "24 door 4000 sampled 0 1200", "25 door 4000 skipped_small 0 1",
	} {
		rejects = append(rejects, "video+2+"+r+" bytes")
	}
	random := rand.New(rand.NewPCG(3, 4))
	for _, runner := range []string{"in order", "prism", "direct", "direct", "direct"} {
		if sampling.InOrder = runner == "in order"; sampling.InOrder {
			runner = "direct"
		} else {
			random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		}
		p, s := beam.NewPipelineWithRoot()
		gotFrames, gotRejects := Decode(s, lab, sampling, beam.CreateList(s, records))
		passert.Equals(s, beam.ParDo(s, showFrame, gotFrames), frames...)
		passert.Equals(s, beam.ParDo(s, showReject, gotRejects), rejects...)
		result := testkit.Value(beam.Run(t.Context(), runner, p))(t)
		want := map[string]int64{"read": 16, "skipped_null": 1, "skipped_small": 1, "wrong_size": 1, "sampled": 5}
		testkit.Equal(t, "the counters", counters(result), want)
	}
}

func TestElementsPassTheirCoder(t *testing.T) {
	testcoder.MustPass(t, candidate{
		Frame: Frame{ID: record.In("t", 1).At(4), TimestampMillis: 5, Camera: "c", Format: PNG, Width: 6, Height: 7, Size: 8, Data: []byte{0, 255}},
		Reject: &Reject{ID: record.In("t", 1).At(4), TimestampMillis: 5, Camera: "c", Reason: "r", Detail: "d", Size: 8, SHA256: "s",
			Head: []byte{1}, Headers: []Header{{"k", []byte{2}, 3}, {"n", nil, -1}}, Kept: []byte{4}},
	})
}
