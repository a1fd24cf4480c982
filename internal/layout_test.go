// Package internal_test holds the layout of the project.
package internal_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const gocv = "gocv.io/x/gocv"

// native names the packages that need a C++ compiler or OpenCV, and why. All others
// build and test without.
var native = map[string]string{
	"C in internal/cxx":                "exceptions of C++ as errors",
	"C in internal/camera/video":       "opening videos with a time limit",
	gocv + " in internal/camera/video": "reading videos, encoding pictures",
	"C in transforms/face":             "classifiers and TurboJPEG that cannot end the process",
	gocv + " in transforms/face":       "pictures for the classifiers",
}

// The most lines of a program: what is more belongs below internal.
const (
	mostOfMain   = 400
	mostOfScript = 100
)

// forbidden returns why a folder of the checkout may not import a package, if so.
func forbidden(dir, path string) (reason string) {
	below := func(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }
	switch {
	case below(path, "facestream/scripts"):
		return "nothing imports scripts"
	case below(path, "facestream/pipeline") && !below(dir, "scripts"):
		return "pipeline is the program that imports all others"
	case (path == "C" || path == gocv) && native[path+" in "+dir] == "":
		return "it is none of those that may"
	}
	return ""
}

func TestLayout(t *testing.T) {
	used, lines := map[string]bool{}, map[string]int{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if name == "build" || d.Name() == "testdata" || len(d.Name()) > 1 && d.Name()[0] == '.' {
				return fs.SkipDir
			}
			return err
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.Dir(name)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if reason := forbidden(dir, path); reason != "" {
				t.Errorf("%s imports %s: %s", name, path, reason)
			}
			used[path+" in "+dir] = true
		}
		if file.Name.Name == "main" && !strings.HasSuffix(name, "_test.go") {
			lines[dir] += bytes.Count(data, []byte("\n"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range lines {
		most := mostOfMain
		if strings.HasPrefix(dir, "scripts/") {
			most = mostOfScript
		}
		if n > most {
			t.Errorf("the program %s has %d lines, more than %d", dir, n, most)
		}
	}
	for name := range native {
		if !used[name] {
			t.Errorf("there is no import of %s any more", name)
		}
	}
	if lines["pipeline"] == 0 {
		t.Error("there is no program pipeline")
	}
}
