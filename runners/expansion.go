package runners

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"facestream/runners/javaharness"
	"facestream/runners/parts"
	"facestream/runners/ports"
)

const (
	expansionParts   = "beam"
	expansionTimeout = 60 * time.Second
)

// Expansion is a running expansion service for KafkaIO. It is a child of this
// process and ends with it, however that ends.
type Expansion struct {
	Addr string // host:port

	service *service
	pool    *javaharness.Pool
}

// StartExpansion starts the expansion service from the Java parts that
// scripts/setup.sh installed, and waits until it answers. The transforms it
// expands run in the same JVM, which serves one job of Prism's after the other
// (see package javaharness). Its log goes to build/log, and what it unpacks to a
// folder of this run below build/tmp.
func StartExpansion(ctx context.Context) (*Expansion, error) {
	java, err := parts.Java()
	if err != nil {
		return nil, err
	}
	classPath, err := parts.ClassPath(expansionParts)
	if err != nil {
		return nil, err
	}
	build, err := parts.Build()
	if err != nil {
		return nil, err
	}
	logs := filepath.Join(build, "log")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, err
	}
	tmp, err := scratchDir(filepath.Join(build, "tmp"))
	if err != nil {
		return nil, err
	}
	// Staging one empty file keeps the service from staging its whole class
	// path with every job.
	empty := filepath.Join(tmp, "empty.jar")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return nil, err
	}
	free, err := ports.Free(1)
	if err != nil {
		return nil, err
	}
	pool, err := javaharness.Serve(tmp)
	if err != nil {
		return nil, err
	}
	args, err := javaharness.Arguments(tmp, classPath, strconv.Itoa(free[0]),
		"--defaultEnvironmentType=EXTERNAL",
		"--defaultEnvironmentConfig="+pool.Addr(),
		"--filesToStage="+empty)
	if err != nil {
		pool.Close()
		return nil, err
	}
	cmd := exec.Command(java, args...)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), parts.Malloc...)
	service, err := startService(ctx, "the expansion service", cmd, filepath.Join(logs, "expansion.log"), ports.Loopback(free[0]), tmp, expansionTimeout)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &Expansion{Addr: service.addr, service: service, pool: pool}, nil
}

// Ended says whether the service has died.
func (e *Expansion) Ended() bool { return e.service.hasEnded() }

// Close ends the service.
func (e *Expansion) Close() {
	e.service.close()
	e.pool.Close()
}
