package run

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	stop, err := Profile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Profile(file + "2"); err == nil || !strings.Contains(err.Error(), "--cpu_profile") {
		t.Errorf("a second profile at the same time: error %v, want one that names --cpu_profile", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A profile is a gzip-compressed message with the names of its values in it.
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	profile, err := io.ReadAll(zip)
	if err != nil || !strings.Contains(string(profile), "nanoseconds") {
		t.Errorf("%d bytes that are no CPU profile (%v)", len(profile), err)
	}
}

func TestNoProfile(t *testing.T) {
	stop, err := Profile("")
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
