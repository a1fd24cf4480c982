package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"facestream/internal/paths"
	"facestream/internal/ports"
	"facestream/internal/proc"
	"facestream/internal/stack/services"
	"facestream/internal/stack/state"
	"facestream/internal/wait"
)

const viewUsage = `stack view shows the faces in the local HDFS as web pages, until down, and prints their
address. It runs "facestream view" in the background.

Flags:
`

const (
	viewPort    = 8088 // if it is free
	viewTimeout = 30 * time.Second
)

// view starts the pages of the pictures in HDFS, unless they are there.
func view(ctx context.Context, dir string, out io.Writer) error {
	stack, unlock, err := load(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	if s := stack[state.View]; !s.Running() {
		if err := proc.End(s.Processes, services.EndGrace); err != nil {
			return err
		}
		if err := startView(ctx, dir, stack); err != nil {
			return fmt.Errorf("starting facestream view: %w", err)
		}
	}
	fmt.Fprintf(out, "to look at the faces: %s (make down ends this)\n", stack[state.View].Pages)
	return nil
}

func startView(ctx context.Context, dir string, stack state.Stack) error {
	program, err := viewProgram()
	if err != nil {
		return err
	}
	addr := ports.Loopback(viewPort)
	if ports.Check(addr) != nil {
		free, err := ports.Free(1)
		if err != nil {
			return err
		}
		addr = ports.Loopback(free[0])
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), dirMode); err != nil {
		return err
	}
	log := filepath.Join(dir, "log", "view.log")
	to, err := os.Create(log)
	if err != nil {
		return err
	}
	defer to.Close()
	cmd := exec.Command(program, "view", "--listen="+addr, "--state_dir="+filepath.Dir(dir))
	cmd.Stdout, cmd.Stderr = to, to
	child, err := proc.StartDetached(cmd)
	if err != nil {
		return err
	}
	p, err := proc.NewProcess(state.View, child.Process.Pid, log)
	if err != nil {
		return err
	}
	shown := state.Service{Pages: "http://" + addr + "/", Processes: []proc.Process{p}}
	stack[state.View] = shown
	if err := stack.Save(dir); err != nil { // from now on, down can end it
		return errors.Join(err, p.End(0))
	}
	ctx, stop := context.WithTimeout(ctx, viewTimeout)
	defer stop()
	err = wait.Until(ctx, lockPoll, func() bool {
		resp, err := http.Head(shown.Pages)
		if err == nil {
			resp.Body.Close()
		}
		shown.Ready = err == nil
		return shown.Ready || child.HasEnded()
	})
	if !shown.Ready {
		said, _ := os.ReadFile(log)
		return errors.Join(err, errors.New(string(said)), p.End(services.EndGrace))
	}
	stack[state.View] = shown
	return stack.Save(dir)
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
