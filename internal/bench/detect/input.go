package detect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"facestream/internal/camera/video"
	"facestream/internal/record"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

// input is a frame, and where its faces are.
type input struct {
	frame frame.Frame
	faces []record.Box
}

// clip is a demo video under some light.
type clip struct {
	video.DemoConfig
	light float64 // what each byte of the picture is multiplied by
}

// size is that of pictures, and how many there are of each clip.
type size struct{ width, height, frames int }

// sizes are the usual ones; large pictures take long.
var sizes = []size{{320, 240, 48}, {640, 480, 36}, {1280, 720, 20}}

// clipsOf returns the demo videos of a size: as they are, noisy, dark and
// bright, with none to three faces in a frame.
func clipsOf(s size) []clip {
	demo := func(faces, noise int) video.DemoConfig {
		return video.DemoConfig{Frames: s.frames, Width: s.width, Height: s.height, Faces: faces, Noise: noise}
	}
	return []clip{
		{demo(video.MixedFaces, 0), 1},
		{demo(3, 20), 1},
		{demo(1, 0), 0.35},
		{demo(2, 10), 1.6},
		{demo(0, 30), 1},
	}
}

// readClip returns the frames of a demo video, as JPEG.
func readClip(ctx context.Context, c clip) ([]input, error) {
	demo, err := video.NewDemoOf(c.DemoConfig)
	if err != nil {
		return nil, err
	}
	defer demo.Close()
	var inputs []input
	for i := range c.Frames {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		picture := demo.Frame(i)
		for at, b := range picture.BGR {
			picture.BGR[at] = byte(min(float64(b)*c.light, math.MaxUint8))
		}
		data, err := video.EncodeJPEG(picture)
		if err != nil {
			return nil, err
		}
		in, err := newInput(picture.Name, data, picture.Faces)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// readLabels returns the pictures that a file names, which are beside it: it is
// a JSON object with a list of boxes for each name.
func readLabels(file string) ([]input, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the labels: %w", err)
	}
	var labels map[string][]record.Box
	if err := json.Unmarshal(data, &labels); err != nil {
		return nil, fmt.Errorf("reading the labels in %s: %w", file, err)
	}
	var inputs []input
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(file), name))
		if err != nil {
			return nil, fmt.Errorf("reading a labelled picture: %w", err)
		}
		in, err := newInput(name, data, labels[name])
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func newInput(name string, file []byte, faces []record.Box) (input, error) {
	f, reject := frame.Parse(frame.Config{Width: video.DemoWidth, Height: video.DemoHeight}, &kafka.Record{Value: &file})
	if reject != nil {
		return input{}, fmt.Errorf("%s is no frame: %s", name, reject.Detail)
	}
	return input{frame: f, faces: faces}, nil
}
