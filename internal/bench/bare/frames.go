package bare

import (
	"fmt"

	"facestream/internal/camera/feed"
	"facestream/internal/camera/video"
	"facestream/transforms/frame"
	"facestream/transforms/kafka"
)

// Period is how many frames of the demo show every mix of faces: after so many,
// the same sizes and numbers come again.
const Period = 60

// Distinct is how many frames are made; a topic repeats them.
const Distinct = 4 * Period

// Pictures returns the demo's first frames, with their JPEG files where that is
// the format.
func Pictures(format string, n int) ([]video.Picture, error) {
	demo, err := video.NewDemo(n)
	if err != nil {
		return nil, err
	}
	out := make([]video.Picture, n)
	for i := range out {
		out[i] = demo.Frame(i)
		if format == feed.JPEG {
			if out[i].JPEG, err = video.EncodeJPEG(out[i]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

var config = frame.Config{Width: video.DemoWidth, Height: video.DemoHeight}

// frames returns pictures as the pipeline's detector gets them.
func frames(format string, n int) ([]frame.Frame, error) {
	pictures, err := Pictures(format, n)
	if err != nil {
		return nil, err
	}
	out := make([]frame.Frame, n)
	for i, p := range pictures {
		value := p.BGR
		if format == feed.JPEG {
			value = p.JPEG
		}
		f, reject := frame.Parse(config, &kafka.Record{Value: &value})
		if reject != nil {
			return nil, fmt.Errorf("%s is no frame: %s", p.Name, reject.Detail)
		}
		out[i] = f
	}
	return out, nil
}
