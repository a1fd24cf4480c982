package services

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"facestream/internal/paths"
	"facestream/internal/stack/state"
)

// viewPrograms are "facestream view" of the stack around dir.
func viewPrograms(_ *Stack, dir string, o Options) ([]javaProgram, error) {
	binary, err := viewProgram()
	return []javaProgram{{
		name: state.View, conf: dir, binary: binary,
		args: []string{"view", "--listen=" + state.HostPort(o.Addrs.View), "--state_dir=" + filepath.Dir(filepath.Dir(dir))},
	}}, err
}

// viewProgram returns the program beside this one, or that of the checkout.
func viewProgram() (string, error) {
	var dirs []string
	if this, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(this))
	}
	if checkout, err := paths.Checkout(); err == nil {
		dirs = append(dirs, filepath.Join(checkout, "build", "bin"))
	}
	for _, dir := range dirs {
		for _, name := range []string{"facestream", "pipeline"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", errors.New("there is no facestream beside this program: run make build")
}
