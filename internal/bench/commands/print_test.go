package commands

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"facestream/internal/bench/bare"
	"facestream/internal/bench/lab"
	"facestream/internal/bench/procs"
)

func someReport() report {
	row := Row{Runner: "flink", Format: "jpeg", Preset: "fast", Slots: 2}
	row.fill(lab.Steady{
		Rate: 90, FirstFile: 7.25, CPU: map[string]float64{"taskmanager": 2.5, "go worker": 15, "kafka": 1, "job server": 0.01},
		Peak: map[string]float64{"taskmanager": 1234.5, "go worker": 99},
	}, bare.Result{Frames: 50, Seconds: 0.5}, bare.Result{Frames: 240, Seconds: 3})
	return report{
		Rows:   []Row{row},
		Stages: []StageRow{{"jpeg", "fast", bare.Stages{Read: 0.5, Decode: 3, Detect: 10, Encode: 0.25, Write: 6.25}, map[string]float64{"flink": 4.5}}},
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := printJSON(&out, someReport()); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"rows": []any{map[string]any{
			"runner": "flink", "format": "jpeg", "preset": "fast", "slots": 2., "frames_per_second": 90.,
			"bare_detector_frames_per_second": 100., "bare_plumbing_frames_per_second": 80.,
			"ratio_to_bare_detector": 0.9, "ratio_to_bare_plumbing": 1.125, "first_file_seconds": 7.25,
			"cpu_seconds_per_1000": map[string]any{"taskmanager": 2.5, "go worker": 15., "kafka": 1., "job server": 0.01},
			"peak_rss_mb":          map[string]any{"taskmanager": 1234.5, "go worker": 99.},
		}},
		"stages": []any{map[string]any{
			"format": "jpeg", "preset": "fast", "read_ms": 0.5, "decode_ms": 3., "detect_ms": 10., "encode_ms": 0.25, "write_ms": 6.25,
			"rest_ms": map[string]any{"flink": 4.5},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := someReport().print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"runner  format  preset  slots  frames/s  detector  of it  plumbing  of it  first picture s\n" +
			"flink   jpeg    fast    2      90.0      100       0.90   80.0      1.12   7.2\n",
		"flink  jpeg  fast  2  go worker 15.0, taskmanager 2.5, kafka 1.0\n",
		"flink  jpeg  fast  2  taskmanager 1234, go worker 99.0\n",
		"jpeg    fast    0.5   3.0     10.0    0.2     6.2    20.0  flink 4.5\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

// The processor time of a job is that of all processes but the services'.
func TestJobCPU(t *testing.T) {
	if got := someReport().Rows[0].jobCPU; math.Abs(got-17.51) > 1e-9 { // added in any order
		t.Errorf("%v ms for a frame, want those of 2.5, 15 and 0.01 s for a thousand", got)
	}
}

func TestMemoryRows(t *testing.T) {
	few := map[string]procs.Use{"b": {Peak: 100e6}, "a": {Peak: 10e6, CPU: time.Second}, "gone": {Peak: 1e6}}
	many := map[string]procs.Use{"b": {Peak: 150e6}, "a": {Peak: 5e6}, "new": {Peak: 1e6}}
	want := []memoryRow{{"spark", "a", 10, 5, 0.5}, {"spark", "b", 100, 150, 1.5}}
	if got := memoryRows("spark", few, many); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
