package run

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"facestream/internal/testkit"
)

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	stop := testkit.Value(Profile(file))(t)
	if _, err := Profile(file + "2"); err == nil || !strings.Contains(err.Error(), "--cpu_profile") {
		t.Errorf("a second profile at the same time: error %v, want one that names --cpu_profile", err)
	}
	testkit.Must(t, stop())
	testkit.Must(t, testkit.Value(Profile(""))(t)()) // none is wanted
	f := testkit.Value(os.Open(file))(t)
	defer f.Close()
	// A profile is a gzip-compressed message with the names of its values in it.
	zip := testkit.Value(gzip.NewReader(f))(t)
	profile, err := io.ReadAll(zip)
	if err != nil || !strings.Contains(string(profile), "nanoseconds") {
		t.Errorf("%d bytes that are no CPU profile (%v)", len(profile), err)
	}
}
