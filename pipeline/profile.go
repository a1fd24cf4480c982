package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiling is the setting that asks for a CPU profile of this process. On
// Prism that is every Go part of the pipeline.
type profiling struct {
	file string // empty: no profile
}

func (p *profiling) add(f *flag.FlagSet) {
	f.StringVar(&p.file, "cpu_profile", "", "`FILE` to write a CPU profile of this process to, for go tool pprof. On Prism it shows all but the runner and the reading; a cluster's workers are other processes.")
}

func (p profiling) check() error { return checkNewFile("--cpu_profile", p.file) }

// start profiles until stop is called, which writes the file.
func (p profiling) start() (stop func() error, err error) {
	if p.file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(p.file)
	if err != nil {
		return nil, fmt.Errorf("--cpu_profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("--cpu_profile=%s: %w", p.file, err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// checkNewFile says whether the program could write the file of a flag; empty is
// none.
func checkNewFile(name, file string) error {
	if file == "" {
		return nil
	}
	dir := filepath.Dir(file)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s=%s: %s is not a folder; make it first", name, file, dir)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return fmt.Errorf("%s=%s: it is a folder; name a file in it", name, file)
	}
	return nil
}
