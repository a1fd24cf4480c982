package frame

import (
	"bytes"
	"image"
	"runtime"
	"testing"

	"facestream/transforms/frame/frametest"
)

func TestEssential(t *testing.T) {
	img := frametest.Noise(image.NewGray(image.Rect(0, 0, 40, 30)))
	gamma := frametest.Chunk("gAMA", []byte{0, 0, 0xB1, 0x8F})
	upright := frametest.Chunk("eXIf", []byte("MM\x00\x2A\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"))
	text := frametest.Chunk("tEXt", []byte("Title\x00A picture"))
	for name, tt := range map[string]struct{ value, want []byte }{
		"nothing to leave out": {frametest.PNG(img), frametest.PNG(img)},
		"texts":                {frametest.PNG(img, text, gamma, text, upright, text), frametest.PNG(img, gamma, upright)},
		"unknown chunk":        {frametest.PNG(img, frametest.Chunk("prVt", []byte("anything"))), frametest.PNG(img)},
		"the same twice":       {frametest.PNG(img, gamma, gamma, gamma), frametest.PNG(img, gamma)},
		"bytes after the end":  {append(frametest.PNG(img), frametest.PNG(img)...), frametest.PNG(img)},
	} {
		t.Run(name, func(t *testing.T) {
			r := recordOf(tt.value)
			if _, reject := Parse(lab, &r); reject != nil {
				t.Fatalf("rejected: %+v", *reject)
			}
			before := bytes.Clone(tt.value)
			if got := Essential(tt.value); !bytes.Equal(got, tt.want) {
				t.Errorf("got %d bytes, want %d", len(got), len(tt.want))
			}
			if !bytes.Equal(tt.value, before) {
				t.Error("the value itself was changed")
			}
		})
	}
}

// TestTextsAreNotUnpacked takes a PNG of 220 kB whose texts and colour profile
// have 220 MB.
func TestTextsAreNotUnpacked(t *testing.T) {
	value := frametest.PNG(frametest.Noise(image.NewGray(image.Rect(0, 0, 40, 30))), frametest.Bombs(30)...)
	r := recordOf(value)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, reject := Parse(lab, &r)
	runtime.ReadMemStats(&after)
	if reject != nil {
		t.Fatalf("rejected: %+v", *reject)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
	if essential := Essential(f.Data); bytes.Contains(essential, []byte("zTXt")) || bytes.Contains(essential, []byte("iTXt")) {
		t.Error("the essential PNG has texts")
	}
}
