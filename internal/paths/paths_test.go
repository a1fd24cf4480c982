package paths

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRootIsFoundFromBelow(t *testing.T) {
	t.Setenv(rootEnv, "")
	root := t.TempDir()
	pom := filepath.Join(root, "scripts", "java", "pom.xml")
	if err := os.MkdirAll(filepath.Dir(pom), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pom, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(pom))
	got, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := filepath.EvalSymlinks(root); err != nil || got != want && got != root {
		t.Errorf("root %s, want %s (%v)", got, want, err)
	}
}

// Outside of the project the error says how to name it.
func TestRootOutside(t *testing.T) {
	t.Setenv(rootEnv, "")
	t.Chdir(t.TempDir())
	if _, err := Root(); err == nil || !strings.Contains(err.Error(), rootEnv) {
		t.Errorf("error %v, want one that names %s", err, rootEnv)
	}
}

// Before setup, the error says what to do.
func TestClassPathBeforeSetup(t *testing.T) {
	t.Setenv(rootEnv, t.TempDir())
	if _, err := ClassPath("beam"); err == nil || !strings.Contains(err.Error(), "make setup") {
		t.Errorf("error %v, want one that says make setup", err)
	}
}

func TestJavaOfAWrongJavaHome(t *testing.T) {
	t.Setenv("JAVA_HOME", t.TempDir())
	if _, err := Java(); err == nil || !strings.Contains(err.Error(), "JAVA_HOME") {
		t.Errorf("error %v, want one that names JAVA_HOME", err)
	}
}
