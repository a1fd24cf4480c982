package run

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
)

// Profile writes a CPU profile of this process to a file, until stop is called. On
// Prism that is every Go part of the pipeline. An empty name is no profile.
func Profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("--cpu_profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("--cpu_profile=%s: %w", file, err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
