// Package testmodels finds networks and photographs for tests.
package testmodels

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"facestream/internal/paths"
	"facestream/internal/testkit"
)

// Shared returns the files that fit a pattern in the folder shared beside the checkout:
// models and photographs of others, which are no part of this project.
func Shared(t testing.TB, pattern string) []string {
	t.Helper()
	root := testkit.Value(paths.Checkout())(t)
	return testkit.Value(filepath.Glob(filepath.Join(root, "..", "shared", pattern)))(t)
}

// Download has "make models" download its network, unless it is there.
func Download(t testing.TB) {
	t.Helper()
	root := testkit.Value(paths.Checkout())(t)
	if _, err := os.Stat(filepath.Join(root, "build", "models", "centerface.onnx")); err == nil {
		return
	}
	testkit.NotShort(t, "downloads a network")
	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "setup.sh"), "models").CombinedOutput(); err != nil {
		t.Fatalf("downloading a network: %v\n%s", err, out)
	}
}
