package cli

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is that of all programs; CHANGELOG.md says what is in it.
const Version = "0.9.0"

// commit is set by the linker, as the Makefile does. Go's own stamp stands in for it.
var commit string

// VersionLine names this build: its version and commit, Go, Beam where it is inside,
// and the libraries.
func VersionLine(libraries ...string) string {
	text := []string{"facestream " + Version, "commit " + buildCommit(), "Go " + strings.TrimPrefix(runtime.Version(), "go")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/apache/beam/sdks/v2" {
				text = append(text, "Beam "+strings.TrimPrefix(m.Version, "v"))
			}
		}
	}
	return strings.Join(append(text, libraries...), ", ")
}

func buildCommit() string {
	if commit != "" {
		return commit
	}
	id, dirty := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				id = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
	}
	return id + dirty
}
