package runners

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"facestream/internal/jvm"
	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/runners/javaharness"
)

const expansionParts = "beam"

// expansionJobs is how many jobs one expansion service serves: its JVM keeps some 24 KB of each,
// which would fill it after a day of windows of two seconds. Tests set it.
var expansionJobs = 1000

// Expansion is an expansion service for KafkaIO, a child of this process. The transforms that
// it expands run in the same JVM, one job of Prism's after the other (see package javaharness).
type Expansion struct {
	run     string // folder
	service *service
	pool    *javaharness.Pool
	jobs    int // by this service
}

// NewExpansion returns a service that has not started, whose files go to the folder run.
func NewExpansion(run string) *Expansion { return &Expansion{run: run} }

// Next returns host:port of the service for one more job: of another one where that is due.
func (e *Expansion) Next(ctx context.Context) (addr string, err error) {
	if e.service != nil && (e.service.HasEnded() || e.jobs >= expansionJobs) {
		e.Close()
	}
	if err := e.Start(ctx); err != nil {
		return "", err
	}
	e.jobs++
	return e.service.addr, nil
}

// Close ends the service.
func (e *Expansion) Close() {
	if e.service != nil {
		e.service.close()
		e.pool.Close()
		e.service = nil
	}
}

// Start starts the service unless it runs, and waits until it answers.
func (e *Expansion) Start(ctx context.Context) error {
	if e.service != nil {
		return nil
	}
	java, err := paths.Java()
	if err != nil {
		return err
	}
	classPath, err := paths.ClassPath(expansionParts)
	if err != nil {
		return err
	}
	tmp, err := scratch(e.run, "expansion")
	if err != nil {
		return err
	}
	// This one file keeps the service from staging its whole class path with every job.
	empty := filepath.Join(tmp, "empty.jar")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return err
	}
	free, err := ports.Free(1)
	if err != nil {
		return err
	}
	pool, err := javaharness.Serve(tmp)
	if err != nil {
		return err
	}
	cmd := exec.Command(java, javaharness.Arguments(tmp, classPath, strconv.Itoa(free[0]),
		"--defaultEnvironmentType=EXTERNAL",
		"--defaultEnvironmentConfig="+pool.Addr,
		"--filesToStage="+empty)...)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), jvm.Malloc...)
	service, err := startService(ctx, "the expansion service", cmd, filepath.Join(e.run, "expansion.log"), ports.Loopback(free[0]), tmp)
	if err != nil {
		pool.Close()
		return err
	}
	e.service, e.pool, e.jobs = service, pool, 0
	return nil
}
