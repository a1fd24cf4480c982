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
)

// preview shows pictures in Hadoop's file browser, which can only show text.
//
//go:embed preview.js
var preview []byte

// pagesFolder holds the file browser in the jar, staticFolder what its pages
// include. The NameNode looks for the first in its class path, and takes the
// second from beside it.
const (
	pagesFolder  = "webapps/hdfs"
	staticFolder = "webapps/static"
)

// unpackPages copies the NameNode's web pages from the jars to a folder of the
// class path that comes before them, with our preview added.
func unpackPages(jars, to string) error {
	names, err := filepath.Glob(filepath.Join(jars, "hadoop-client-minicluster-*.jar"))
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return fmt.Errorf("looking for the jar with the NameNode's web pages in %s: found %q", jars, names)
	}
	jar, err := zip.OpenReader(names[0])
	if err != nil {
		return fmt.Errorf("opening %s: %w", names[0], err)
	}
	defer jar.Close()
	for _, folder := range []string{pagesFolder, staticFolder} {
		err := fs.WalkDir(jar, folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			target := filepath.Join(to, filepath.FromSlash(name))
			if entry.IsDir() {
				return os.MkdirAll(target, dirMode)
			}
			data, err := fs.ReadFile(jar, name)
			if err != nil {
				return err
			}
			return os.WriteFile(target, data, fileMode)
		})
		if err != nil {
			return fmt.Errorf("unpacking %s from %s: %w", folder, names[0], err)
		}
	}
	return addPreview(filepath.Join(to, filepath.FromSlash(pagesFolder)))
}

// addPreview puts our preview into the file browser's page, after the scripts
// that it needs.
func addPreview(pages string) error {
	page := filepath.Join(pages, "explorer.html")
	html, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	end := []byte("</body>")
	at := bytes.LastIndex(html, end)
	if at < 0 {
		return errors.New("adding the preview: explorer.html has no " + string(end))
	}
	html = slices.Concat(html[:at], []byte(`<script src="preview.js"></script>`), html[at:])
	if err := os.WriteFile(page, html, fileMode); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(pages, "preview.js"), preview, fileMode)
}
