package chaos

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"facestream/internal/proc"
)

const (
	goneLimit = 15 * time.Second // until what was ended has ended
	gonePoll  = 100 * time.Millisecond
)

// belongs reports whether a process runs a program that lies in the folder, or is a
// Java one with files there.
func belongs(p proc.Running, dir string) bool {
	dir += string(filepath.Separator)
	return strings.HasPrefix(p.Args[0], dir) || filepath.Base(p.Args[0]) == "java" && p.Has(dir)
}

// awaitNothing waits until no process of the folder runs any more.
func awaitNothing(dir string) error {
	for deadline := time.Now().Add(goneLimit); ; time.Sleep(gonePoll) {
		all, err := proc.All()
		if err != nil {
			return err
		}
		var left *proc.Running
		for _, p := range all {
			if belongs(p, dir) {
				left = &p
			}
		}
		if left == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is left: %s", left.PID, strings.Join(left.Args, " "))
		}
	}
}
