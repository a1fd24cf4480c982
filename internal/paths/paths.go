// Package paths knows where a program of facestream finds the Java parts, and where
// it keeps its state and logs: inside of a checkout below build/, installed below
// the folder that "make install" was given.
package paths

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	dirMode = 0o755
	// library is where an installation has what its programs need, seen from them.
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

// Installed returns the folder of what belongs to an installed program.
func Installed() (dir string, ok bool) {
	program, err := os.Executable()
	if err != nil {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	dir = filepath.Join(filepath.Dir(program), library)
	info, err := os.Stat(dir)
	return dir, err == nil && info.IsDir()
}

// javaFolders are those of the class paths that are not called like these. A job
// server uploads its class path with every job, except for what lies in a folder of
// the name gradle/wrapper.
var javaFolders = map[string]string{
	"flink": filepath.Join("gradle", "wrapper", "flink"),
	"spark": filepath.Join("gradle", "wrapper", "spark"),
}

// ClassPath returns the Java class path of a profile of scripts/java/pom.xml, such as
// kafka. In a checkout that does not have it yet, it is downloaded.
func ClassPath(profile string) (string, error) {
	dir, installed := Installed()
	checkout := ""
	if !installed {
		var err error
		if checkout, err = Checkout(); err != nil {
			return "", err
		}
		dir = filepath.Join(checkout, "build")
	}
	dir = filepath.Join(dir, "java", cmp.Or(javaFolders[profile], profile))
	if hasJars(dir) {
		return filepath.Join(dir, "*"), nil
	}
	if installed {
		return "", fmt.Errorf("no Java parts in %s: run make install again", dir)
	}
	fmt.Fprintf(os.Stderr, "downloading the Java parts of %s, which are used for the first time\n", profile)
	setup := exec.Command(filepath.Join(checkout, "scripts", "setup.sh"), "java", profile)
	setup.Stdout, setup.Stderr = os.Stderr, os.Stderr
	if err := setup.Run(); err != nil {
		return "", fmt.Errorf("downloading the Java parts of %s: %w", profile, err)
	}
	if !hasJars(dir) {
		return "", fmt.Errorf("no Java parts in %s after downloading them", dir)
	}
	return filepath.Join(dir, "*"), nil
}

func hasJars(dir string) bool {
	jars, _ := filepath.Glob(filepath.Join(dir, "*.jar")) // the pattern is well formed
	return len(jars) > 0
}

// Java returns the path of java: that of $JAVA_HOME if it is set, else the one in
// $PATH.
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
// STATE/runs/TIME-PID, and removes those of the oldest runs that have ended.
func NewRun(state string) (dir string, err error) {
	runs := filepath.Join(state, "runs")
	if err := os.MkdirAll(runs, dirMode); err != nil {
		return "", err
	}
	if err := removeOld(runs); err != nil {
		return "", err
	}
	dir = filepath.Join(runs, fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000Z"), os.Getpid()))
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), dirMode); err != nil {
		return "", err
	}
	return dir, nil
}

// removeOld keeps the newest runs. Of the others it keeps those under way, and of
// all that have ended it removes the temporary files, which a killed run leaves.
func removeOld(runs string) error {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return err
	}
	slices.Reverse(entries)
	for i, e := range entries {
		_, id, _ := strings.Cut(e.Name(), "-")
		pid, err := strconv.Atoi(id)
		if err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		remove := filepath.Join(runs, e.Name(), "tmp")
		if i >= keptRuns {
			remove = filepath.Dir(remove)
		}
		if err := os.RemoveAll(remove); err != nil {
			return err
		}
	}
	return nil
}
