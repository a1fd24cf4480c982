//go:build matprofile

package video

import (
	"testing"

	"gocv.io/x/gocv"
)

// Reading a video to its end and encoding its pictures leaves no Mat behind.
func TestNoMatLeaks(t *testing.T) {
	before := gocv.MatProfile.Count()
	source, err := OpenFile(writeVideo(t, 64, 48))
	if err != nil {
		t.Fatal(err)
	}
	for range greys {
		p, err := source.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := EncodeJPEG(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	if after := gocv.MatProfile.Count(); after != before {
		t.Errorf("%d Mats before, %d after", before, after)
	}
}

// Neither does a stream that is lost, opened again, and closed.
func TestNoMatLeaksOfStream(t *testing.T) {
	before := gocv.MatProfile.Count()
	source, err := OpenURL(t.Context(), serve(t, 5, 0), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	take(t, source, 8)
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	<-source.(*stream).done
	if after := gocv.MatProfile.Count(); after != before {
		t.Errorf("%d Mats before, %d after", before, after)
	}
}
