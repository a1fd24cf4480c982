package services

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"facestream/internal/paths"
)

// preview shows pictures in Hadoop's file browser, which can only show text.
//
//go:embed preview.js
var preview []byte

// pagesFolder is where the NameNode looks for its web pages in its class path.
const pagesFolder = "webapps"

// unpackPages copies the NameNode's web pages from the jars to a folder of the
// class path that comes before them, with our preview added.
func unpackPages(to string) error {
	jars, err := paths.ClassPath("hadoop")
	if err != nil {
		return err
	}
	names, _ := filepath.Glob(filepath.Join(filepath.Dir(jars), "hadoop-client-minicluster-*.jar")) // the pattern is well formed
	if len(names) != 1 {
		return fmt.Errorf("looking for the jar with the NameNode's web pages in %s: found %q", jars, names)
	}
	jar, err := zip.OpenReader(names[0])
	if err != nil {
		return fmt.Errorf("opening %s: %w", names[0], err)
	}
	defer jar.Close()
	pages, err := fs.Sub(jar, pagesFolder)
	if err != nil {
		return err
	}
	to = filepath.Join(to, pagesFolder)
	if err := os.RemoveAll(to); err != nil { // an interrupted start has left some
		return err
	}
	if err := os.CopyFS(to, pages); err != nil {
		return fmt.Errorf("unpacking the web pages of %s: %w", names[0], err)
	}
	explorer := filepath.Join(to, "hdfs", "explorer.html")
	html, err := os.ReadFile(explorer)
	if err != nil {
		return err
	}
	at := bytes.LastIndex(html, []byte("</body>"))
	if at < 0 {
		return errors.New("adding the preview: explorer.html has no </body>")
	}
	html = slices.Insert(html, at, []byte(`<script src="preview.js"></script>`)...)
	return errors.Join(os.WriteFile(explorer, html, fileMode), os.WriteFile(filepath.Join(to, "hdfs", "preview.js"), preview, fileMode))
}
