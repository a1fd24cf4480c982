package cli

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is that of all programs; CHANGELOG.md says what is in it.
const Version = "0.9.0"

// commit is set by the linker, as the Makefile does.
var commit string

// VersionLine names this build: its version and commit, Go, Beam where it is inside,
// and the libraries.
func VersionLine(libraries ...string) string {
	text := []string{"facestream " + Version, "commit " + Commit(), "Go " + strings.TrimPrefix(runtime.Version(), "go")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/apache/beam/sdks/v2" {
				text = append(text, "Beam "+strings.TrimPrefix(m.Version, "v"))
			}
		}
	}
	return strings.Join(append(text, libraries...), ", ")
}

// Commit returns the commit that the linker was given, else the one that Go has
// stamped. "go run" stamps none: Git knows what the source's checkout is at.
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		// v0.0.0-TIME-COMMIT, and with +dirty behind it
		if i := strings.LastIndexByte(info.Main.Version, '-'); i >= 0 {
			return strings.Replace(info.Main.Version[i+1:], "+", "-", 1)
		}
	}
	_, source, _, _ := runtime.Caller(0)
	// As in the Makefile: Git refuses a checkout that belongs to another user.
	out, err := exec.Command("git", "-C", filepath.Dir(source), "-c", "safe.directory=*", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
