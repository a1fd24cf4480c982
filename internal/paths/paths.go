// Package paths tells where a program of facestream finds the Java parts and where it
// keeps its state and logs. In a checkout both are below build/. An installed program
// finds the Java parts in ../lib/facestream, seen from itself.
package paths

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	dirMode  = 0o755
	fileMode = 0o644
	// library is the folder of an installation's data, seen from its programs.
	library = "../lib/facestream"
	// keptRuns is how many folders of earlier runs are kept.
	keptRuns = 20
)

// Checkout returns the folder of the project that the working folder or the program
// is in.
func Checkout() (string, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, dir := range starts {
		for {
			if _, err := os.Stat(filepath.Join(dir, "scripts", "java", "pom.xml")); err == nil {
				return dir, nil
			}
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	return "", errors.New("neither the working folder nor this program is inside of a checkout of facestream")
}

// Programs compiles the programs of the checkout, if they are not up to date, and returns
// their folder.
func Programs(ctx context.Context) (string, error) {
	root, err := Checkout()
	if err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "make", "-C", root, "programs").CombinedOutput(); err != nil {
		return "", fmt.Errorf("compiling the programs: %w\n%s", err, out)
	}
	return filepath.Join(root, "build", "bin"), nil
}

// Installed returns the folder of an installed program's data, with java and cascades
// in it. In a checkout there is none.
func Installed() (dir string, ok bool) {
	program, err := os.Executable()
	if err != nil {
		return "", false
	}
	dir = filepath.Join(filepath.Dir(program), library)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", false
	}
	return dir, true
}

// javaFolders are the folders of those class paths that are not named as their
// profile. A job server uploads its class path with every job, except for what lies
// in a folder named gradle/wrapper.
var javaFolders = map[string]string{"flink": "gradle/wrapper/flink", "spark": "gradle/wrapper/spark", "yarn": "gradle/wrapper/yarn"}

// ClassPath returns the Java class path of a profile of scripts/java/pom.xml, such as
// kafka. A checkout downloads it when it is first used, and anew after a change of
// the pom or of a program that is compiled for it.
func ClassPath(profile string) (string, error) {
	dir, ready, err := JavaParts(profile)
	if err != nil {
		return "", err
	}
	if !ready {
		checkout, err := Checkout()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "downloading the Java parts of %s: they are used for the first time, or what they are made from has changed\n", profile)
		setup := exec.Command(filepath.Join(checkout, "scripts", "setup.sh"), "java", profile)
		setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
		if err := setup.Run(); err != nil {
			return "", fmt.Errorf("downloading the Java parts of %s: %w", profile, err)
		}
	}
	return filepath.Join(dir, "*"), nil
}

// Jar returns the jar of a profile's class path whose name matches a pattern of filepath.Glob.
// That there is none, or another one, is an error.
func Jar(profile, pattern string) (string, error) {
	parts, err := ClassPath(profile)
	if err != nil {
		return "", err
	}
	jars, err := filepath.Glob(filepath.Join(filepath.Dir(parts), pattern))
	if err == nil && len(jars) != 1 {
		err = fmt.Errorf("there are %q", jars)
	}
	if err != nil {
		return "", fmt.Errorf("looking for one %s in %s: %w", pattern, parts, err)
	}
	return jars[0], nil
}

// JavaParts returns the folder of a profile's class path. It is not ready if ClassPath
// would download it.
func JavaParts(profile string) (dir string, ready bool, err error) {
	folder := filepath.Join("java", cmp.Or(javaFolders[profile], profile))
	if lib, ok := Installed(); ok {
		dir = filepath.Join(lib, folder)
		if _, err := os.Stat(filepath.Join(dir, stamp)); err != nil {
			return "", false, fmt.Errorf("the Java parts of %s are not installed: run make install again: %w", profile, err)
		}
		return dir, true, nil
	}
	checkout, err := Checkout()
	if err != nil {
		return "", false, err
	}
	dir = filepath.Join(checkout, "build", folder)
	sources := []string{"scripts/java/pom.xml"}
	if profile == "beam" {
		sources = append(sources, "runners/javaharness/KeptFnHarness.java") // is compiled for these parts
	}
	return dir, upToDate(checkout, dir, sources), nil
}

// stamp is the file in a folder of Java parts that holds the SHA-256 of what they were
// made from, the pom and programs. It is written last.
const stamp = "pom.sha256"

// upToDate reports whether the Java parts in dir were made from these files of the checkout.
func upToDate(checkout, dir string, sources []string) bool {
	sum := sha256.New()
	for _, name := range sources {
		source, err := os.ReadFile(filepath.Join(checkout, name))
		if err != nil {
			return false
		}
		sum.Write(source)
	}
	made, err := os.ReadFile(filepath.Join(dir, stamp))
	return err == nil && strings.TrimSpace(string(made)) == fmt.Sprintf("%x", sum.Sum(nil))
}

// Java returns the path of java: that of $JAVA_HOME if it is set, else the one in
// $PATH.
func Java() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java := filepath.Join(home, "bin", "java")
		if _, err := os.Stat(java); err != nil {
			return "", fmt.Errorf("JAVA_HOME is %s, but: %w", home, err)
		}
		return filepath.Abs(java) // it is started in other folders
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("no java in PATH: run make setup, or install Java 17")
	}
	return java, nil
}

// State is the --state_dir flag: the folder of what the programs keep on this
// machine.
type State struct{ dir string }

// Add adds the flag.
func (s *State) Add(f *flag.FlagSet) {
	f.StringVar(&s.dir, "state_dir", "", "`FOLDER` of logs, temporary files, and the local services. Default: build inside of a checkout, else $XDG_STATE_HOME/facestream.")
}

// Dir returns the folder's absolute path. It need not exist.
func (s State) Dir() (string, error) {
	if s.dir != "" {
		return filepath.Abs(s.dir)
	}
	if _, installed := Installed(); !installed {
		if checkout, err := Checkout(); err == nil {
			return filepath.Join(checkout, "build"), nil
		}
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "facestream"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("neither --state_dir nor $XDG_STATE_HOME nor $HOME is set: %w", err)
	}
	return filepath.Join(home, ".local", "state", "facestream"), nil
}

// NewRun makes a folder for the logs and temporary files of this process,
// STATE/runs/TIME-PID with tmp in it, and removes what older runs have left: the
// temporary files of those that have ended, and all but the newest folders.
func NewRun(state string) (dir string, err error) {
	runs := filepath.Join(state, "runs")
	if err := os.MkdirAll(runs, dirMode); err != nil {
		return "", err
	}
	if err := removeOld(runs); err != nil {
		return "", err
	}
	dir = filepath.Join(runs, fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000000Z"), os.Getpid()))
	if err := os.Mkdir(dir, dirMode); err != nil {
		return "", err
	}
	// The lock is released when this process ends, however it ends. It comes before the
	// temporary files, so that nobody takes them for those of an ended run.
	if _, err := lock(dir, 0); err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "tmp"), dirMode)
}

// CutLogs bounds the logs of a run in dir: the content of one that has more than limit
// bytes becomes its second file, NAME.log.1. Whoever writes it appends, and need not know.
func CutLogs(dir string, limit int64) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		log := filepath.Join(dir, e.Name())
		info, infoErr := e.Info()
		if infoErr != nil || filepath.Ext(log) != ".log" || info.Size() <= limit {
			continue
		}
		data, readErr := os.ReadFile(log)
		if readErr == nil {
			readErr = os.WriteFile(log+".1", data, 0o644)
		}
		if readErr == nil {
			readErr = os.Truncate(log, 0)
		}
		err = errors.Join(err, readErr)
	}
	return err
}

// removeOld removes what ended runs have left.
func removeOld(runs string) error {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return err
	}
	for i, e := range entries { // oldest first
		dir := filepath.Join(runs, e.Name())
		fd, err := lock(dir, syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue // it is under way, or another process has removed it
		}
		if err != nil {
			return err
		}
		remove := dir
		if len(entries)-i < keptRuns {
			remove = filepath.Join(dir, "tmp")
		}
		if err := errors.Join(os.RemoveAll(remove), syscall.Close(fd)); err != nil {
			return err
		}
	}
	return nil
}

// lock locks a run's folder until the file descriptor is closed.
func lock(dir string, flags int) (fd int, err error) {
	file := filepath.Join(dir, "lock")
	fd, err = syscall.Open(file, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, fileMode)
	if err == nil {
		if err = syscall.Flock(fd, syscall.LOCK_EX|flags); err != nil {
			_ = syscall.Close(fd)
		}
	}
	if err != nil {
		return 0, &fs.PathError{Op: "locking", Path: file, Err: err}
	}
	return fd, nil
}
