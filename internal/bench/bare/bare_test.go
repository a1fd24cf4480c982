package bare

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"facestream/internal/camera/feed"
	"facestream/transforms/face"
)

func TestArgs(t *testing.T) {
	want := Config{
		Bound: Plumbing, Format: feed.Raw, Preset: "fast", Workers: 2, Frames: 60,
		Brokers: "a:1", Topic: "t", Output: "hdfs://x:1/y", Writers: 4,
	}
	if got, err := parse(want.Args()); err != nil || got != want {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for _, args := range []string{"", "nothing", "detector --format=png", "detector --workers=0", "detector --frames=0", "detector x"} {
		var stderr bytes.Buffer
		if status := Main(t.Context(), strings.Fields(args), &bytes.Buffer{}, &stderr); status != 2 || stderr.Len() == 0 {
			t.Errorf("%q: exit status %d, %q", args, status, &stderr)
		}
	}
}

func TestDetector(t *testing.T) {
	for _, format := range []string{feed.JPEG, feed.Raw} {
		c := Config{Bound: Detector, Format: format, Preset: "fast", Workers: 2, Frames: 6}
		var stdout, stderr bytes.Buffer
		if status := Main(t.Context(), c.Args(), &stdout, &stderr); status != 0 {
			t.Fatalf("exit status %d: %s", status, &stderr)
		}
		var r Result
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Frames != 6 || r.Seconds <= 0 || r.CPUSeconds <= 0 || r.Rate() != 6/r.Seconds || r.Stages != (Stages{}) {
			t.Errorf("%+v", r)
		}
	}
}

// Only what comes after the first frames is measured.
func TestWork(t *testing.T) {
	const frames, workers = 20, 3
	var steps, finished atomic.Int64
	r, err := work(t.Context(), Config{Preset: "fast", Workers: workers, Frames: frames}, func(*face.Detector) (worker, error) {
		stages := &Stages{}
		return worker{
			step: func() error {
				steps.Add(1)
				stages.Read++
				stages.Write += 2
				return nil
			},
			finish: func() error { finished.Add(1); return nil },
			stages: stages,
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := steps.Load(); n != frames+workers*warmUp {
		t.Errorf("%d frames, want %d, and %d first ones", n, frames, workers*warmUp)
	}
	if n := finished.Load(); n != 2*workers {
		t.Errorf("%d workers were waited for, want each twice", n)
	}
	if want := (Stages{Read: 1, Write: 2}); r.Stages != want || r.Frames != frames {
		t.Errorf("%+v, want %d frames of %+v", r, frames, want)
	}
}

func TestWorkFails(t *testing.T) {
	broken := errors.New("broken")
	_, err := work(t.Context(), Config{Preset: "fast", Workers: 2, Frames: 5}, func(*face.Detector) (worker, error) {
		return worker{step: func() error { return broken }}, nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// What a topic repeats holds every mix of faces as often as any other.
func TestPictures(t *testing.T) {
	a, err := Pictures(feed.Raw, Period+3)
	if err != nil {
		t.Fatal(err)
	}
	sizes := func(i int) (out []int) {
		for _, f := range a[i].Faces {
			out = append(out, f.Width)
		}
		return out
	}
	for i := range 3 {
		if !reflect.DeepEqual(sizes(i), sizes(Period+i)) {
			t.Errorf("faces of %v pixels in frame %d, of %v a period later", sizes(i), i, sizes(Period+i))
		}
	}
}
