package frame

import (
	"bytes"
	"image"
	"testing"

	"facestream/internal/testkit"
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
			testkit.Equal(t, "what is essential", Essential(tt.value), tt.want)
			testkit.Equal(t, "the value itself", tt.value, before)
		})
	}
}

// A PNG of 220 kB whose texts and colour profile have 220 MB takes no more allocations than one
// with chunks of the same sizes that nobody knows.
func TestTextsAreNotUnpacked(t *testing.T) {
	img := frametest.Noise(image.NewGray(image.Rect(0, 0, 40, 30)))
	allocations := func(chunks [][]byte) float64 {
		r := recordOf(frametest.PNG(img, chunks...))
		return testing.AllocsPerRun(5, func() {
			f, reject := Parse(lab, &r)
			if reject != nil {
				t.Fatalf("rejected: %+v", *reject)
			}
			if essential := Essential(f.Data); bytes.Contains(essential, []byte("zTXt")) || bytes.Contains(essential, []byte("iTXt")) {
				t.Error("the essential PNG has texts")
			}
		})
	}
	bombs := frametest.Bombs(30)
	var unknown [][]byte
	for _, c := range bombs {
		unknown = append(unknown, frametest.Chunk("prVt", chunk(c).data()))
	}
	if with, without := allocations(bombs), allocations(unknown); with > without {
		t.Errorf("%v allocations with texts, %v without", with, without)
	}
}
