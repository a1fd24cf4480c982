// Package parts finds what scripts/setup.sh installed: the project's root, a
// Java runtime, and the class paths below build/java.
package parts

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// rootEnv names the project's root for programs that run outside of it.
const rootEnv = "FACESTREAM_ROOT"

// Root returns the project's root: $FACESTREAM_ROOT, or the nearest folder at
// or above the working directory that holds scripts/java/pom.xml.
func Root() (string, error) {
	if dir := os.Getenv(rootEnv); dir != "" {
		return filepath.Abs(dir)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "java", "pom.xml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside the facestream project: run from there or set %s", wd, rootEnv)
		}
	}
}

// Build returns the git-ignored folder for everything made on this machine.
func Build() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "build"), nil
}

// folders are those of profiles that do not lie in build/java/<profile>;
// scripts/setup.sh says why.
var folders = map[string]string{
	"flink": filepath.Join("gradle", "wrapper", "flink"),
	"spark": filepath.Join("gradle", "wrapper", "spark"),
}

// ClassPath returns the Java class path of one profile of scripts/java/pom.xml
// ("beam", "kafka", "hadoop", "flink", "spark").
func ClassPath(profile string) (string, error) {
	build, err := Build()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(build, "java", cmp.Or(folders[profile], profile))
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	if err != nil {
		return "", err
	}
	if len(jars) == 0 {
		return "", fmt.Errorf("no Java parts in %s: run make setup", dir)
	}
	return filepath.Join(dir, "*"), nil
}

// Java returns the java program: of $JAVA_HOME, else of $PATH.
func Java() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java := filepath.Join(home, "bin", "java")
		if _, err := os.Stat(java); err != nil {
			return "", fmt.Errorf("JAVA_HOME is %s, but: %w", home, err)
		}
		return java, nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("no java in PATH: run make setup")
	}
	return java, nil
}

// Malloc are variables for the environment of a JVM that have the C library give
// back what is freed. By itself, it takes an arena for each of many threads, and once
// a large buffer was freed serves others of its size from arenas as well, where
// whatever comes and goes with each job leaves its holes: Kafka's consumer reads
// through buffers as large as what it fetches, by a new thread for each job.
var Malloc = []string{"MALLOC_ARENA_MAX=2", "MALLOC_MMAP_THRESHOLD_=131072"}
