package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is that of all programs; CHANGELOG.md says what is in it.
const Version = "0.9.0"

// commit is set by the linker where Go does not stamp it.
var commit string

// VersionLine says which build this is, and of what. Libraries stand beside the Go
// modules that matter.
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
	id, changed := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				id = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprint(id[:min(len(id), 12)], changed)
}
